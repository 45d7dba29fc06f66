# SPDX-License-Identifier: Apache-2.0
"""The safety gate as a process without torch: the only one that talks to the controllers.

It passes chunks of the running task only, holds when data grows old, brakes when the task ends.
NOT a safety-rated device.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from mu0.msg import ActionChunk, SafetyStatus, TaskStatus
from rclpy.clock import JumpThreshold
from rclpy.duration import Duration
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from mu0_core.control.decision import GateState, Outcome
from mu0_core.control.gate_settings import GateSettings
from mu0_core.control.safety_gate import SafetyGate
from mu0_core.errors import Mu0Error, ObservationError
from mu0_core.robot.description import load_robot
from mu0_core.types import Proprioception
from mu0_ros import qos
from mu0_ros.conversions.action_chunk import chunk_from_msg
from mu0_ros.conversions.error_code import error_code
from mu0_ros.conversions.joint_state import proprioception_from_joint_state
from mu0_ros.conversions.trajectory import msg_from_trajectory
from mu0_ros.lifecycle import Mu0LifecycleNode, run
from mu0_ros.params import parameter
from mu0_ros.task_states import RUNNING

_DEFAULT = GateSettings()


@dataclass(frozen=True)
class SafetyGateParameters:
    """Parameters of the node; those of the gate itself have their defaults in `GateSettings`."""

    robot: str = parameter("fr3", "name in config/robots or path of a robot description")
    dry_run: bool = parameter(False, "check chunks but command nothing")
    speed_scale: float = parameter(
        _DEFAULT.speed_scale,
        "share of the robot's speed limits that may be used",
        low=0.01,
        high=1.0,
    )
    max_observation_age_s: float = parameter(
        _DEFAULT.max_observation_age_s,
        "oldest observation of a chunk at full speed",
        unit="s",
        low=0.01,
        high=10.0,
    )
    max_observation_age_at_rest_s: float = parameter(
        _DEFAULT.max_observation_age_at_rest_s,
        "oldest observation of a chunk at rest",
        unit="s",
        low=0.01,
        high=30.0,
    )
    max_state_age_s: float = parameter(
        _DEFAULT.max_state_age_s, "oldest joint states", unit="s", low=0.01, high=5.0
    )
    max_tracking_error_rad: float = parameter(
        _DEFAULT.max_tracking_error_rad,
        "commanded against measured; more latches",
        unit="rad",
        low=0.001,
        high=1.0,
    )
    arming_s: float = parameter(
        _DEFAULT.arming_s,
        "healthy joint states needed before motion",
        unit="s",
        low=0.0,
        high=10.0,
    )
    jitter_s: float = parameter(
        _DEFAULT.jitter_s,
        "how far the controller may be ahead of or behind the gate",
        unit="s",
        low=0.0,
        high=0.2,
    )
    require_task: bool = parameter(True, "pass only chunks of the task that task_status names")


class SafetyGateNode(Mu0LifecycleNode):
    """Chunks in, trajectories that end at rest out."""

    def __init__(self) -> None:
        super().__init__("safety_gate", SafetyGateParameters)

    def setup(self) -> None:
        """Read the robot; make publishers, subscriptions and services."""
        p = self.settings
        self._robot = load_robot(p.robot)
        self._gate = SafetyGate(
            self._robot,
            GateSettings(
                dry_run=p.dry_run,
                speed_scale=p.speed_scale,
                max_observation_age_s=p.max_observation_age_s,
                max_observation_age_at_rest_s=p.max_observation_age_at_rest_s,
                max_state_age_s=p.max_state_age_s,
                max_tracking_error_rad=p.max_tracking_error_rad,
                arming_s=p.arming_s,
                jitter_s=p.jitter_s,
            ),
        )
        self._state: Proprioception | None = None
        self._state_arrived_s = -np.inf
        self._task = TaskStatus()
        self._observation_ns = 0
        robot = self._robot
        self._arm = self.create_lifecycle_publisher(
            JointTrajectory, f"{robot.arm_controller}/joint_trajectory", qos.COMMAND
        )
        self._gripper = self.create_lifecycle_publisher(
            JointTrajectory, f"{robot.gripper_controller}/joint_trajectory", qos.COMMAND
        )
        self._status = self.create_lifecycle_publisher(SafetyStatus, "safety_status", qos.LATCHED)
        for kind, topic, callback, profile in (
            (JointState, "joint_states", self._on_joint_state, qos.STATE_STREAM),
            (ActionChunk, "action_chunk", self._on_chunk, qos.NEWEST),
            (TaskStatus, "task_status", self._on_task, qos.LATCHED),
        ):
            self.create_subscription(kind, topic, self.guard(topic, callback), profile)
        self.create_service(Trigger, "~/stop", self._on_stop)
        self.create_service(Trigger, "~/reset", self._on_reset)
        self.create_timer(0.1, self.guard("watch", self._watch), clock=self.steady)
        self.get_clock().create_jump_callback(
            JumpThreshold(min_forward=Duration(seconds=2), min_backward=Duration(nanoseconds=-1)),
            post_callback=self.guard("clock", self._on_clock_jump),
        )

    def halt(self) -> None:
        """Brake; the trajectory that is under way ends at rest in any case."""
        if hasattr(self, "_gate"):
            self._brake("DEACTIVATED", "the gate was deactivated")

    # -- inputs ----------------------------------------------------------------------------------

    def _on_joint_state(self, message: JointState) -> None:
        try:
            self._state = proprioception_from_joint_state(message, self._robot)
        except ObservationError:
            self._gate.lose_observations()
            raise
        self._state_arrived_s = self.steady_s()
        before = self._gate.state
        self._gate.observe(self._state, self.now_ns())
        if self._gate.state is GateState.LATCHED and before is not GateState.LATCHED:
            self.report(f"latched: {self._gate.cause}: {self._gate.cause_message}")
            self._brake()
            self._publish_status()

    def _on_chunk(self, message: ActionChunk) -> None:
        if not self.active:
            return
        running = self._task.state in RUNNING
        if self.settings.require_task and not (running and message.task_id == self._task.task_id):
            self._gate.counters["reject"] += 1
            self._gate.counters["no such task running"] += 1
            self._publish_status()
            return
        task = self._task
        try:
            chunk = chunk_from_msg(message, self._robot.gripper)
        except Mu0Error as error:
            decision = self._gate.refuse(error.code, str(error))
        else:
            decision = self._gate.submit(
                chunk,
                self._state,
                self.now_ns(),
                dry_run=task.dry_run,
                speed_scale=self._task_scale(),
            )
        if decision.outcome is Outcome.REJECT:
            self.report(f"chunk {message.sequence} rejected: {decision.code}: {decision.message}")
        else:
            self._observation_ns = chunk.observation_ns
            if decision.arm is not None:
                self._arm.publish(msg_from_trajectory(decision.arm))
            if decision.gripper is not None:
                self._gripper.publish(msg_from_trajectory(decision.gripper))
        self._publish_status()

    def _task_scale(self) -> float:
        """Return the share of the limits that the task asked for; 0 on the wire = all."""
        return self._task.speed_scale if self._task.speed_scale != 0 else 1.0

    def _on_task(self, message: TaskStatus) -> None:
        was_running = self._task.state in RUNNING
        self._task = message
        if was_running and message.state not in RUNNING:
            self._brake("CANCELED", "the task ended")
            self._publish_status()

    def _on_stop(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._brake("CANCELED", "stopped by service")
        self._publish_status()
        response.success, response.message = True, "holding"
        return response

    def _on_reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._gate.reset()
        self._publish_status()
        response.success, response.message = True, "ready"
        return response

    def _on_clock_jump(self, jump: object) -> None:
        self.report("CLOCK_JUMP: time jumped; holding until fresh joint states come")
        self._brake("CLOCK_JUMP", "time jumped")
        self._gate.restart_clock()
        self._state = None

    # -- outputs ---------------------------------------------------------------------------------

    def _brake(self, code: str = "CANCELED", message: str = "stopped") -> None:
        brake = self._gate.stop(self.now_ns(), code, message)
        if brake is not None and not self.settings.dry_run:
            self._arm.publish(msg_from_trajectory(brake))

    def _watch(self) -> None:
        """Brake when joint states stop coming while the arm moves (steady clock, age of data)."""
        age_s = self.steady_s() - self._state_arrived_s
        moving = self._gate.is_moving(self.now_ns())
        if moving and age_s > self.settings.max_state_age_s + 0.1:
            cause = f"no joint states for {age_s:.2f} s"
            self.report(f"OBSERVATION_STALE: {cause}, holding")
            self._gate.lose_observations()
            self._brake("OBSERVATION_STALE", cause)
        self._publish_status()

    def _publish_status(self) -> None:
        gate, now_ns = self._gate, self.now_ns()
        message = SafetyStatus()
        message.header.stamp = self.get_clock().now().to_msg()
        state = gate.state
        if state in (GateState.PASSING, GateState.LIMITING) and not gate.is_moving(now_ns):
            state = GateState.IDLE
        message.state = int(state)
        message.cause = error_code(gate.cause, gate.cause_message, self.get_fully_qualified_name())
        message.speed_scale = gate.settings.speed_scale * self._task_scale()
        message.chunks_accepted = gate.counters[Outcome.ACCEPT.value]
        message.chunks_limited = gate.counters[Outcome.LIMIT.value]
        message.chunks_rejected = gate.counters[Outcome.REJECT.value]
        if self._observation_ns:
            message.observation_age = (now_ns - self._observation_ns) * 1e-9
        message.queue_duration = gate.queue_s(now_ns)
        limits = self._robot.limits
        message.min_joint_margin = float("nan")
        if self._state is not None:
            q = self._state.positions_rad
            message.min_joint_margin = float(
                np.min(np.minimum(q - limits.lower_rad, limits.upper_rad - q))
            )
        message.min_clearance = float("nan")
        self._status.publish(message)


def main() -> None:
    """Run the node."""
    raise SystemExit(run(SafetyGateNode))


if __name__ == "__main__":
    main()
