# SPDX-License-Identifier: Apache-2.0
"""Why two frames of a tf tree are not connected, with the names that it has."""

from __future__ import annotations

from collections.abc import Mapping

from mu0_core.errors import TransformError

_SHOWN = 12


def check_connected(parents: Mapping[str, str], base: str, camera: str) -> None:
    """Refuse a tree in which the camera cannot be placed in the base frame.

    Args:
        parents: child frame -> its parent (REP 105: a frame has one).
        base: frame of the arm.
        camera: frame of the images.

    Raises:
        TransformError: a frame is missing, or their roots differ; names what is there.
    """
    known = sorted({*parents, *parents.values()})
    for what, frame in (("camera", camera), ("base", base)):
        if frame not in known:
            there = ", ".join(known[:_SHOWN]) + (", …" if len(known) > _SHOWN else "")
            raise TransformError(
                f"{what} frame {frame!r} is not in the tf tree; it has: {there or 'no frames'}"
            )
    roots = [_root(parents, frame) for frame in (camera, base)]
    if roots[0] != roots[1]:
        raise TransformError(
            f"camera frame {camera!r} hangs under {roots[0]!r} and base frame {base!r} under "
            f"{roots[1]!r}: no transform joins them (mu0 calibrate hand-eye finds it)"
        )


def _root(parents: Mapping[str, str], frame: str) -> str:
    seen = {frame}
    while frame in parents:
        frame = parents[frame]
        if frame in seen:
            raise TransformError(f"the tf tree has a loop through {frame!r}")
        seen.add(frame)
    return frame
