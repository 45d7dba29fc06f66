# SPDX-License-Identifier: Apache-2.0
"""The safety gate as a process without torch: the only one that talks to the controllers.

It passes chunks of the running task only, holds when data grows old, brakes when the task ends.
NOT a safety-rated device.
"""

from __future__ import annotations

import numpy as np
from mu0.msg import ActionChunk, SafetyStatus, TaskStatus
from sensor_msgs.msg import JointState, PointCloud2
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from mu0_core.control.decision import GateState, Outcome
from mu0_core.control.safety_gate import SafetyGate
from mu0_core.errors import Mu0Error, ObservationError
from mu0_core.robot.description import load_robot
from mu0_core.types import Proprioception
from mu0_ros import qos
from mu0_ros.conversions.action_chunk import chunk_from_msg
from mu0_ros.conversions.error_code import error_code
from mu0_ros.conversions.joint_state import proprioception_from_joint_state
from mu0_ros.conversions.trajectory import msg_from_trajectory
from mu0_ros.gate_parameters import SafetyGateParameters
from mu0_ros.gate_surroundings import ProtectiveStop, hindrances, scene_points
from mu0_ros.lifecycle import Mu0LifecycleNode
from mu0_ros.node_process import run
from mu0_ros.obstacles import obstacles_from_file
from mu0_ros.task_states import RUNNING

_LOOK_PERIOD_S = 0.5  # at the graph


class SafetyGateNode(Mu0LifecycleNode):
    """Chunks in, trajectories that end at rest out."""

    def __init__(self) -> None:
        super().__init__("safety_gate", SafetyGateParameters)

    def setup(self) -> None:
        """Read the robot; make publishers, subscriptions and services."""
        p = self.settings
        self._robot = load_robot(p.robot)
        boxes = obstacles_from_file(p.obstacles)
        self._gate = SafetyGate(self._robot, p.gate_settings(), boxes)
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
        if p.points_topic:
            cloud = self.guard("points", self._on_points)
            self.create_subscription(PointCloud2, p.points_topic, cloud, qos.SENSOR)
        self._stop_signal = None
        if p.protective_stop_topic:
            self._stop_signal = ProtectiveStop(
                self, p.protective_stop_topic, p.protective_stop_value, self._on_protective_stop
            )
        self.create_timer(0.1, self.guard("watch", self._watch), clock=self.steady)
        look = self.guard("surroundings", self._look_around)
        self.create_timer(_LOOK_PERIOD_S, look, clock=self.steady)
        self.on_clock_jump(self._on_clock_jump)

    def start(self) -> None:
        """See who else is there before the first chunk."""
        self._look_around()

    def halt(self) -> None:
        """Brake; the trajectory that is under way ends at rest in any case."""
        if hasattr(self, "_gate"):
            self._brake("DEACTIVATED", "the gate was deactivated")

    # -- inputs ----------------------------------------------------------------------------------

    def _on_joint_state(self, message: JointState) -> None:
        try:
            self._state = proprioception_from_joint_state(message, self._robot)
        except ObservationError:
            self._gate.readiness.bad_states()
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
                clock=self.now_ns,
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
        response.success = self._gate.reset()
        response.message = "ready" if response.success else self._gate.cause_message
        self._publish_status()
        return response

    def _on_protective_stop(self, stopped: bool) -> None:
        was_latched = self._gate.state is GateState.LATCHED
        self._gate.alarm(f"{self.settings.protective_stop_topic} says stop" if stopped else "")
        if stopped and not was_latched:
            self.report(f"latched: {self._gate.cause}: {self._gate.cause_message}")
        if stopped:
            self._brake()
        self._publish_status()

    def _on_points(self, message: PointCloud2) -> None:
        self._gate.see_points(*scene_points(message, self._robot, self.settings.point_radius_m))

    def _look_around(self) -> None:
        """Note what the surroundings say against motion; it refuses chunks while it lasts."""
        found = {}
        if self.settings.require_controller and not self.settings.dry_run:
            found = hindrances(self, self._robot)
        if self._stop_signal is not None:
            self._stop_signal.look()
            if not self._stop_signal.heard:
                topic = self.settings.protective_stop_topic
                found["protective stop"] = ("NOT_READY", f"nothing heard on {topic} yet")
        self._gate.readiness.hindrances = found
        for code, message in found.values():
            self.report(f"{code}: {message}")

    def _on_clock_jump(self, jump: object) -> None:
        self.report("CLOCK_JUMP: time jumped; holding until fresh joint states come")
        self._brake("CLOCK_JUMP", "time jumped")
        self._gate.restart_clock()
        self._state = None
        self._publish_status()

    # -- outputs ---------------------------------------------------------------------------------

    def _brake(self, code: str = "CANCELED", message: str = "stopped") -> None:
        brake = self._gate.stop(self.now_ns(), code, message, self.now_ns)
        if brake is not None and not self.settings.dry_run:
            self._arm.publish(msg_from_trajectory(brake))

    def _watch(self) -> None:
        """Brake when joint states stop coming while the arm moves (steady clock, age of data)."""
        age_s = self.steady_s() - self._state_arrived_s
        moving = self._gate.is_moving(self.now_ns())
        if moving and age_s > self.settings.max_state_age_s + 0.1:
            cause = f"no joint states for {age_s:.2f} s"
            self.report(f"OBSERVATION_STALE: {cause}, holding")
            self._gate.readiness.bad_states()
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
        if self._state is not None:
            message.min_clearance = gate.clearance_m(self._state.positions_rad)
        self._status.publish(message)


def main() -> None:
    """Run the node."""
    raise SystemExit(run(SafetyGateNode))


if __name__ == "__main__":
    main()
