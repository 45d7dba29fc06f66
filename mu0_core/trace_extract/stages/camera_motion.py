# SPDX-License-Identifier: Apache-2.0
"""Where the camera was in each frame (stage 1; dossier of TraceExtract: hybrid global-local).

A few anchors spread over the clip are aligned with each other and solved as one graph. Every
other frame is aligned straight to the anchors around it, so that its error does not grow with the
length of the clip. A camera that never moved by more than the noise gets exactly one pose.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.spatial.transform import Rotation

from mu0_core.errors import ConfigError, DataError
from mu0_core.geometry import se3
from mu0_core.trace_extract.records import CameraPath
from mu0_core.trace_extract.stages.frame_alignment import Alignment, align
from mu0_core.trace_extract.stages.frame_view import AlignmentSettings, View, make_view
from mu0_core.trace_extract.stages.pose_graph import Motion, solve_poses
from mu0_core.types import CameraIntrinsics


@dataclass(frozen=True, slots=True)
class CameraMotionSettings:
    """How camera poses are found.

    Attributes:
        max_anchors: anchors of the sparse pass (paper: 60).
        anchor_spacing: frames between anchors of a short clip.
        loops: pairs beyond the neighbours that are tried per anchor, nearest first.
        loop_distance_m, loop_angle_rad: how close such a pair must be.
        static_m, static_rad: a camera that stays within both is static.
        is_static: the camera is known to stand still; nothing is estimated. Say so where things
            that move may fill most of the picture.
        alignment: of two frames.
    """

    max_anchors: int = 60
    anchor_spacing: int = 10
    loops: int = 3
    loop_distance_m: float = 0.15
    loop_angle_rad: float = 0.25
    static_m: float = 0.004
    static_rad: float = 0.004
    is_static: bool = False
    alignment: AlignmentSettings = field(default_factory=AlignmentSettings)

    def __post_init__(self) -> None:
        if self.max_anchors < 2 or self.anchor_spacing < 1 or self.loops < 0:
            raise ConfigError(
                f"max_anchors {self.max_anchors} >= 2, anchor_spacing {self.anchor_spacing} >= 1, "
                f"loops {self.loops} >= 0 are needed"
            )


def camera_motion(
    rgb: np.ndarray,
    depth_m: np.ndarray,
    intrinsics: CameraIntrinsics,
    settings: CameraMotionSettings | None = None,
) -> CameraPath:
    """Return the camera poses of T registered RGB-D frames.

    Args:
        rgb: (T, h, w, 3) uint8; depth_m: (T, h, w) metres, NaN where unknown.
        depth_m: see above.
        intrinsics: of both.
        settings: how.

    Raises:
        DataError: a frame cannot be aligned; names the frame and what is missing.
    """
    settings = settings or CameraMotionSettings()
    frames = len(rgb)
    if frames == 1 or settings.is_static:
        return CameraPath(np.tile(np.eye(4), (frames, 1, 1)), np.zeros(frames), "static")
    anchors = anchor_frames(frames, settings)
    views = [make_view(rgb[k], depth_m[k], intrinsics, settings.alignment) for k in anchors]
    anchor_poses, anchor_rmse = _anchor_poses(anchors, views, settings)
    poses = np.tile(np.eye(4), (frames, 1, 1))
    rmse = np.zeros(frames)
    poses[anchors], rmse[anchors] = anchor_poses, anchor_rmse
    for frame in np.setdiff1d(np.arange(frames), anchors):
        view = make_view(rgb[frame], depth_m[frame], intrinsics, settings.alignment)
        around = _around(frame, anchors)
        guess = poses[frame - 1]
        poses[frame], rmse[frame] = _frame_pose(
            frame, view, [views[k] for k in around], anchor_poses[around], guess, settings
        )
    poses = se3.inverse(poses[0]) @ poses
    distance = np.linalg.norm(poses[:, :3, 3], axis=1)
    if (distance < settings.static_m).all() and (angle_rad(poses) < settings.static_rad).all():
        return CameraPath(np.tile(np.eye(4), (frames, 1, 1)), rmse, "static")
    return CameraPath(poses, rmse, "rgbd_odometry")


def anchor_frames(frames: int, settings: CameraMotionSettings) -> np.ndarray:
    """Return the frames of the anchors: evenly spread, the first and the last among them."""
    count = min(settings.max_anchors, max(2, 1 + round((frames - 1) / settings.anchor_spacing)))
    return np.unique(np.linspace(0, frames - 1, min(count, frames)).round().astype(int))


def angle_rad(T: np.ndarray) -> np.ndarray:
    """Return the rotation angle of transforms (..., 4, 4)."""
    return Rotation.from_matrix(T[..., :3, :3].reshape(-1, 3, 3)).magnitude().reshape(T.shape[:-2])


def mean_pose(poses: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted mean (4, 4) of poses (N, 4, 4): Markley's for the rotation.

    With four poses or more, those beyond two standard deviations are left out.
    """
    if len(poses) >= 4:
        spread = np.linalg.norm(poses[:, :3, 3] - np.median(poses[:, :3, 3], axis=0), axis=1)
        kept = spread <= spread.mean() + 2 * spread.std()
        poses, weights = poses[kept], weights[kept]
    mean = np.eye(4)
    mean[:3, :3] = Rotation.from_matrix(poses[:, :3, :3]).mean(weights).as_matrix()
    mean[:3, 3] = np.average(poses[:, :3, 3], axis=0, weights=weights)
    return mean


