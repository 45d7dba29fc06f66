# SPDX-License-Identifier: Apache-2.0
"""Traces and joint states in, one proposed `ActionChunk` for each forecast out.

Only the newest forecast counts: an older one that waits is dropped, and a chunk is not published
when a newer forecast came or its task ended meanwhile. What goes wrong is told on ``faults``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from mu0.msg import ActionChunk, ErrorCode, ModelInfo, TaskStatus, TraceArray
from sensor_msgs.msg import JointState

from mu0_core.errors import ObservationError, PlannerUnavailableError, StaleObservationError
from mu0_core.planning.home import home_chunk, is_home
from mu0_core.robot.description import load_robot
from mu0_core.types import ActionChunk as Chunk
from mu0_core.types import Proprioception
from mu0_ros import backends, qos
from mu0_ros.action_expert_parameters import ActionExpertParameters
from mu0_ros.conversions.action_chunk import msg_from_chunk
from mu0_ros.conversions.error_code import code_name, error_from
from mu0_ros.conversions.joint_state import proprioception_from_joint_state
from mu0_ros.conversions.trace import forecast_from_msg
from mu0_ros.diagnostics import SeedLog, StageTimes
from mu0_ros.lifecycle import Mu0LifecycleNode
from mu0_ros.node_process import run
from mu0_ros.observation_time import check_age
from mu0_ros.planning.home_motion import HomeMotion
from mu0_ros.planning.node_planning import NodePlanning
from mu0_ros.task_states import RUNNING
from mu0_ros.tf import make_transform_source
from mu0_ros.worker import Worker

_STEADY_MARGIN_S = 0.5  # simulated time may run slower than the steady clock


class ActionExpertNode(Mu0LifecycleNode):
    """Proposes; it cannot reach a controller."""

    def __init__(self) -> None:
        super().__init__("action_expert", ActionExpertParameters)

    def setup(self) -> None:
        """Load robot and model; make publishers, subscriptions and worker."""
        p = self.settings
        self._robot = load_robot(p.robot)
        self._planning: NodePlanning | None = None
        if p.planner != "none":
            self._planning = NodePlanning(self, self._robot, p)
        self._load()
        self._transforms = make_transform_source(self, p.transform_source)
        self._state: Proprioception | None = None
        self._state_arrived_s = float("-inf")
        self._task = TaskStatus()
        self._sequence, self._round, self._task_key = 0, 0, b""
        self._newest: TraceArray | None = None
        self._times, self._seeds = StageTimes(self.facts), SeedLog(self.facts)
        self.needs = ("traces", "joint_states", "task_status")
        self._chunks = self.create_lifecycle_publisher(ActionChunk, "action_chunk", qos.NEWEST)
        self._model_info = self.create_lifecycle_publisher(
            ModelInfo, "model_info_action", qos.LATCHED
        )
        self._faults = self.create_lifecycle_publisher(ErrorCode, "faults", qos.COMMAND)
        for kind, topic, callback, profile in (
            (JointState, "joint_states", self._on_joint_state, qos.STATE_STREAM),
            (TaskStatus, "task_status", self._on_task, qos.LATCHED),
            (TraceArray, "traces", self._on_traces, qos.NEWEST),
        ):
            self.create_subscription(kind, topic, self.guard(topic, callback), profile)
        self.create_timer(0.05, self.guard("schedule", self._schedule), clock=self.steady)
        self._home = HomeMotion(self, self._begin_home, self._publish, self._stands_at_home)
        self._worker = Worker("propose", self._fail)

    def teardown(self) -> None:
        """Close worker and planner."""
        if hasattr(self, "_worker"):
            self._worker.close()
        if getattr(self, "_planning", None) is not None:
            self._planning.close()
            self._planning = None

    def _load(self) -> None:
        p = self.settings
        self._expert = backends.make_expert(
            p.backend,
            p.model_id or self._robot.action_expert,
            self._robot,
            p.device,
            p.fake_fault,
        )
        if self._planning is not None:
            self._expert = self._planning.checked(self._expert)
        self._info = backends.model_info(
            self._expert.model_id,
            ModelInfo.KIND_ACTION_EXPERT,
            p.device,
            0,
            embodiment=self._robot.name,
        )
        self._info.header.stamp = self.get_clock().now().to_msg()
        self._info_due = True

    # -- inputs ----------------------------------------------------------------------------------

    def _on_joint_state(self, message: JointState) -> None:
        self._state = proprioception_from_joint_state(message, self._robot)
        self._state_arrived_s = self.steady_s()

    def _on_task(self, message: TaskStatus) -> None:
        self._task = message

    def _on_traces(self, message: TraceArray) -> None:
        if self._home.task_id and bytes(bytearray(message.task_id.uuid)) == self._home.task_id:
            return  # the way home is planned, not forecast
        self._newest = message  # older work that has not begun is dropped
        self._schedule()

    def _is_over(self, message: TraceArray) -> bool:
        """Say whether the task of a forecast has ended; one not heard of yet has not."""
        return message.task_id == self._task.task_id and self._task.state not in RUNNING

    # -- work ------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        if not self.active:
            return
        if self._info_due:
            self._info_due = False
            self._model_info.publish(self._info)
        if self._worker.busy_s > self.settings.inference_timeout_s:
            self._abandon()
        message = self._newest
        if message is None or self._worker.busy:
            return
        self._newest = None
        self._worker.try_start(lambda: self._propose(message))

    def _abandon(self) -> None:
        """Go on without a proposal that hangs; the model it holds is loaded anew."""
        self._worker.abandon()
        self._fail(TimeoutError(f"hung for {self.settings.inference_timeout_s} s"))
        if self.settings.backend == "model":
            self._worker.try_start(self._load)

    def _fail(self, error: Exception) -> None:
        self.counters[f"propose: {type(error).__name__}"] += 1
        message = error_from(backends.as_inference_error(error), self.get_fully_qualified_name())
        self.report(f"propose: {code_name(message)}: {message.message}")
        self._faults.publish(message)

    def _fresh_state(self, now_ns: int) -> Proprioception:
        allowed_s = self.settings.max_state_age_s
        if self._state is None:
            raise StaleObservationError("no joint states yet")
        silent_s = self.steady_s() - self._state_arrived_s
        if silent_s > allowed_s + _STEADY_MARGIN_S:  # also when the data clock stands still
            raise StaleObservationError(f"no joint states for {silent_s:.2f} s")
        check_age("joint states", self._state.stamp_ns, now_ns, allowed_s)
        return self._state

    def _T_base_camera(self, camera_frame: str, stamp_ns: int) -> np.ndarray:
        base = self.settings.frame_prefix + self._robot.base_frame
        return self._transforms.lookup(base, camera_frame, stamp_ns)

    def _propose(self, message: TraceArray) -> None:
        self._times.begin()
        forecast, now_ns = forecast_from_msg(message), self.now_ns()
        state = self._fresh_state(now_ns)
        check_age("forecast", forecast.stamp_ns, now_ns, self.settings.max_trace_age_s)
        T_base_camera = self._T_base_camera(forecast.frame_id, forecast.stamp_ns)
        task_key = bytes(bytearray(message.task_id.uuid))
        self._round = self._round + 1 if task_key == self._task_key else 1
        self._task_key = task_key
        self._sequence += 1
        self._times.lap("observe")
        chunk = self._expert.propose(
            forecast,
            state,
            T_base_camera,
            start_ns=now_ns,
            sequence=self._sequence,
            seed=self._seeds.note(self._sequence, self.settings.seed * 1000 + self._round),
        )
        self._times.lap("propose")
        if self._newest is not None or self._is_over(message):
            self.counters["chunks dropped: newer forecast or task over"] += 1
            return
        self._publish(replace(chunk, task_id=task_key))
        self._times.lap("publish")

    def _publish(self, chunk: Chunk) -> None:
        self._chunks.publish(msg_from_chunk(chunk, self._robot.gripper))

    # -- the way home ----------------------------------------------------------------------------

    def _stands_at_home(self) -> bool:
        try:
            state = self._fresh_state(self.now_ns())
        except ObservationError:
            return False  # not known
        return is_home(state.positions_rad, self._robot)

    def _begin_home(self, task_id: bytes, done: Callable[[Chunk | Exception], None]) -> bool:
        """Plan the way home in the worker's thread; say whether it was free."""

        def plan() -> None:
            try:
                done(self._way_home(task_id))
            except Exception as error:
                done(error)

        return self._worker.try_start(plan)

    def _way_home(self, task_id: bytes) -> Chunk:
        if self._planning is None:
            raise PlannerUnavailableError("go_home needs a planner: set the parameter planner")
        state = self._fresh_state(self.now_ns())
        scene, seen_ns = self._planning.look_around(state, self._T_base_camera)
        self._sequence += 1
        return home_chunk(
            self._planning.planner,
            scene,
            state,
            start_ns=self.now_ns(),
            observation_ns=min(seen_ns, state.stamp_ns),
            sequence=self._sequence,
            task_id=task_id,
        )


def main() -> None:
    """Run the node."""
    raise SystemExit(run(ActionExpertNode))


if __name__ == "__main__":
    main()
