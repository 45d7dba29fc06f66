# SPDX-License-Identifier: Apache-2.0
"""Depth and camera of a clip (stage 1 of TraceExtract).

Measured where the source measured, a model where it did not, an error where there is neither.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mu0_core.errors import SourceError
from mu0_core.trace_extract.protocols import DepthModel
from mu0_core.trace_extract.records import CameraPath, Clip
from mu0_core.trace_extract.stages.camera_motion import CameraMotionSettings, camera_motion
from mu0_core.types import CameraIntrinsics

MIN_KNOWN = 0.05


@dataclass(frozen=True, slots=True)
class ClipDepth:
    """Depth (T, h, w) in metres, NaN where unknown, and where it is from."""

    depth_m: np.ndarray
    source: str


def clip_depth(clip: Clip, model: DepthModel | None) -> ClipDepth:
    """Return the depth of a clip.

    Raises:
        SourceError: the clip has no depth and there is no model, or hardly any pixel has depth.
    """
    if clip.depth_m is not None:
        depth, source = clip.depth_m, "sensor"
    elif model is not None:
        frames = [model.depth_m(np.asarray(image), clip.intrinsics) for image in clip.rgb]
        depth, source = np.stack(frames).astype(np.float16), model.name
    else:
        raise SourceError(
            f"{clip.name}: no depth; name a depth model (backends.depth) or a reconstruction "
            "(backends.reconstruction)"
        )
    probe = np.unique(np.linspace(0, len(depth) - 1, 8).astype(int))
    known = float(np.mean([np.isfinite(depth[k]).mean() for k in probe]))
    if known < MIN_KNOWN:
        raise SourceError(
            f"{clip.name}: {known:.1%} of the pixels have depth, at least {MIN_KNOWN:.0%} needed "
            f"({source})"
        )
    return ClipDepth(depth, source)


def clip_intrinsics(clip: Clip) -> CameraIntrinsics:
    """Return the intrinsics of a clip.

    Raises:
        SourceError: they are unknown.
    """
    if clip.intrinsics is None:
        raise SourceError(
            f"{clip.name}: intrinsics unknown; state read.intrinsics (fx, fy, cx, cy) or "
            "read.hfov_deg"
        )
    return clip.intrinsics


def clip_camera(clip: Clip, depth_m: np.ndarray, settings: CameraMotionSettings) -> CameraPath:
    """Return the camera poses of a clip: what the source knows, else RGB-D odometry.

    Raises:
        SourceError: the intrinsics are unknown.
        DataError: a frame cannot be aligned.
    """
    if clip.T_world_camera is not None:
        return CameraPath(clip.T_world_camera, np.zeros(len(clip)), "given")
    return camera_motion(clip.rgb, depth_m, clip_intrinsics(clip), settings)
