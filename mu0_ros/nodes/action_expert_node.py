# SPDX-License-Identifier: Apache-2.0
"""Traces and joint states in, one proposed `ActionChunk` for each forecast out."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

from mu0.msg import ActionChunk, ModelInfo, TraceArray
from sensor_msgs.msg import JointState

from mu0_core.errors import StaleObservationError
from mu0_core.robot.description import load_robot
from mu0_core.types import Proprioception
from mu0_ros import backends, qos
from mu0_ros.conversions.action_chunk import msg_from_chunk
from mu0_ros.conversions.joint_state import proprioception_from_joint_state
from mu0_ros.conversions.trace import forecast_from_msg
from mu0_ros.lifecycle import Mu0LifecycleNode, run
from mu0_ros.params import parameter
from mu0_ros.tf import make_transform_source


@dataclass(frozen=True)
class ActionExpertParameters:
    """Parameters of the node."""

    robot: str = parameter("fr3", "name in config/robots or path of a robot description")
    model_id: str = parameter("mu0-embedded-fr3", "action expert in the registry")
    device: str = parameter("cpu", "torch device")
    backend: str = parameter("model", "model, or fake (a small motion, for tests)")
    fake_fault: str = parameter("", "fault of the fake backend: none, delay, exception, nan, hang")
    seed: int = parameter(0, "of the action noise", low=0, high=2**31)
    max_state_age_s: float = parameter(
        0.25, "oldest joint states to act from", unit="s", low=0.01, high=5.0
    )
    max_trace_age_s: float = parameter(
        3.0, "oldest forecast to act on", unit="s", low=0.05, high=30.0
    )
    transform_source: str = parameter("auto", "tf2, topic (camera_pose), or auto")


class ActionExpertNode(Mu0LifecycleNode):
    """Proposes; it cannot reach a controller."""

    def __init__(self) -> None:
        super().__init__("action_expert", ActionExpertParameters)

    def setup(self) -> None:
        """Load robot and model; make publishers and subscriptions."""
        p = self.settings
        self._robot = load_robot(p.robot)
        self._expert = backends.make_expert(
            p.backend, p.model_id, self._robot, p.device, p.fake_fault
        )
        self._transforms = make_transform_source(self, p.transform_source)
        self._state: Proprioception | None = None
        self._sequence, self._round, self._task_key = 0, 0, b""
        self._newest: TraceArray | None = None
        self._worker: threading.Thread | None = None
        self._chunks = self.create_lifecycle_publisher(ActionChunk, "action_chunk", qos.NEWEST)
        self._model_info = self.create_lifecycle_publisher(
            ModelInfo, "model_info_action", qos.LATCHED
        )
        self.create_subscription(
            JointState, "joint_states", self.guard("joint_states", self._on_joint_state),
            qos.STATE_STREAM,
        )
        self.create_subscription(
            TraceArray, "traces", self.guard("traces", self._on_traces), qos.NEWEST
        )
        self._info_due = True
        self.create_timer(0.02, self.guard("schedule", self._schedule), clock=self.steady)

    def _on_joint_state(self, message: JointState) -> None:
        self._state = proprioception_from_joint_state(message, self._robot)

    def _on_traces(self, message: TraceArray) -> None:
        self._newest = message  # older work that has not begun is dropped

    def _schedule(self) -> None:
        if not self.active:
            return
        if self._info_due:
            self._model_info.publish(
                backends.model_info(
                    self._expert.model_id, ModelInfo.KIND_ACTION_EXPERT, self.settings.device, 0,
                    embodiment=self._robot.name,
                )
            )
            self._info_due = False
        busy = self._worker is not None and self._worker.is_alive()
        if self._newest is None or busy:
            return
        message, self._newest = self._newest, None
        self._worker = self.in_thread("propose", lambda: self._propose(message))

    def _propose(self, message: TraceArray) -> None:
        started_s = self.steady_s()
        forecast = forecast_from_msg(message)
        state, now_ns = self._state, self.now_ns()
        if state is None:
            raise StaleObservationError("no joint states yet")
        for name, stamp_ns, allowed_s in (
            ("joint states", state.stamp_ns, self.settings.max_state_age_s),
            ("forecast", forecast.stamp_ns, self.settings.max_trace_age_s),
        ):
            age_s = (now_ns - stamp_ns) * 1e-9
            if not -0.1 <= age_s <= allowed_s:
                raise StaleObservationError(f"{name}: {age_s:.3f} s old, allowed 0..{allowed_s}")
        T_base_camera = self._transforms.lookup(
            self._robot.base_frame, forecast.frame_id, forecast.stamp_ns
        )
        task_key = bytes(bytearray(message.task_id.uuid))
        self._round = self._round + 1 if task_key == self._task_key else 1
        self._task_key = task_key
        self._sequence += 1
        chunk = self._expert.propose(
            forecast, state, T_base_camera, start_ns=now_ns, sequence=self._sequence,
            seed=self.settings.seed * 1000 + self._round,
        )
        self.facts["propose_ms"] = f"{(self.steady_s() - started_s) * 1e3:.1f}"
        self._chunks.publish(msg_from_chunk(replace(chunk, task_id=task_key), self._robot.gripper))


def main() -> None:
    """Run the node."""
    raise SystemExit(run(ActionExpertNode))


if __name__ == "__main__":
    main()
