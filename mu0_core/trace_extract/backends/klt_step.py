# SPDX-License-Identifier: Apache-2.0
"""One step of the embedded tracker: where points of one frame are in a neighbouring frame.

Pyramidal Lucas-Kanade forwards and backwards, begun where a still point would be. A point counts
as still where depth and brightness are as foretold and what was tracked does not look more like
it: so noise does not add up, plain surfaces keep their points, and an edge that passes by does
not drag along what lies behind it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mu0_core.errors import ConfigError
from mu0_core.geometry import camera, se3
from mu0_core.trace_extract.stages.frame_view import sample_image, smooth_depth
from mu0_core.types import CameraIntrinsics

_NEAR = 3  # pixels around a point that tell whether it looks the same


@dataclass(frozen=True, slots=True)
class StepSettings:
    """What counts as the same point.

    Attributes:
        window_px: side of the matched window.
        levels: of the image pyramid above the image itself.
        max_return_px: distance after tracking forwards and backwards, at 640 px of width.
        max_step_m: distance in space between two frames.
        still_px: a point tracked to within this of where it would be if still did not move: noise
            does not add up, and slow motion goes on as soon as it is beyond.
        clearer_grey: how much less a still point must differ than a tracked one to be believed.
        still_m: depth error of a point that did not move, at 1 m.
        still_grey: brightness error of a point that did not move.
    """

    window_px: int = 31
    levels: int = 3
    max_return_px: float = 1.0
    max_step_m: float = 0.12
    still_px: float = 0.75
    clearer_grey: float = 3.0
    still_m: float = 0.012
    still_grey: float = 12.0

    def __post_init__(self) -> None:
        if self.window_px < 5 or self.levels < 0:
            raise ConfigError(f"window_px {self.window_px} >= 5, levels {self.levels} >= 0 needed")
        positive = (self.max_return_px, self.max_step_m, self.still_m, self.still_grey)
        if min(positive) <= 0 or self.still_px < 0:
            raise ConfigError(f"tolerances must be positive: {self}")


@dataclass(frozen=True, slots=True)
class Shot:
    """One frame as the tracker needs it: grey image, depth (NaN unknown), camera pose."""

    grey: np.ndarray
    depth_m: np.ndarray
    T_world_camera: np.ndarray
    intrinsics: CameraIntrinsics

    def pixels(self, world_m: np.ndarray) -> np.ndarray:
        """Return (N, 3) u px, v px, z m of points (N, 3) in the world; NaN behind the camera."""
        return camera.project(
            se3.apply(se3.inverse(self.T_world_camera), world_m), self.intrinsics
        )

    def lift(self, uv_px: np.ndarray, z_m: np.ndarray) -> np.ndarray:
        """Return points (N, 3) in the world of pixels (N, 2) at depth (N,)."""
        points = camera.unproject(np.column_stack([uv_px, z_m]), self.intrinsics)
        return se3.apply(self.T_world_camera, points)


def step(
    here: Shot, there: Shot, uv_px: np.ndarray, world_m: np.ndarray, settings: StepSettings
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Follow points from one frame to another.

    Args:
        here: frame in which the points are seen; there: frame to find them in.
        there: see above.
        uv_px: (N, 2) pixels here; world_m: (N, 3) in the world.
        world_m: see above.
        settings: what counts as the same.

    Returns:
        pixels (N, 2), points in the world (N, 3) and found (N,) bool; NaN where not found.
    """
    if not len(uv_px):
        return uv_px.copy(), world_m.copy(), np.zeros(0, bool)
    still = there.pixels(world_m)
    moved_uv, tracked = _flow(here, there, uv_px, still[:, :2], settings)
    z = depth_near(there.depth_m, moved_uv, still[:, 2], settings.max_step_m)
    moved = there.lift(moved_uv, z)
    with np.errstate(invalid="ignore"):
        tracked &= np.linalg.norm(moved - world_m, axis=1) <= settings.max_step_m
    likeness = [unlike(here.grey, uv_px, there.grey, uv) for uv in (still[:, :2], moved_uv)]
    unmoved = np.linalg.norm(moved_uv - still[:, :2], axis=1) <= settings.still_px
    with np.errstate(invalid="ignore"):
        unmoved |= likeness[0] + settings.clearer_grey < likeness[1]
        still_there = likeness[0] <= settings.still_grey
    rest = (~tracked | unmoved) & still_there & _has_depth(there, still, settings)
    uv = np.where(rest[:, None], still[:, :2], moved_uv)
    world = np.where(rest[:, None], world_m, moved)
    found = tracked | rest
    return (
        np.where(found[:, None], uv, np.nan),
        np.where(found[:, None], world, np.nan),
        found,
    )


