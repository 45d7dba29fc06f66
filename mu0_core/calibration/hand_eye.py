# SPDX-License-Identifier: Apache-2.0
"""Where the camera is mounted, from views of a board at known poses of the robot.

Eye in hand: ``T_base_tool X T_camera_board = T_base_board`` with X = T_tool_camera and a board
that stands still. Eye to hand, with the board on the tool: ``T_tool_base X T_camera_board =
T_tool_board`` with X = T_base_camera. Both are ``A_i X C_i = Y``; only A differs. The closed forms
of `hand_eye_solvers` give a first guess; then X and Y together minimise the distances in pixels
between the corners that were seen and those that follow, with a robust loss. Views that fit badly
are named and left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from mu0_core.calibration.board_pose import rms_px
from mu0_core.calibration.hand_eye_problem import Problem, jackknife, make_problem, refined
from mu0_core.calibration.hand_eye_records import HandEye, HandEyeSettings, View, ViewResidual
from mu0_core.calibration.hand_eye_solvers import SOLVERS, motions
from mu0_core.calibration.lens import Lens
from mu0_core.calibration.rotation_spread import rotation_spread
from mu0_core.errors import DataError
from mu0_core.geometry import se3

_SUBSET = 5


def calibrate(
    views: Sequence[View], lens: Lens, settings: HandEyeSettings | None = None
) -> HandEye:
    """Return where the camera is mounted.

    Raises:
        DataError: too few views, also after those that do not fit; or the tool turned so little
            that the mount cannot be told (names the axis).
    """
    settings = settings or HandEyeSettings()
    if len(views) < settings.fewest_views:
        raise DataError(
            f"{len(views)} views of the board, at least {settings.fewest_views} are needed "
            f"({settings.advised_views} or more are better)"
        )
    tools = np.stack([view.T_base_tool for view in views])
    rotation_spread(tools).require(settings.least_turn_deg)
    problem = make_problem(views, lens, settings.mode)
    X, Y, solver = _first_guess(problem, settings)
    X, Y, used = _without_outliers(problem, tools, X, Y, [v.name for v in views], settings)
    kept = problem.part(np.flatnonzero(used))
    mm, deg = jackknife(kept, X, Y, settings.loss_px)
    residuals = _residuals(views, problem, X, Y, used)
    spread = rotation_spread(tools[used])
    result = HandEye(settings.mode, X, Y, residuals, solver, mm, deg, spread)
    return replace(result, warnings=tuple(_warnings(result, settings)))


def _without_outliers(
    problem: Problem,
    tools: np.ndarray,
    X: np.ndarray,
    Y: np.ndarray,
    names: Sequence[str],
    settings: HandEyeSettings,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return X and Y refined over the views that agree, and which these are (V,) bool.

    Raises:
        DataError: too few agree, or none do; or those that do turn too little.
    """
    used = np.ones(len(names), bool)
    X, Y = refined(problem, X, Y, settings.loss_px)
    for _ in names:
        px = problem.px(X, Y)
        middle = float(np.median(px[used]))
        fits = px <= max(settings.outlier_px, settings.outlier_factor * middle)
        if np.array_equal(fits, used):
            break
        used = fits
        if used.sum() < settings.fewest_views:
            bad = ", ".join(name for name, one in zip(names, used) if not one)
            raise DataError(
                f"only {used.sum()} of {len(names)} views agree, at least "
                f"{settings.fewest_views} must; not {bad}: are poses and images in the same "
                f"order, and is {settings.mode} right?"
            )
        rotation_spread(tools[used]).require(settings.least_turn_deg)
        X, Y = refined(problem.part(np.flatnonzero(used)), X, Y, settings.loss_px)
    if (middle := float(np.median(problem.px(X, Y)[used]))) > settings.worst_px:
        raise DataError(
            f"the views do not agree: {middle:.1f} px in the middle, allowed "
            f"{settings.worst_px:g}: is {settings.mode} right, are poses and images in the same "
            "order, and are they poses of the tool in the base?"
        )
    return X, Y, used


def _first_guess(
    problem: Problem, settings: HandEyeSettings
) -> tuple[np.ndarray, np.ndarray, str]:
    """Return the guess with the smallest median residual, over solvers and sets of views."""
    count, rng = len(problem.A), np.random.default_rng(settings.seed)
    sets = [(name, np.arange(count)) for name in SOLVERS]
    if count > _SUBSET:  # a set without a bad view is likely among these
        few = [rng.choice(count, _SUBSET, replace=False) for _ in range(settings.subsets)]
        sets += [("logarithms", index) for index in few]
    best: tuple[float, np.ndarray, np.ndarray, str] | None = None
    for name, index in sets:
        part = problem.part(index)
        try:
            X = SOLVERS[name](*motions(part.A, part.C))
        except (np.linalg.LinAlgError, ValueError):
            continue
        if not np.isfinite(X).all():
            continue
        Y = _mean_pose(part.A @ X @ part.C)
        score = float(np.median(problem.px(X, Y)))
        if best is None or score < best[0]:
            best = (score, X, Y, name)
    if best is None:
        raise DataError("no closed form gives a first guess: are the poses of the robot right?")
    return best[1:]


def _mean_pose(T: np.ndarray) -> np.ndarray:
    """Return the mean rotation and the median position of poses (V, 4, 4)."""
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_matrix(T[:, :3, :3]).mean().as_matrix()
    pose[:3, 3] = np.median(T[:, :3, 3], axis=0)
    return pose


def _residuals(
    views: Sequence[View], problem: Problem,
    X: np.ndarray, Y: np.ndarray, used: np.ndarray,
) -> tuple[ViewResidual, ...]:  # fmt: skip
    found = []
    for k, (view, fitted) in enumerate(zip(views, problem.fitted(X, Y))):
        off = se3.inverse(Y) @ problem.A[k] @ X @ problem.C[k]
        found.append(
            ViewResidual(
                view.name,
                rms_px(fitted - problem.uv[k]),
                float(np.linalg.norm(off[:3, 3]) * 1e3),
                float(np.degrees(Rotation.from_matrix(off[:3, :3]).magnitude())),
                float(problem.own_px[k]),
                bool(used[k]),
                problem.uv[k],
                fitted,
            )
        )
    return tuple(found)


def _warnings(result: HandEye, settings: HandEyeSettings) -> list[str]:
    words = []
    if (count := len(result.used)) < settings.advised_views:
        words.append(f"{count} views were used, {settings.advised_views} or more are better")
    for view in result.views:
        if not view.used:
            cause = (
                "the corners themselves do not fit"
                if view.own_px > settings.outlier_px
                else f"robot pose off by {view.mm:.1f} mm, {view.deg:.2f} deg"
            )
            words.append(f"{view.name} was left out: {view.px:.1f} px ({cause})")
    if result.rotation.second_deg < settings.advised_turn_deg:
        words.append(result.rotation.advice(settings.advised_turn_deg))
    return words
