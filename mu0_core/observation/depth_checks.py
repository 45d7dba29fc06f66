# SPDX-License-Identifier: Apache-2.0
"""Whether depth can be metres, and in the raster and frame of its colour image. numpy only."""

from __future__ import annotations

import numpy as np

from mu0_core.errors import NoQueryPointsError, ObservationError
from mu0_core.types import CameraIntrinsics, RgbdFrame

_STEP = 8  # every so many pixels are enough for a median


def check_depth_scale(frame: RgbdFrame, plausible_m: tuple[float, float]) -> None:
    """Refuse depth whose median cannot be metres (16UC1 labelled 32FC1, a factor of 1000 off).

    Raises:
        ObservationError: the median lies outside ``plausible_m``. No depth at all is not judged.
    """
    known = _known_depth(frame)
    if len(known) == 0:
        return
    known.partition(len(known) // 2)
    median = float(known[len(known) // 2])
    low, high = plausible_m
    if low <= median <= high:
        return
    why = ""
    if low <= median / 1000 <= high:
        why = ": are the units wrong by 1000 (millimetres sent as metres)?"
    elif low <= median * 1000 <= high:
        why = ": are the units wrong by 1000 (metres sent as millimetres)?"
    raise ObservationError(f"median depth is {median:g} m, plausible {low} to {high} m{why}")


def check_any_depth(frame: RgbdFrame) -> None:
    """Refuse an image in which no query point can have depth.

    Raises:
        NoQueryPointsError: no pixel that is looked at has depth.
    """
    if len(_known_depth(frame)) == 0:
        raise NoQueryPointsError("no query point has depth: no pixel of the image has")


def _known_depth(frame: RgbdFrame) -> np.ndarray:
    """Return the depth (K,) of the pixels that are looked at and have one."""
    sample = frame.depth_m[::_STEP, ::_STEP]
    return sample[sample == sample]


def check_same_raster(
    colour: tuple[str, int, int], depth: tuple[str, int, int], camera: CameraIntrinsics
) -> None:
    """Refuse depth that is not registered to colour by its own words.

    Args:
        colour, depth: frame_id, width and height of each image.
        camera: of the camera_info.

    Raises:
        ObservationError: frames or sizes differ; names them.
    """
    if colour[0] != depth[0]:
        raise ObservationError(
            f"depth is in frame {depth[0]!r}, colour in {colour[0]!r}: register depth to colour"
        )
    sizes = {colour[1:], depth[1:], (camera.width, camera.height)}
    if len(sizes) != 1:
        raise ObservationError(
            f"colour is {colour[1]}x{colour[2]}, depth {depth[1]}x{depth[2]}, camera_info "
            f"{camera.width}x{camera.height}: they must agree"
        )
