# SPDX-License-Identifier: Apache-2.0
"""The embedded simulator as a robot: camera, joint states, controllers, clock.

What it offers is what a real arm offers. The two services that know the truth (lay out a scene,
judge it) are for test benches; no node of the policy calls them.
"""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass

import numpy as np
from builtin_interfaces.msg import Time
from mu0.srv import EvaluateScene, ResetScene
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import ExternalShutdownException
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Header
from trajectory_msgs.msg import JointTrajectory

from mu0_core.control.joint_trajectory_controller import JointTrajectoryController
from mu0_core.errors import SimulationError
from mu0_core.robot.description import load_robot
from mu0_ros import qos
from mu0_ros.conversions.camera import info_from_intrinsics
from mu0_ros.conversions.error_code import error_code, error_from
from mu0_ros.conversions.image import image_from_depth_m, image_from_rgb
from mu0_ros.conversions.stamp import stamp_from_ns
from mu0_ros.conversions.trajectory import trajectory_from_msg
from mu0_ros.lifecycle import Mu0LifecycleNode
from mu0_ros.node_process import run
from mu0_ros.params import parameter
from mu0_ros.tf import CameraPosePublisher

_TICK_S = 0.02
# Simulated time may hurry so long after a slow tick, then it lags for good: in a longer hurry it
# would run away from commands that are on their way.
_CATCH_UP_S = 0.1
_SERVICE_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class SimulatorParameters:
    """Parameters of the node."""

    robot: str = parameter("fr3", "name in config/robots or path of a robot description")
    seed: int = parameter(50_000, "scene at the start", low=0, high=2**62)
    width: int = parameter(640, "camera image width", unit="px", low=64, high=1280)
    height: int = parameter(480, "camera image height", unit="px", low=48, high=960)
    camera_rate_hz: float = parameter(
        10.0, "colour and depth images", unit="Hz", low=1.0, high=50.0
    )
    frame_prefix: str = parameter("", "of all frames, such as left/")
    real_time_factor: float = parameter(1.0, "simulated against real time", low=0.05, high=20.0)


