# SPDX-License-Identifier: Apache-2.0
"""``A_i X C_i = Y`` in pixels: X and Y that put all corners where they were seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import approx_fprime, least_squares
from scipy.spatial.transform import Rotation

from mu0_core.calibration.board_pose import board_pose, pinhole, project, rms_px
from mu0_core.calibration.hand_eye_records import View
from mu0_core.calibration.lens import Lens
from mu0_core.geometry import se3


@dataclass(frozen=True, slots=True)
class Problem:
    """The views as arrays.

    Attributes:
        A: (V, 4, 4) poses of the robot.
        C: (V, 4, 4) T_camera_board of each view by itself.
        own_px: residual of each C.
        board: (N, 3) m per view.
        uv: (N, 2) px per view, without distortion.
        lens: of the camera.
    """

    A: np.ndarray
    C: np.ndarray
    own_px: np.ndarray
    board: tuple[np.ndarray, ...]
    uv: tuple[np.ndarray, ...]
    lens: Lens

    def part(self, index: np.ndarray) -> Problem:
        """Return some of the views."""
        pick = [int(i) for i in np.atleast_1d(index)]
        return Problem(
            self.A[pick], self.C[pick], self.own_px[pick], tuple(self.board[i] for i in pick),
            tuple(self.uv[i] for i in pick), self.lens,
        )  # fmt: skip

    def fitted(self, X: np.ndarray, Y: np.ndarray) -> list[np.ndarray]:
        """Return where X and Y put the corners: (N, 2) px per view, huge behind the camera."""
        T = se3.inverse(X) @ se3.inverse(self.A) @ Y
        return [project(T[k], points, self.lens) for k, points in enumerate(self.board)]

    def px(self, X: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """Return the root mean square residual of each view (V,)."""
        return np.array([rms_px(f - uv) for f, uv in zip(self.fitted(X, Y), self.uv)])


def make_problem(views: Sequence[View], lens: Lens, mode: str) -> Problem:
    """Return the arrays of some views.

    Raises:
        DataError: corners give no pose of the board.
    """
    A = np.stack([view.T_base_tool for view in views])
    uv = tuple(lens.straighten(view.found.uv_px) for view in views)
    board = tuple(view.found.board_m for view in views)
    C, own_px = [], []
    for view, points, pixels in zip(views, board, uv):
        T, residual = board_pose(points, pixels, lens, view.name)
        C.append(T)
        own_px.append(residual)
    A = A if mode == "eye-in-hand" else se3.inverse(A)
    return Problem(A, np.stack(C), np.array(own_px), board, uv, lens)


def refined(
    problem: Problem, X: np.ndarray, Y: np.ndarray, loss_px: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return X and Y with the least robust residuals in pixels over all corners."""
    found = least_squares(
        _residuals(problem, X, Y), np.zeros(12), loss="soft_l1", f_scale=loss_px, x_scale=0.1
    )
    return X @ _exp(found.x[:6]), Y @ _exp(found.x[6:])


def jackknife(
    problem: Problem, X: np.ndarray, Y: np.ndarray, loss_px: float
) -> tuple[float, float]:
    """Return the standard error of X in mm and deg from leaving out one view at a time.

    Without a view the refined X and Y move by one Gauss-Newton step over the others.
    """
    count = len(problem.A)
    if count < 4:
        return float("nan"), float("nan")
    residuals = _residuals(problem, X, Y)
    off, slope = residuals(np.zeros(12)), approx_fprime(np.zeros(12), residuals, 1e-7)
    weight = 1 / np.sqrt(1 + (off / loss_px) ** 2)  # of soft_l1
    ends = np.cumsum([2 * len(uv) for uv in problem.uv])[:-1]
    parts = list(zip(*(np.split(a, ends) for a in (slope, off, weight))))
    normal = np.stack([j.T @ (w[:, None] * j) for j, _, w in parts])
    right = np.stack([j.T @ (w * f) for j, f, w in parts])
    steps = -np.linalg.solve(normal.sum(0) - normal, (right.sum(0) - right)[..., None])[..., 0]
    deg, mm = np.degrees(steps[:, :3]), steps[:, 3:6] * 1e3
    mm, deg = (float(np.sqrt((count - 1) * np.var(x, axis=0).sum())) for x in (mm, deg))
    return mm, deg


def _residuals(
    problem: Problem, X: np.ndarray, Y: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    """Return the residuals (2 N,) in px as a function of a step (12,) from X and Y."""
    which = np.repeat(np.arange(len(problem.uv)), [len(uv) for uv in problem.uv])
    points, uv = np.concatenate(problem.board), np.concatenate(problem.uv)
    A_inverse = se3.inverse(problem.A)

    def residuals(step: np.ndarray) -> np.ndarray:
        T = se3.inverse(X @ _exp(step[:6])) @ A_inverse @ (Y @ _exp(step[6:]))
        seen = np.einsum("nij,nj->ni", T[which, :3, :3], points) + T[which, :3, 3]
        return (pinhole(seen, problem.lens) - uv).ravel()

    return residuals


def _exp(step: np.ndarray) -> np.ndarray:
    """Return T (4, 4) of a rotation vector in rad and a shift in m."""
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = Rotation.from_rotvec(step[:3]).as_matrix(), step[3:]
    return T
