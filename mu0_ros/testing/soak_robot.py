# SPDX-License-Identifier: Apache-2.0
"""The mock robot as a process of its own that is told what to break, and that judges its arm.

Topic ``mock_faults`` (a JSON object of `MockFaults`) breaks it, ``mock_report`` (a JSON object)
says how the arm fares. Nothing is kept, so that it can run for hours.
"""

from __future__ import annotations

import json
import time
from collections import deque

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from std_msgs.msg import String

from mu0_ros import qos
from mu0_ros.testing.mock_robot import MockFaults, MockRobot
from mu0_ros.testing.motion_judge import MotionJudge

_KEPT_WRONGS = 20


class SoakRobot(MockRobot):
    """A mock robot for hours of faults."""

    def __init__(self) -> None:
        super().__init__()
        self._judge = MotionJudge(self.robot.limits)
        self._wrongs: deque[tuple[float, str]] = deque(maxlen=_KEPT_WRONGS)
        self._wrong_count = self._commands = 0
        self._report = self.create_publisher(String, "mock_report", qos.STATE_STREAM)
        self.create_subscription(String, "mock_faults", self._on_faults, qos.LATCHED)

    def _on_faults(self, message: String) -> None:
        self.faults = MockFaults(**json.loads(message.data))

    def _note(self, text: str) -> None:
        self._wrong_count += 1
        self._wrongs.append((time.time(), text))

    def _sample(self) -> None:
        super()._sample()
        motion = self.motion
        for text in self._judge.add(
            motion.times_s.pop(), motion.positions.pop(), motion.velocities.pop()
        ):
            self._note(text)
        for text in self.refused:
            self._note(f"the controller refused a trajectory: {text}")
        self._commands += len(self.accepted)
        self.refused.clear()
        self.accepted.clear()
        report = {
            "time_s": time.time(),
            "rest": self.at_rest,
            "commands": self._commands,
            "worst": self._judge.worst,
            "wrong": self._wrong_count,
            "wrongs": list(self._wrongs),
        }
        self._report.publish(String(data=json.dumps(report)))


def main() -> None:
    """Run until told to stop."""
    rclpy.init()
    robot, executor = SoakRobot(), SingleThreadedExecutor()
    executor.add_node(robot)
    try:
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        robot.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