class SimulatorNode(Mu0LifecycleNode):
    """Steps a `TableWorld` in real time in a thread that also owns the renderer."""

    def __init__(self) -> None:
        super().__init__("simulator", SimulatorParameters)

    def setup(self) -> None:
        """Make publishers, controllers and services; the world is made by its thread."""
        self._robot = load_robot(self.settings.robot)
        robot = self._robot
        self._requests: queue.Queue = queue.Queue()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._arm = JointTrajectoryController(robot.arm_joints)
        self._fingers = JointTrajectoryController((robot.gripper.joint,))
        self._sim_ns = 0
        self._epoch_ns = 0
        self._colour = self.create_lifecycle_publisher(Image, "color/image_raw", qos.SENSOR)
        self._depth = self.create_lifecycle_publisher(Image, "depth/image_raw", qos.SENSOR)
        self._info = self.create_lifecycle_publisher(CameraInfo, "color/camera_info", qos.SENSOR)
        self._joints = self.create_lifecycle_publisher(
            JointState, "joint_states", qos.STATE_STREAM
        )
        self._pose = CameraPosePublisher(self)
        self._clock_topic = self.create_lifecycle_publisher(Clock, "/clock", qos.NEWEST)
        for name, controller in (
            (robot.arm_controller, self._arm),
            (robot.gripper_controller, self._fingers),
        ):
            self.create_subscription(
                JointTrajectory,
                f"{name}/joint_trajectory",
                self.guard(name, lambda m, c=controller: self._on_trajectory(c, m)),
                qos.COMMAND,
            )
        group = ReentrantCallbackGroup()
        self.create_service(ResetScene, "~/reset_scene", self._on_reset, callback_group=group)
        self.create_service(
            EvaluateScene, "~/evaluate_scene", self._on_evaluate, callback_group=group
        )
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the world and wait for its first image."""
        ready = threading.Event()
        self._stop.clear()
        self._thread = self.in_thread("world", lambda: self._run(ready))
        while not ready.wait(0.1):
            if not self._thread.is_alive():
                raise SimulationError("the simulated world did not start; see the log above")

    def halt(self) -> None:
        """Stop the world."""
        if hasattr(self, "_stop"):
            self._stop.set()
            if self._thread is not None:
                self._thread.join(timeout=5.0)

    # -- the world's own thread ------------------------------------------------------------------

    def _run(self, ready: threading.Event) -> None:
        from mu0_core.simulation.world import TableWorld

        world = TableWorld(self._robot, width=self.settings.width, height=self.settings.height)
        try:
            self._reset(world, self.settings.seed)
            world.render()
            ready.set()
            self._spin(world)
        except ExternalShutdownException:
            pass
        finally:
            world.close()

    def _spin(self, world) -> None:
        every = max(1, round(1.0 / (self.settings.camera_rate_hz * _TICK_S)))
        due, tick = time.monotonic(), 0
        while not self._stop.is_set():
            self._serve(world)
            self._step(world)
            self._publish_state(world)
            if tick % every == 0:
                self._publish_images(world)
            tick += 1
            due += _TICK_S / self.settings.real_time_factor
            pause = due - time.monotonic()
            if pause > 0:
                time.sleep(pause)
            else:
                due = max(due, time.monotonic() - _CATCH_UP_S)

    def _serve(self, world) -> None:
        """Do what services asked for, in this thread."""
        while True:
            try:
                work, done, answer = self._requests.get_nowait()
            except queue.Empty:
                return
            try:
                answer.append(work(world))
            except Exception as error:  # handed to the caller of the service
                answer.append(error)
            done.set()

    def _reset(self, world, seed: int) -> dict[str, str]:
        world.reset(seed)
        state = world.proprioception()
        gripper = self._robot.gripper
        with self._lock:
            self._epoch_ns = self._sim_ns  # the clock goes on: it never jumps back
            self._arm.set_initial(state.positions_rad)
            self._fingers.set_initial(np.array([state.gripper_m / gripper.opening_per_joint_m]))
        return world.instructions()

    def _step(self, world) -> None:
        gripper = self._robot.gripper
        with self._lock:
            now_s = self._sim_ns * 1e-9 + _TICK_S
            positions, _ = self._arm.sample(now_s)
            finger, _ = self._fingers.sample(now_s)
        world.command_arm(positions)
        opening = finger[0] * gripper.opening_per_joint_m
        world.command_gripper(float(np.clip(opening, gripper.closed_m, gripper.open_m)))
        world.step(_TICK_S)
        self._sim_ns = self._epoch_ns + world.stamp_ns

    def _header(self, frame_id: str) -> Header:
        return Header(stamp=self._stamp(), frame_id=self.settings.frame_prefix + frame_id)

    def _stamp(self) -> Time:
        return stamp_from_ns(self._sim_ns)

    def _publish_state(self, world) -> None:
        self._clock_topic.publish(Clock(clock=self._stamp()))
        state, robot = world.proprioception(), self._robot
        message = JointState(header=self._header(robot.base_frame))
        message.name = [*robot.arm_joints, robot.gripper.joint]
        finger = state.gripper_m / robot.gripper.opening_per_joint_m
        message.position = [*state.positions_rad.tolist(), finger]
        message.velocity = [*state.velocities_rad_s.tolist(), 0.0]
        self._joints.publish(message)

    def _publish_images(self, world) -> None:
        frame = world.render()
        colour, depth = image_from_rgb(frame.rgb), image_from_depth_m(frame.depth_m)
        info = info_from_intrinsics(frame.intrinsics)
        for message in (colour, depth, info):
            message.header = self._header(frame.frame_id)
        self._info.publish(info)
        self._colour.publish(colour)
        self._depth.publish(depth)
        prefix = self.settings.frame_prefix
        self._pose.publish(
            world.T_base_camera,
            prefix + self._robot.base_frame,
            prefix + frame.frame_id,
            self._sim_ns,
        )

    # -- executor thread -------------------------------------------------------------------------

    def _on_trajectory(self, controller: JointTrajectoryController, message) -> None:
        trajectory = trajectory_from_msg(message)
        with self._lock:
            start_s = trajectory.start_ns * 1e-9 if trajectory.start_ns else None
            controller.accept(trajectory, self._sim_ns * 1e-9, start_s)

    def _ask(self, work):
        done, answer = threading.Event(), []
        self._requests.put((work, done, answer))
        if not done.wait(_SERVICE_TIMEOUT_S):
            raise SimulationError("the simulated world does not answer")
        if isinstance(answer[0], Exception):
            raise answer[0]
        return answer[0]

    def _on_reset(self, request, response):
        try:
            instructions = self._ask(lambda world: self._reset(world, request.seed))
        except Exception as error:
            response.error = error_from(error, self.get_fully_qualified_name())
            return response
        response.tasks, response.instructions = list(instructions), list(instructions.values())
        response.error = error_code()
        return response

    def _on_evaluate(self, request, response):
        def judge(world):
            return {task: world.success(task) for task in world.instructions()}

        try:
            result = self._ask(judge)
        except Exception as error:
            response.error = error_from(error, self.get_fully_qualified_name())
            return response
        response.tasks, response.success = list(result), list(result.values())
        response.error = error_code()
        return response


def main() -> None:
    """Run the node."""
    raise SystemExit(run(SimulatorNode))


if __name__ == "__main__":
    main()
