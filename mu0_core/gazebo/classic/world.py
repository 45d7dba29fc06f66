# SPDX-License-Identifier: Apache-2.0
"""`GazeboTableWorld`: the demo table in Gazebo Classic, used as a `TableWorld` is used.

A seed that is new starts a new gzserver with its world, so that sizes, colours, lamp and camera
are right; that takes seconds. Success is judged by the embedded simulator's own tests, from the
poses that Gazebo reports.
"""

from __future__ import annotations

import numpy as np

from mu0_core.errors import SimulationError
from mu0_core.gazebo.classic.connection import BridgeConnection, GazeboState
from mu0_core.gazebo.classic.server import MESHES, GazeboServer
from mu0_core.gazebo.classic.table_sdf import BODIES, HOUSING_VISUAL, servo_joints, table_sdf
from mu0_core.robot.description import RobotDescription
from mu0_core.robot.kinematics import Kinematics
from mu0_core.simulation import scene
from mu0_core.simulation.layout import Layout, sample_layout
from mu0_core.simulation.posture import TOOL_DOWN
from mu0_core.simulation.simulated_arm import TableFrame
from mu0_core.simulation.table_view import TableView
from mu0_core.simulation.tasks import TASKS, get_task, targets_of
from mu0_core.simulation.viewpoint import look_at
from mu0_core.simulation.world import CAMERA_FRAME
from mu0_core.types import CameraIntrinsics, Proprioception, RgbdFrame

WIDTH, HEIGHT = 640, 480
_SETTLE_S = 0.3
_SEEN_M = 9.0  # beyond is unknown, as in the embedded simulator
_LINK_OF = {"bowl": "bowl::link", "plate": "plate::link", "button": "button::housing"}
_LINK_OF |= {cube: f"{cube}::link" for cube in scene.CUBES}


