# SPDX-License-Identifier: Apache-2.0
"""The pose of a flat board from one view, and where a pose puts its corners."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from mu0_core.calibration.lens import Lens
from mu0_core.errors import DataError
from mu0_core.geometry import se3


def board_pose(
    board_m: np.ndarray, uv_px: np.ndarray, lens: Lens, name: str = "the view"
) -> tuple[np.ndarray, float]:
    """Return T_camera_board (4, 4) of one view and its residual in px.

    Args:
        board_m: (N, 3) on the board, z = 0.
        uv_px: (N, 2) without distortion.
        lens: of the camera.
        name: for the message.

    Raises:
        DataError: OpenCV finds no pose.
    """
    import cv2

    found = cv2.solvePnPGeneric(board_m, uv_px, lens.matrix, np.zeros(5), flags=cv2.SOLVEPNP_IPPE)
    best: tuple[float, np.ndarray] | None = None
    for turn, shift in zip(found[1], found[2]):
        turn, shift = cv2.solvePnPRefineLM(
            board_m, uv_px, lens.matrix, np.zeros(5), turn.copy(), shift.copy()
        )
        T = np.eye(4)
        T[:3, :3], T[:3, 3] = Rotation.from_rotvec(turn.ravel()).as_matrix(), shift.ravel()
        residual = rms_px(project(T, board_m, lens) - uv_px)
        if np.isfinite(T).all() and (best is None or residual < best[0]):
            best = (residual, T)
    if best is None:
        raise DataError(f"{name}: its {len(uv_px)} corners give no pose of the board")
    return best[1], best[0]


def project(T_camera_board: np.ndarray, board_m: np.ndarray, lens: Lens) -> np.ndarray:
    """Return pixels (N, 2) of points (N, 3) on a board."""
    return pinhole(se3.apply(T_camera_board, board_m), lens)


def pinhole(points_m: np.ndarray, lens: Lens) -> np.ndarray:
    """Project, with what lies behind the camera far away instead of nowhere: a search needs it."""
    c = lens.intrinsics
    z = np.maximum(points_m[..., 2:], 1e-3)
    return points_m[..., :2] / z * [c.fx, c.fy] + [c.cx, c.cy]


def rms_px(residual_px: np.ndarray) -> float:
    """Return the root mean square length of residuals (N, 2)."""
    return float(np.sqrt((residual_px**2).sum(-1).mean()))