def depth_near(
    depth_m: np.ndarray, uv_px: np.ndarray, expected_m: np.ndarray, reach_m: float
) -> np.ndarray:
    """Return (N,) depth at pixels, NaN where unknown.

    At edges and holes it is the median of those pixels around that lie near what is expected.

    Args:
        depth_m: (h, w); NaN where unknown.
        uv_px: (N, 2).
        expected_m: (N,) depth foretold for each.
        reach_m: twice how far the depth may be from that.
    """
    z = smooth_depth(depth_m, uv_px)
    missing = np.flatnonzero(~np.isfinite(z) & np.isfinite(uv_px).all(axis=1))
    if not len(missing):
        return z
    height, width = depth_m.shape
    centre = np.rint(uv_px[missing]).astype(int)
    offset = np.arange(-2, 3)
    rows = np.clip(centre[:, 1, None, None] + offset[:, None], 0, height - 1)
    columns = np.clip(centre[:, 0, None, None] + offset, 0, width - 1)
    patch = depth_m[rows, columns].reshape(len(missing), -1).astype(float)
    with np.errstate(invalid="ignore"):
        near = np.abs(patch - expected_m[missing, None]) <= reach_m / 2
    patch = np.where(near, patch, np.nan)
    enough = near.sum(axis=1) >= 5
    z[missing[enough]] = np.nanmedian(patch[enough], axis=1)
    return z


def _flow(
    here: Shot, there: Shot, uv_px: np.ndarray, guess: np.ndarray, settings: StepSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels (N, 2) by Lucas-Kanade and whether they lead back to where they began."""
    height, width = there.grey.shape
    start = uv_px.astype(np.float32)
    guess = np.where(np.isfinite(guess), guess, uv_px).astype(np.float32)
    window = (settings.window_px, settings.window_px)
    options = {
        "winSize": window,
        "maxLevel": settings.levels,
        "flags": cv2.OPTFLOW_USE_INITIAL_FLOW,
    }
    forward, seen, _ = cv2.calcOpticalFlowPyrLK(
        here.grey, there.grey, start, guess.copy(), **options
    )
    backward, back, _ = cv2.calcOpticalFlowPyrLK(
        there.grey, here.grey, forward, start.copy(), **options
    )
    distance = np.linalg.norm(backward - start, axis=1)
    tracked = (seen[:, 0] == 1) & (back[:, 0] == 1)
    tracked &= distance <= settings.max_return_px * width / 640
    tracked &= (forward >= 0).all(axis=1) & (forward <= [width - 1, height - 1]).all(axis=1)
    return forward.astype(float), tracked


def _has_depth(there: Shot, still: np.ndarray, settings: StepSettings) -> np.ndarray:
    """Say (N,) where the other frame's depth is what it would be if the point had not moved."""
    z = smooth_depth(there.depth_m, still[:, :2])
    tolerance = settings.still_m * np.maximum(1.0, still[:, 2] ** 2)
    with np.errstate(invalid="ignore"):
        return np.abs(z - still[:, 2]) <= tolerance


def unlike(
    here: np.ndarray, uv_here: np.ndarray, there: np.ndarray, uv_there: np.ndarray
) -> np.ndarray:
    """Return (N,) the mean difference in grey of the 7 x 7 pixels around two places.

    NaN where either lies outside its image.

    Args:
        here: (h, w) uint8; uv_here: (N, 2) pixels in it.
        uv_here: see above.
        there: (h, w) uint8; uv_there: (N, 2) pixels in it.
        uv_there: see above.
    """
    height, width = here.shape
    inside = np.ones(len(uv_here), bool)
    for uv in (uv_here, uv_there):
        place = np.where(np.isfinite(uv), uv, -1)
        inside &= (place >= 0).all(axis=1) & (place <= [width - 1, height - 1]).all(axis=1)
    dv, du = np.mgrid[-_NEAR : _NEAR + 1, -_NEAR : _NEAR + 1]
    offsets = np.stack([du.ravel(), dv.ravel()], axis=-1)
    values = [
        sample_image(image, np.clip((uv[inside, None] + offsets).reshape(-1, 2), 0, None))
        for image, uv in ((here, uv_here), (there, uv_there))
    ]
    difference = np.full(len(uv_here), np.nan)
    gap = np.abs(values[0] - values[1]).reshape(-1, len(offsets))
    difference[inside] = gap.mean(axis=1)
    return difference
