# SPDX-License-Identifier: Apache-2.0
"""From a depth image to the occupied cubes of a planning scene, in the base frame.

A camera sees the near surface of things, so each point is moved half a cube away from it: cubes
lie in things, not before them. Left out are: unknown depth, what lies outside the volume that the
arm can reach, the floor (a box takes its place), the arm itself, and lone points, which are noise
at the edges of things.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mu0_core.errors import ConfigError, ObservationError
from mu0_core.geometry import se3
from mu0_core.geometry.box import Box
from mu0_core.geometry.camera import unproject
from mu0_core.planning.robot_body import RobotBody
from mu0_core.planning.scene import PlanningScene, floor_box
from mu0_core.robot.description import RobotDescription
from mu0_core.types import Proprioception, RgbdFrame


@dataclass(frozen=True, slots=True)
class DepthPointSettings:
    """How depth becomes obstacles; lengths in metres.

    Attributes:
        voxel_m: edge of a cube.
        columns: of the image that are used, at least, and rows alike; a finer one is thinned out.
        lone_m: a pixel without a neighbour about as far is noise at the edge of a thing.
        body_margin_m: points so near to the arm are the arm's: calibration errors, cables.
        above_floor_m: points lower than that are the floor.
        beyond_m: how far outside the workspace box obstacles are kept; links reach further than
            the tip.
    """

    voxel_m: float = 0.01
    columns: int = 320
    lone_m: float = 0.03
    body_margin_m: float = 0.03
    above_floor_m: float = 0.02
    beyond_m: float = 0.3

    def __post_init__(self) -> None:
        if not 0.002 <= self.voxel_m <= 0.2:
            raise ConfigError(f"voxel_m {self.voxel_m}: allowed 0.002 to 0.2")
        if self.columns < 1 or not self.lone_m > 0:
            raise ConfigError(f"columns must be at least 1 and lone_m positive: {self}")
        if not min(self.body_margin_m, self.above_floor_m, self.beyond_m) >= 0:
            raise ConfigError(f"margins must not be negative: {self}")


def voxel_centres(points_m: np.ndarray, voxel_m: float) -> np.ndarray:
    """Return the centres (M, 3) of the cubes that hold any of the points (N, 3)."""
    if not len(points_m):
        return np.zeros((0, 3))
    cells = np.floor(points_m / voxel_m).astype(np.int64)
    low = cells.min(axis=0)
    sizes = cells.max(axis=0) - low + 1
    keys = np.unique(np.ravel_multi_index((cells - low).T, sizes))
    kept = np.stack(np.unravel_index(keys, sizes), axis=1) + low
    return (kept + 0.5) * voxel_m


class DepthScene:
    """Makes planning scenes of what a camera sees, for one arm.

    Args:
        robot: the arm.
        settings: how.
        boxes: solid obstacles besides the floor and those of the arm's description.
    """

    def __init__(
        self,
        robot: RobotDescription,
        settings: DepthPointSettings | None = None,
        boxes: tuple[Box, ...] = (),
    ) -> None:
        self.robot, self.settings = robot, settings or DepthPointSettings()
        described = robot.collision.boxes if robot.collision is not None else ()
        self._body, self._solid = RobotBody(robot), (floor_box(robot), *described, *boxes)

    def bare(self, state: Proprioception) -> PlanningScene:
        """Return the scene of an arm that sees nothing: its floor and the boxes."""
        return PlanningScene(self._solid, gripper_m=state.gripper_m)

    def look(
        self, frame: RgbdFrame, T_base_camera: np.ndarray, state: Proprioception
    ) -> PlanningScene:
        """Return the scene of an image; ``state`` is where the arm stood in it.

        Raises:
            ObservationError: no pixel of the image has depth.
        """
        s = self.settings
        points = self._in_reach(_points(frame, T_base_camera, s))
        centres = voxel_centres(points, s.voxel_m)
        margin = s.body_margin_m + s.voxel_m / 2
        own = self._body.contains(centres, state.positions_rad, state.gripper_m, margin)
        return PlanningScene(self._solid, centres[~own], s.voxel_m, state.gripper_m)

    def _in_reach(self, points_m: np.ndarray) -> np.ndarray:
        robot, s = self.robot, self.settings
        low = np.minimum(robot.workspace_min_m, 0.0) - s.beyond_m
        high = robot.workspace_max_m + s.beyond_m
        low[2] = robot.floor_m + s.above_floor_m
        return points_m[np.all((points_m > low) & (points_m < high), axis=1)]


def _points(frame: RgbdFrame, T_base_camera: np.ndarray, s: DepthPointSettings) -> np.ndarray:
    """Return points (N, 3) of the base frame, half a cube behind what an image shows."""
    stride_px = max(1, frame.intrinsics.width // s.columns)
    depth = frame.depth_m[::stride_px, ::stride_px]
    known = np.isfinite(depth) & (depth > 0)
    if not known.any():
        raise ObservationError("no pixel of the depth image is known: obstacles cannot be seen")
    known &= _has_neighbour(np.where(known, depth, np.inf), s.lone_m)
    v, u = np.nonzero(known)
    uvz = np.stack([u * stride_px, v * stride_px, depth[known]], axis=1).astype(float)
    seen = unproject(uvz, frame.intrinsics)
    behind = 1 + s.voxel_m / 2 / np.linalg.norm(seen, axis=1, keepdims=True)
    return se3.apply(T_base_camera, seen * behind)


def _has_neighbour(depth_m: np.ndarray, within_m: float) -> np.ndarray:
    """Return (h, w) whether a pixel beside, below or above is as far; infinity has none."""
    found = np.zeros(depth_m.shape, bool)
    later, sooner = slice(1, None), slice(None, -1)
    for ahead, behind in (
        (np.s_[later, :], np.s_[sooner, :]),
        (np.s_[:, later], np.s_[:, sooner]),
    ):
        with np.errstate(invalid="ignore"):  # infinity against infinity
            near = np.abs(depth_m[ahead] - depth_m[behind]) < within_m
        found[ahead] |= near
        found[behind] |= near
    return found
