# SPDX-License-Identifier: Apache-2.0
"""The whole loop without middleware: the same objects as the nodes, around a `TableWorld`.

Simulated time stands still while the models compute; the nodes run in real time instead. That is
the only difference: observations are taken at rest in both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from mu0_core.control.decision import Outcome
from mu0_core.control.joint_trajectory_controller import JointTrajectoryController
from mu0_core.control.safety_gate import SafetyGate
from mu0_core.errors import (
    ConfigError,
    InferenceError,
    KinematicsError,
    NoQueryPointsError,
    PlannerUnavailableError,
    PlanningError,
)
from mu0_core.inference.protocols import (
    ActionExpert,
    QueryPointSelector,
    TaskMonitor,
    TraceForecaster,
)
from mu0_core.simulation.world import TableWorld
from mu0_core.types import ActionChunk, RgbdFrame, TraceForecast

SERVO_PERIOD_S = 0.02
# What the nodes forgive a few times in a row as well.
_NO_CHUNK = (
    InferenceError,
    KinematicsError,
    NoQueryPointsError,
    PlannerUnavailableError,
    PlanningError,
)


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """How an episode runs; times in simulated seconds."""

    max_points: int = 32
    num_samples: int = 1
    max_duration_s: float = 30.0
    settle_s: float = 0.1
    max_rejected_chunks: int = 3
    max_failures: int = 3  # in a row, as the task server

    def __post_init__(self) -> None:
        if self.max_points < 1 or self.num_samples < 1 or self.max_duration_s <= 0:
            raise ConfigError(f"loop settings must be positive: {self}")


@dataclass(slots=True)
class EpisodeResult:
    """How one episode went. ``end`` is over, timeout, rejected or failed."""

    instruction: str
    end: str
    duration_s: float = 0.0
    rounds: int = 0
    chunks_rejected: int = 0
    progress: float = 0.0
    message: str = ""
    chunks: list[ActionChunk] = field(default_factory=list)


class ClosedLoop:
    """Runs tasks in one world. Deterministic for a seed."""

    def __init__(
        self,
        world: TableWorld,
        selector: QueryPointSelector,
        forecaster: TraceForecaster,
        expert: ActionExpert,
        monitor: TaskMonitor,
        settings: LoopSettings | None = None,
    ) -> None:
        self.world, self.selector, self.forecaster = world, selector, forecaster
        self.expert, self.monitor = expert, monitor
        self.settings = settings or LoopSettings()

    def run(
        self,
        instruction: str,
        seed: int,
        *,
        on_round: Callable[[RgbdFrame, TraceForecast], None] | None = None,
        on_tick: Callable[[TableWorld], None] | None = None,
    ) -> EpisodeResult:
        """Do what the instruction says, in the world as it stands, until the motion is over.

        Args:
            instruction: what is asked.
            seed: of the forecast and action noise.
            on_round: called with each image and its forecast.
            on_tick: called every `SERVO_PERIOD_S` of motion.
        """
        world, s = self.world, self.settings
        gate = SafetyGate(world.robot)
        state = world.proprioception()
        gate.observe(state, world.stamp_ns)
        arm = JointTrajectoryController(world.robot.arm_joints)
        arm.set_initial(state.positions_rad)
        fingers = JointTrajectoryController((world.robot.gripper.joint,))
        fingers.set_initial(np.array([state.gripper_m / world.robot.gripper.opening_per_joint_m]))
        self.monitor.reset()
        result, failures = EpisodeResult(instruction, "timeout"), 0
        start_s = world.time_s
        while world.time_s - start_s < s.max_duration_s:
            result.rounds += 1
            frame = world.render()
            try:
                query = self.selector.select(frame, s.max_points)
                noise_seed = seed * 1000 + result.rounds
                forecast = self.forecaster.forecast(
                    frame,
                    instruction,
                    query,
                    num_samples=s.num_samples,
                    seed=noise_seed,
                    sequence=result.rounds,
                )
                if on_round is not None:
                    on_round(frame, forecast)
                result.progress = self.monitor.update(forecast)
                if result.progress >= 1.0:
                    result.end = "over"
                    break
                state = world.proprioception()
                chunk = self.expert.propose(
                    forecast,
                    state,
                    world.T_base_camera,
                    start_ns=world.stamp_ns,
                    sequence=result.rounds,
                    seed=noise_seed,
                )
            except _NO_CHUNK as error:
                result.message, failures = f"{error.code}: {error}", failures + 1
                if failures >= s.max_failures:
                    result.end = "failed"
                    break
                self._run(arm, fingers, s.settle_s, gate, on_tick)
                continue
            failures = 0
            result.chunks.append(chunk)
            decision = gate.submit(chunk, state, world.stamp_ns)
            if decision.outcome is Outcome.REJECT:
                result.chunks_rejected += 1
                result.message = f"{decision.code}: {decision.message}"
                if result.chunks_rejected >= s.max_rejected_chunks:
                    result.end = "rejected"
                    break
                self._run(arm, fingers, s.settle_s, gate, on_tick)
                continue
            arm.accept(decision.arm, world.time_s)
            if decision.gripper is not None:
                fingers.accept(decision.gripper, world.time_s)
            busy = max(arm.remaining_s(world.time_s), fingers.remaining_s(world.time_s))
            self._run(arm, fingers, busy + s.settle_s, gate, on_tick)
        result.duration_s = world.time_s - start_s
        return result

    def _run(
        self,
        arm: JointTrajectoryController,
        fingers: JointTrajectoryController,
        duration_s: float,
        gate: SafetyGate,
        on_tick: Callable[[TableWorld], None] | None,
    ) -> None:
        """Let the controllers drive the servos for a while."""
        world = self.world
        gripper = world.robot.gripper
        for _ in range(max(1, round(duration_s / SERVO_PERIOD_S))):
            world.command_arm(arm.sample(world.time_s + SERVO_PERIOD_S)[0])
            opening = (
                fingers.sample(world.time_s + SERVO_PERIOD_S)[0][0] * gripper.opening_per_joint_m
            )
            world.command_gripper(float(np.clip(opening, gripper.closed_m, gripper.open_m)))
            world.step(SERVO_PERIOD_S)
            gate.observe(world.proprioception(), world.stamp_ns)
            if on_tick is not None:
                on_tick(world)