def _anchor_poses(
    anchors: np.ndarray, views: list[View], settings: CameraMotionSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Align anchors with their neighbours and with anchors near them, then solve the graph.

    Returns the poses (A, 4, 4) and the residual (A,) of each against the one before it.
    """
    motions: list[Motion] = []
    chain, rmse = [np.eye(4)], [0.0]
    for k in range(1, len(views)):
        found = align(views[k], views[k - 1], settings.alignment)
        if not found.holds(settings.alignment):
            raise DataError(_lost(int(anchors[k]), int(anchors[k - 1]), found))
        motions.append(_motion(k - 1, k, found))
        chain.append(chain[-1] @ found.T_target_source)
        rmse.append(found.rmse_m)
    chained = np.stack(chain)
    for k in range(2, len(views)):
        between = se3.inverse(chained[k]) @ chained[: k - 1]
        distance, angle = np.linalg.norm(between[:, :3, 3], axis=1), angle_rad(between)
        near = (distance < settings.loop_distance_m) & (angle < settings.loop_angle_rad)
        order = np.flatnonzero(near)[np.argsort((distance + angle)[near])]
        for other in {*order[: settings.loops], k - 2} if settings.loops else ():
            guess = se3.inverse(chained[other]) @ chained[k]
            found = align(views[k], views[other], settings.alignment, guess)
            if found.holds(settings.alignment):
                motions.append(_motion(int(other), k, found))
    return solve_poses(len(views), motions), np.array(rmse)


def _motion(first: int, second: int, found: Alignment) -> Motion:
    return Motion(first, second, found.T_target_source, found.agreement * found.overlap)


def _around(frame: int, anchors: np.ndarray) -> np.ndarray:
    """Return the indices of the two anchors around a frame."""
    right = int(np.searchsorted(anchors, frame, side="right"))
    return np.unique(np.clip([right - 1, right], 0, len(anchors) - 1))


def _frame_pose(
    frame: int,
    view: View,
    anchors: list[View],
    T_world_anchor: np.ndarray,
    guess: np.ndarray,
    settings: CameraMotionSettings,
) -> tuple[np.ndarray, float]:
    """Return the pose of a frame from the anchors around it, and its residual."""
    poses, weights, residuals = [], [], []
    for anchor, T in zip(anchors, T_world_anchor):
        found = align(view, anchor, settings.alignment, se3.inverse(T) @ guess)
        if found.holds(settings.alignment):
            poses.append(T @ found.T_target_source)
            weights.append(found.agreement * found.overlap)
            residuals.append(found.rmse_m)
    if not poses:
        raise DataError(_lost(frame, None, found))
    return mean_pose(np.stack(poses), np.array(weights)), float(np.mean(residuals))


def _lost(frame: int, other: int | None, found: Alignment) -> str:
    beside = "the anchors around it" if other is None else f"frame {other}"
    return (
        f"camera lost at frame {frame}: {found.overlap:.0%} of its depth lies in {beside} and "
        f"{found.agreement:.0%} of that agrees ({found.num_features} features); give camera poses "
        "or use a reconstruction model"
    )
