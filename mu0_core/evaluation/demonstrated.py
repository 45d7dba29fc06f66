# SPDX-License-Identifier: Apache-2.0
"""Forecasts beside the truth for one scene: forecast first, then let the scripted expert do it.

The traces of the expert are what the forecast is meant to say; they need the simulator's truth, so
this is for pictures and reports, never for a policy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mu0_core.errors import KinematicsError
from mu0_core.evaluation.overlay import draw_forecast, draw_paths
from mu0_core.evaluation.true_future import true_future
from mu0_core.geometry import camera
from mu0_core.inference.protocols import QueryPointSelector, TraceForecaster
from mu0_core.simulation import demonstration
from mu0_core.simulation.tracks import body_tracks
from mu0_core.simulation.world import TableWorld
from mu0_core.spline.basis import design_matrix
from mu0_core.types import RgbdFrame, TraceForecast

MOVING_M = 0.03
_TRUE_RGB = (255, 255, 255)


@dataclass(frozen=True, slots=True)
class Demonstrated:
    """One forecast and what a demonstration from there looked like.

    Attributes:
        true_uvz: (N, 33, 3) u, v in [-1, 1] and z in metres at phase steps 0..32.
        num_steps: how many of the steps belong to the motion.
        achieved: the demonstration reached the goal.
    """

    task: str
    frame: RgbdFrame
    forecast: TraceForecast
    true_uvz: np.ndarray
    num_steps: int
    achieved: bool

    def average_error_m(self) -> float:
        """Return the mean distance over the points that truly move; NaN if none does."""
        truth = camera.uvz_to_metres(self.true_uvz, self.frame.intrinsics)
        moving = np.linalg.norm(truth - truth[:, :1], axis=-1).max(axis=1) > MOVING_M
        forecast, last = self.forecast, truth.shape[1] - 1
        basis = design_matrix(forecast.knots, forecast.degree, np.arange(last + 1) / last)
        predicted = np.einsum("hd,ndc->nhc", basis, forecast.control_points.astype(float))
        errors = np.linalg.norm(predicted - truth, axis=-1)[moving, 1 : self.num_steps + 1]
        return float(errors.mean()) if errors.size else float("nan")

    def picture(self) -> np.ndarray:
        """Return the image with forecast (solid, colour by phase) and truth (dashed white)."""
        intrinsics = self.frame.intrinsics
        pixels = camera.uv_to_pixels(self.true_uvz[..., :2], intrinsics.width, intrinsics.height)
        moving = np.linalg.norm(pixels - pixels[:, :1], axis=-1).max(axis=1) > 4.0
        solid = draw_forecast(self.frame.rgb, self.forecast, intrinsics)
        return draw_paths(solid, pixels[moving], colour=_TRUE_RGB, dashed=True)


def demonstrate(
    world: TableWorld,
    tasks: list[str],
    seed: int,
    selector: QueryPointSelector,
    forecaster: TraceForecaster,
    *,
    max_points: int = 32,
) -> Iterator[Demonstrated]:
    """Lay out the scene of ``seed`` and yield, task after task, a forecast and its demonstration.

    The tasks follow each other in one scene, as in the demo.

    Raises:
        Mu0Error: the forecast fails, or no query point is found.
    """
    world.reset(seed)
    for task in tasks:
        frame, bodies = world.render(), world.render_body_ids()
        instruction = world.instructions()[task]
        query = selector.select(frame, max_points)
        forecast = forecaster.forecast(frame, instruction, query, seed=seed)
        pixel = forecast.query.uv_px.astype(int)
        poses, achieved = _run_expert(world, task)
        tracks = body_tracks(
            forecast.query,
            bodies[pixel[:, 1], pixel[:, 0]],
            world.intrinsics,
            world.T_base_camera,
            poses,
            0,
        )
        path, num_steps = true_future(tracks, world.intrinsics)
        yield Demonstrated(task, frame, forecast, path, num_steps, achieved)


def _run_expert(world: TableWorld, task: str) -> tuple[np.ndarray, bool]:
    """Return body poses (K + 1, bodies, 4, 4) of a demonstration from here, and its success."""
    poses: list[np.ndarray] = []
    try:
        over = demonstration.demonstrate(
            world, task, on_step=lambda tip_m, opening_m: poses.append(world.body_poses())
        )
    except KinematicsError:
        over = False
    return np.array([*poses, world.body_poses()]), over and world.success(task)