class GazeboTableWorld:
    """The scene in Gazebo Classic 11. Not thread-safe; `reset` before anything else.

    Args:
        robot: the arm.
        server: where gzserver runs; closed with the world.
    """

    table_frame = TableFrame()

    def __init__(self, robot: RobotDescription, server: GazeboServer) -> None:
        self.robot, self._server = robot, server
        self.kinematics = Kinematics(robot)
        self.table = TableView(self)
        self.layout: Layout
        self.button_was_pressed = False
        self._connection: BridgeConnection | None = None
        self._state: GazeboState
        self._joints = servo_joints(robot)
        self._targets = np.zeros(len(self._joints))
        self._started_s = 0.0

    # -- episode ---------------------------------------------------------------------------------

    def reset(self, seed: int) -> None:
        """Lay out the episode of ``seed``; the arm is at its start."""
        if self._connection is None or seed != self.layout.seed:
            self._start(seed)
        else:
            self._connection.restore()
            self._connection.paint(HOUSING_VISUAL, scene.BUTTON_DARK_RGB)
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = TOOL_DOWN, self.layout.start_tip_m
        self.command_arm(self.kinematics.inverse(pose, self.robot.home_rad))
        self.command_gripper(self.robot.gripper.open_m)
        self._state = self._connected().place(self._targets)
        self.step(_SETTLE_S)
        self._started_s = self._state.time_s
        self.button_was_pressed = False

    def _start(self, seed: int) -> None:
        self._disconnect()
        meshes = self.robot.urdf_path.parent / "meshes"
        world = table_sdf(seed, self.robot, f"file:///{MESHES}")
        peer = self._server.start(world, meshes)
        self._connection = BridgeConnection(peer, len(self._joints), len(BODIES))
        self.layout = sample_layout(seed)

    def close(self) -> None:
        """End gzserver."""
        self._disconnect()
        self._server.close()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> BridgeConnection:
        if self._connection is None:
            raise SimulationError("no world in Gazebo yet: reset first")
        return self._connection

    # -- command and physics ---------------------------------------------------------------------

    def command_arm(self, positions_rad: np.ndarray) -> None:
        """Set the servo targets (A,) in rad."""
        self._targets[: len(self.robot.arm_joints)] = positions_rad

    def command_gripper(self, opening_m: float) -> None:
        """Set the wanted opening between the fingers in metres."""
        finger = opening_m / self.robot.gripper.opening_per_joint_m
        self._targets[len(self.robot.arm_joints) :] = finger

    def step(self, duration_s: float) -> None:
        """Advance the physics by a whole number of 2 ms steps."""
        steps = max(1, round(duration_s / scene.PHYSICS_STEP_S))
        connection = self._connected()
        self._state = connection.step(steps, self._targets)
        sunk = self._body("button::housing")[2, 3] - self._body("button::cap")[2, 3]
        if sunk > 0.6 * scene.BUTTON_TRAVEL_M and not self.button_was_pressed:
            self.button_was_pressed = True
            connection.paint(HOUSING_VISUAL, scene.BUTTON_LIT_RGB)

    def arm_error_rad(self) -> np.ndarray:
        """Return how far each arm joint (A,) is from its target."""
        arm = len(self.robot.arm_joints)
        return self._targets[:arm] - self._state.positions[:arm]

    # -- what a robot reports --------------------------------------------------------------------

    @property
    def time_s(self) -> float:
        """Simulated seconds since the reset."""
        return self._state.time_s - self._started_s

    @property
    def stamp_ns(self) -> int:
        """Simulated time as an integer stamp."""
        return round(self.time_s * 1e9)

    def proprioception(self) -> Proprioception:
        """Return joint positions, velocities and finger opening now."""
        arm = len(self.robot.arm_joints)
        state = self._state
        return Proprioception(
            positions_rad=state.positions[:arm].copy(),
            velocities_rad_s=state.velocities[:arm].copy(),
            gripper_m=self.opening_m(),
            stamp_ns=self.stamp_ns,
        )

    @property
    def intrinsics(self) -> CameraIntrinsics:
        """Intrinsics of the camera in this episode."""
        focal = HEIGHT / 2 / np.tan(np.radians(self.layout.camera_fovy_deg) / 2)
        return CameraIntrinsics(WIDTH, HEIGHT, focal, focal, (WIDTH - 1) / 2, (HEIGHT - 1) / 2)

    @property
    def T_base_camera(self) -> np.ndarray:
        """Pose (4, 4) of the camera's optical frame in the base frame."""
        return look_at(self.layout.camera_position_m, self.layout.camera_target_m)

    def render(self) -> RgbdFrame:
        """Return colour and registered depth now."""
        rgb, depth = self._connected().render()
        depth[~(np.abs(depth) <= _SEEN_M)] = np.nan
        return RgbdFrame(rgb, depth, self.intrinsics, CAMERA_FRAME, self.stamp_ns)

    # -- truth: for scoring only -----------------------------------------------------------------

    def _body(self, link: str) -> np.ndarray:
        return self._state.poses[BODIES.index(link)]

    def body_pose(self, name: str) -> np.ndarray:
        """Return T_base_body (4, 4) of a thing on the table, or of the tip."""
        if name == self.robot.tip_frame:
            return self.kinematics.tip(self.proprioception().positions_rad)
        return self._body(_LINK_OF[name])

    def body_position_m(self, name: str) -> np.ndarray:
        """Return the position (3,) of a thing on the table."""
        return self.body_pose(name)[:3, 3].copy()

    def tip_position_m(self) -> np.ndarray:
        """Return the tip (3,) between the fingers."""
        return self.body_position_m(self.robot.tip_frame)

    def cube_position_m(self, index: int) -> np.ndarray:
        """Return the centre (3,) of a cube."""
        return self.body_position_m(scene.CUBES[index])

    def cube_speed_m_s(self, index: int) -> float:
        """Return the linear speed of a cube."""
        link = _LINK_OF[scene.CUBES[index]]
        return float(np.linalg.norm(self._state.velocities_m_s[BODIES.index(link)]))

    def opening_m(self) -> float:
        """Return the measured opening of the fingers."""
        gripper = self.robot.gripper
        fingers = self._state.positions[len(self.robot.arm_joints) :]
        return float(max(gripper.closed_m, fingers.mean() * gripper.opening_per_joint_m))

    def instructions(self, variant: int = 0) -> dict[str, str]:
        """Return the sentence of every task; all are possible in this episode."""
        return {name: task.instruction(self.layout, variant) for name, task in TASKS.items()}

    def success(self, task: str) -> bool:
        """Say whether a task of this episode is achieved now."""
        return bool(get_task(task).achieved(self.table, targets_of(self.layout, task)))
