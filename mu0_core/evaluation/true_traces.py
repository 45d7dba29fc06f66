# SPDX-License-Identifier: Apache-2.0
"""A forecaster that knows: the scripted expert's own traces, from the simulator's truth.

With it, a roll-out shows what an action expert makes of perfect traces, so that its errors and the
world model's can be told apart. It never drives a robot.
"""

from __future__ import annotations

import numpy as np

from mu0_core.errors import InferenceError, SimulationError
from mu0_core.evaluation.true_future import HORIZON, true_future
from mu0_core.geometry import camera
from mu0_core.model.config import WorldModelConfig
from mu0_core.model.render import DEGREE, trace_knots
from mu0_core.simulation.path_bodies import PathBodies
from mu0_core.simulation.shadow_table import ShadowTable, play
from mu0_core.simulation.tasks import NEW_TASKS, TASKS, targets_of
from mu0_core.simulation.tracks import body_tracks
from mu0_core.simulation.world import TableWorld
from mu0_core.training.trace_fit import TraceFit
from mu0_core.types import QueryPoints, RgbdFrame, TraceForecast


class TrueTraceForecaster:
    """Forecasts what the scripted expert would do next; a `TraceForecaster`.

    Args:
        world: whose state is read at each forecast.
        config: of the world model whose knots and horizon are imitated.
    """

    model_id = "true-traces"  # given in place of a world model

    def __init__(self, world: TableWorld, config: WorldModelConfig) -> None:
        self._world, self._bodies = world, PathBodies(world)
        self._knots, self._fit = trace_knots(config), TraceFit.for_model(config)

    def forecast(
        self,
        frame: RgbdFrame,
        instruction: str,
        query: QueryPoints,
        *,
        num_samples: int = 1,
        seed: int = 0,
        sequence: int = 0,
    ) -> TraceForecast:
        """Return the true traces; samples and seed make no difference.

        Raises:
            SimulationError: the sentence is none of the scene's.
            InferenceError: the way is out of reach from here.
        """
        world = self._world
        task = self._task(instruction)
        pixel = query.uv_px.astype(int)
        under = world.render_body_ids()[pixel[:, 1], pixel[:, 0]]
        path, _ = play(ShadowTable.of_world(world), task, targets_of(world.layout, task))
        poses = self._bodies.poses(path, world.body_poses())
        if not np.isfinite(poses).all():
            raise InferenceError(f"the scripted expert cannot reach what {instruction!r} needs")
        tracks = body_tracks(query, under, frame.intrinsics, world.T_base_camera, poses, 0)
        uvz, num_steps = true_future(tracks, frame.intrinsics)
        start = uvz[:, :1]
        uvz = start + np.einsum("hk,nkc->nhc", self._fit.basis @ self._fit.smooth, uvz - start)
        control = np.einsum(
            "dh,nhc->ndc", self._fit.exact, camera.uvz_to_metres(uvz, frame.intrinsics)
        )
        return TraceForecast(
            control_points=control.astype(np.float32),
            knots=self._knots,
            degree=DEGREE,
            valid_until=np.full(len(query), num_steps / HORIZON, np.float32),
            spread_m=None,
            query=query,
            instruction=instruction,
            model_id=self.model_id,
            frame_id=frame.frame_id,
            stamp_ns=frame.stamp_ns,
            sequence=sequence,
            inference_s=0.0,
        )

    def _task(self, instruction: str) -> str:
        for variant in range(3):
            for name in (*TASKS, *NEW_TASKS):
                if self._world.instruction(name, variant) == instruction:
                    return name
        raise SimulationError(
            f"{instruction!r} is no sentence of this scene; tasks: {[*TASKS, *NEW_TASKS]}"
        )
