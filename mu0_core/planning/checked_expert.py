# SPDX-License-Identifier: Apache-2.0
"""An action expert whose chunks are checked against what is in the way, before anybody sees them.

What a chunk is meant to touch is not in its way: points near the things that are forecast to move,
near where they are to go, and near the tip where it stands, ends, or moves its fingers. What is
held is not part of the arm's shape. With ``detour`` an approach that would hit something is
replaced by a planned one that ends where the approach would have; the next forecast goes on there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from mu0_core.action_expert.geometric.traced_bodies import traced_bodies
from mu0_core.errors import ConfigError, PlanningError
from mu0_core.inference.protocols import ActionExpert
from mu0_core.planning.path_chunk import PathTiming, timed_steps
from mu0_core.planning.planner import Collision, Planner, require_free
from mu0_core.planning.scene import PlanningScene
from mu0_core.robot.kinematics import Kinematics
from mu0_core.types import ActionChunk, Proprioception, TraceForecast

Look = Callable[[Proprioception, np.ndarray], PlanningScene]
_FINGERS_MOVE_M = 0.002


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """What is checked.

    Attributes:
        detour: plan around what an approach would hit, instead of refusing it.
        contact_m: points so near to a place of contact are left out.
        moves_m: a body that is forecast to go further is touched.
        held_m: fingers that stand this much above closed, and as much below open, hold something.
    """

    detour: bool = False
    contact_m: float = 0.06
    moves_m: float = 0.03
    held_m: float = 0.008

    def __post_init__(self) -> None:
        if not min(self.contact_m, self.moves_m, self.held_m) > 0:
            raise ConfigError(f"lengths must be positive: {self}")


class CheckedExpert:
    """An `ActionExpert` around another one.

    Args:
        expert: proposes.
        planner: of the same arm; checks, and plans detours.
        look: returns the scene for joint states and T_base_camera (4, 4); may raise
            `ObservationError`.
        settings: what is checked.
    """

    def __init__(
        self,
        expert: ActionExpert,
        planner: Planner,
        look: Look,
        settings: CheckSettings | None = None,
    ) -> None:
        self._expert, self._planner, self._look = expert, planner, look
        self.settings = settings or CheckSettings()
        self._kinematics = Kinematics(planner.robot)
        self.model_id = expert.model_id
        self.detours = 0

    def propose(
        self,
        forecast: TraceForecast,
        proprioception: Proprioception,
        T_base_camera: np.ndarray,
        *,
        start_ns: int,
        sequence: int = 0,
        seed: int = 0,
    ) -> ActionChunk:
        """Return a chunk that touches nothing but what it is meant to.

        Raises:
            PlanningError: the chunk would hit something and no detour is allowed or found.
            PlannerUnavailableError: the planner does not answer.
            Mu0Error: what the expert raises, and what looking raises.
        """
        chunk = self._expert.propose(
            forecast,
            proprioception,
            T_base_camera,
            start_ns=start_ns,
            sequence=sequence,
            seed=seed,
        )
        scene = self._scene(forecast, proprioception, T_base_camera, chunk)
        steps = chunk.positions_rad[: chunk.execute_steps or None]
        path = np.concatenate([proprioception.positions_rad[None], steps])
        collision = self._planner.check(path, scene).collision
        if collision is None:
            return chunk
        if not self.settings.detour or self._holds(proprioception):
            raise PlanningError(f"the proposed motion: {collision}")
        return self._detour(chunk, path, collision, scene, seed)

    # -- parts -----------------------------------------------------------------------------------

    def _scene(
        self,
        forecast: TraceForecast,
        state: Proprioception,
        T_base_camera: np.ndarray,
        chunk: ActionChunk,
    ) -> PlanningScene:
        scene = self._look(state, T_base_camera)
        places = [self._tips(state, chunk)]
        for body in traced_bodies(forecast, T_base_camera):
            if np.linalg.norm(body.way_m, axis=1).max() > self.settings.moves_m:
                places += [body.points_m[0], body.points_m[-1]]
        widest = state.gripper_m if chunk.gripper_m is None else float(np.max(chunk.gripper_m))
        scene = replace(scene, gripper_m=max(state.gripper_m, widest))
        return scene.without_points_near(np.concatenate(places), self.settings.contact_m)

    def _tips(self, state: Proprioception, chunk: ActionChunk) -> np.ndarray:
        """Return where the tip (M, 3) stands now, ends, and moves its fingers."""
        rows = [len(chunk.positions_rad) - 1]
        if chunk.gripper_m is not None:
            rows += np.flatnonzero(np.abs(np.diff(chunk.gripper_m)) > _FINGERS_MOVE_M).tolist()
        joints = np.concatenate([state.positions_rad[None], chunk.positions_rad[rows]])
        return self._kinematics.tip(joints)[:, :3, 3]

    def _holds(self, state: Proprioception) -> bool:
        hand, margin = self._planner.robot.gripper, self.settings.held_m
        return hand.closed_m + margin < state.gripper_m < hand.open_m - margin

    def _detour(
        self,
        chunk: ActionChunk,
        path: np.ndarray,
        collision: Collision,
        scene: PlanningScene,
        seed: int,
    ) -> ActionChunk:
        """Return a chunk that leads around to the last free step before the fingers move."""
        end = len(path) - 1
        if chunk.gripper_m is not None:
            moves = np.flatnonzero(np.abs(np.diff(chunk.gripper_m[:end])) > _FINGERS_MOVE_M)
            end = int(moves[0]) + 1 if len(moves) else end
        for row in range(end, collision.step, -1):
            if self._planner.check(path[row : row + 1], scene).collision is None:
                break
        else:
            raise PlanningError(
                f"the proposed motion: {collision}, and nothing after that is free"
            )
        way = self._planner.plan(path[0], path[row], scene, seed=seed)
        timing = PathTiming(period_s=chunk.step_period_s)
        steps = timed_steps(way, self._planner, scene, timing)
        require_free(self._planner.check(np.concatenate([path[:1], steps]), scene), "the detour")
        self.detours += 1
        opening = None if chunk.gripper_m is None else np.full(len(steps), chunk.gripper_m[0])
        return replace(chunk, positions_rad=steps, gripper_m=opening, execute_steps=len(steps))
