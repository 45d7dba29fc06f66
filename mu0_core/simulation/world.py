# SPDX-License-Identifier: Apache-2.0
"""`TableWorld`: the simulated arm, table and camera as one object that is stepped from outside.

Commands are joint positions and a finger opening, as a position-controlled arm takes them.
Observations are colour, depth and joint states; everything else (`success`, `cube_position_m`)
is truth for tests and training and is never published to the policy.
"""

from __future__ import annotations

import numpy as np

from mu0_core.errors import SimulationError
from mu0_core.robot.description import RobotDescription, load_robot
from mu0_core.robot.kinematics import Kinematics
from mu0_core.simulation import scene
from mu0_core.simulation.layout import Layout, sample_layout
from mu0_core.simulation.posture import TOOL_DOWN
from mu0_core.simulation.simulated_arm import TableFrame, finger_joints, simulated_arm
from mu0_core.simulation.table_view import TableView, placed_layout
from mu0_core.simulation.tasks import TASKS, get_task, targets_of
from mu0_core.simulation.viewpoint import OPTICAL_FROM_GL
from mu0_core.types import CameraIntrinsics, Proprioception, RgbdFrame

mujoco = scene.mujoco

CAMERA_FRAME = "scene_camera_optical_frame"


class TableWorld:
    """The simulated scene. Not thread-safe; render in the thread that created it.

    Args:
        robot: the arm; default FR3.
        width, height: camera image in pixels.
        texture_seed: of the texture of table and floor; None = plain, as the models know them.
    """

    def __init__(
        self,
        robot: RobotDescription | None = None,
        *,
        width: int = 640,
        height: int = 480,
        texture_seed: int | None = None,
    ) -> None:
        self.robot = robot or load_robot("fr3")
        self.kinematics = Kinematics(self.robot)
        self.table_frame = TableFrame.of(simulated_arm(self.robot))
        self.table = TableView(self)
        self.width, self.height = width, height
        self._model = self._build(self.robot, texture_seed)
        self._data = mujoco.MjData(self._model)
        self._renderer: mujoco.Renderer | None = None
        self._arm_qpos = np.array([self._qpos(j) for j in self.robot.arm_joints])
        self._arm_dof = np.array([self._dof(j) for j in self.robot.arm_joints])
        self._arm_ctrl = np.array([self._model.actuator(j).id for j in self.robot.arm_joints])
        fingers = finger_joints(self.robot)
        self._finger_qpos = np.array([self._qpos(j) for j in fingers])
        self._finger_ctrl = np.array([self._model.actuator(j).id for j in fingers])
        self._cube_qpos = [self._qpos(f"{c}_joint") for c in scene.CUBES]
        self.button_was_pressed = False
        self.layout: Layout
        self.reset(0)

    def _build(self, robot: RobotDescription, texture_seed: int | None) -> mujoco.MjModel:
        return scene.build_model(robot, texture_seed)

    def _qpos(self, joint: str) -> int:
        return int(self._model.joint(joint).qposadr[0])

    def _dof(self, joint: str) -> int:
        return int(self._model.joint(joint).dofadr[0])

    # -- episode ---------------------------------------------------------------------------------

    def reset(self, seed: int) -> None:
        """Lay out the episode of ``seed`` and let the objects settle; the arm is at its start."""
        self.set_layout(sample_layout(seed))

    def set_layout(self, layout: Layout) -> None:
        """Lay out a given episode of the table frame; simulated time restarts at 0."""
        self.layout, gripper = layout, self.robot.gripper
        placed = placed_layout(layout, self.table_frame)
        model, data = self._model, self._data
        mujoco.mj_resetData(model, data)
        scene.dress(model, placed)
        for k, name in enumerate(scene.CUBES):
            height = placed.cube_half_m[k] + 0.001
            self._place(name, (*placed.cube_xy_m[k], height), placed.cube_yaw_rad[k])
        self._place("bowl", (*placed.bowl_xy_m, 0.001), 0.0)
        thick = self.table_frame.scale * scene.PLATE_HALF_HEIGHT_M
        self._place("plate", (*placed.plate_xy_m, thick + 0.001), 0.0)
        data.mocap_pos[0] = (*placed.button_xy_m, 0.0)
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = TOOL_DOWN, placed.start_tip_m
        start = self.kinematics.inverse(pose, self.robot.home_rad)
        data.qpos[self._arm_qpos] = start
        data.qpos[self._finger_qpos] = gripper.open_m / gripper.opening_per_joint_m
        self.command_arm(start)
        self.command_gripper(self.robot.gripper.open_m)
        mujoco.mj_forward(model, data)
        self.step(0.3)
        data.time = 0.0
        self.button_was_pressed = False

    @property
    def button_was_pressed(self) -> bool:
        """Say whether the button was pressed since the reset; its housing is lit then."""
        return self._button_was_pressed

    @button_was_pressed.setter
    def button_was_pressed(self, pressed: bool) -> None:
        self._button_was_pressed = pressed
        colour = scene.BUTTON_LIT_RGB if pressed else scene.BUTTON_DARK_RGB
        self._model.geom_rgba[self._model.geom("button_housing").id, :3] = colour

    def pose(
        self,
        positions_rad: np.ndarray,
        opening_m: float,
        cubes_m: np.ndarray,
        cube_yaw_rad: np.ndarray,
    ) -> None:
        """Put arm, fingers and cubes somewhere, at rest, without any physics in between.

        Args:
            positions_rad: (A,) joints; opening_m: between the fingers.
            cubes_m: (3, 3) centres; cube_yaw_rad: (3,).
        """
        data = self._data
        data.qpos[self._arm_qpos] = positions_rad
        data.qpos[self._finger_qpos] = opening_m / self.robot.gripper.opening_per_joint_m
        for name, centre, yaw in zip(scene.CUBES, cubes_m, cube_yaw_rad, strict=True):
            self._place(name, tuple(centre), float(yaw))
        data.qvel[:] = 0.0
        self.command_arm(positions_rad)
        self.command_gripper(opening_m)
        mujoco.mj_forward(self._model, data)

    def _place(self, name: str, position_m: tuple[float, ...], yaw_rad: float) -> None:
        address = self._qpos(f"{name}_joint")
        quat_wxyz = (np.cos(yaw_rad / 2), 0, 0, np.sin(yaw_rad / 2))
        self._data.qpos[address : address + 7] = (*position_m, *quat_wxyz)

    # -- command and physics ---------------------------------------------------------------------

    def command_arm(self, positions_rad: np.ndarray) -> None:
        """Set the servo targets (A,) in rad.

        Raises:
            SimulationError: wrong length or not finite; the old targets stay.
        """
        positions = np.asarray(positions_rad, dtype=float)
        if positions.shape != self._arm_ctrl.shape or not np.all(np.isfinite(positions)):
            raise SimulationError(
                f"arm command must be {len(self._arm_ctrl)} finite rad: {positions}"
            )
        self._data.ctrl[self._arm_ctrl] = positions

    def command_gripper(self, opening_m: float) -> None:
        """Set the wanted opening between the fingers in metres.

        Raises:
            SimulationError: outside the gripper's range or not finite; the old target stays.
        """
        gripper = self.robot.gripper
        if not gripper.closed_m - 1e-6 <= opening_m <= gripper.open_m + 1e-6:
            raise SimulationError(
                f"gripper opening {opening_m} m is outside [{gripper.closed_m}, {gripper.open_m}]"
            )
        self._data.ctrl[self._finger_ctrl] = opening_m / gripper.opening_per_joint_m

    def step(self, duration_s: float) -> None:
        """Advance the physics by a whole number of 2 ms steps."""
        steps = max(1, round(duration_s / scene.PHYSICS_STEP_S))
        mujoco.mj_step(self._model, self._data, steps)
        slide = self._data.qpos[self._qpos("button_slide")]
        if slide < -0.6 * scene.BUTTON_TRAVEL_M * self.table_frame.scale:
            self.button_was_pressed = True

    # -- what a robot reports --------------------------------------------------------------------

    @property
    def time_s(self) -> float:
        """Simulated seconds since the reset."""
        return float(self._data.time)

    @property
    def stamp_ns(self) -> int:
        """Simulated time as an integer stamp."""
        return round(self._data.time * 1e9)

    def proprioception(self) -> Proprioception:
        """Return joint positions, velocities and finger opening now."""
        return Proprioception(
            positions_rad=self._data.qpos[self._arm_qpos].copy(),
            velocities_rad_s=self._data.qvel[self._arm_dof].copy(),
            gripper_m=self.opening_m(),
            stamp_ns=self.stamp_ns,
        )

    @property
    def intrinsics(self) -> CameraIntrinsics:
        """Intrinsics of the camera in this episode."""
        focal = self.height / 2 / np.tan(np.radians(self.layout.camera_fovy_deg) / 2)
        return CameraIntrinsics(
            self.width, self.height, focal, focal, (self.width - 1) / 2, (self.height - 1) / 2
        )

    @property
    def T_base_camera(self) -> np.ndarray:
        """Pose (4, 4) of the camera's optical frame in the base frame."""
        pose = np.eye(4)
        pose[:3, :3] = self._data.cam_xmat[0].reshape(3, 3) @ OPTICAL_FROM_GL
        pose[:3, 3] = self._data.cam_xpos[0]
        return pose

    def set_camera(self, T_base_camera: np.ndarray) -> None:
        """Put the camera's optical frame (4, 4) somewhere, until the next layout.

        Raises:
            SimulationError: not a rigid transform.
        """
        pose = np.asarray(T_base_camera, dtype=float)
        if pose.shape != (4, 4) or not np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3)):
            raise SimulationError(f"camera pose must be a rigid transform (4, 4): {pose}")
        self._model.cam_pos[0] = pose[:3, 3]
        self._model.cam_quat[0] = scene.quat_wxyz(pose[:3, :3] @ OPTICAL_FROM_GL)
        mujoco.mj_camlight(self._model, self._data)

    def _scene_renderer(self) -> mujoco.Renderer:
        if self._renderer is None:
            try:
                self._renderer = mujoco.Renderer(self._model, self.height, self.width)
            except (
                Exception
            ) as error:  # the GL loader raises anything from AttributeError to its own
                raise SimulationError(
                    "cannot open an off-screen renderer; on Debian/Ubuntu install libegl1 libgl1 "
                    f"and keep MUJOCO_GL=egl ({type(error).__name__}: {error})"
                ) from error
        return self._renderer

    def render(self) -> RgbdFrame:
        """Return colour and registered depth now."""
        renderer = self._scene_renderer()
        renderer.update_scene(self._data, camera=0)
        renderer.disable_depth_rendering()
        rgb = renderer.render().copy()
        renderer.enable_depth_rendering()
        depth = renderer.render().copy()
        renderer.disable_depth_rendering()
        depth[depth > 9.0] = np.nan
        return RgbdFrame(rgb, depth, self.intrinsics, CAMERA_FRAME, self.stamp_ns)

    def close(self) -> None:
        """Free the renderer."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    # -- truth: for tests, training and scoring only ---------------------------------------------

    def render_body_ids(self) -> np.ndarray:
        """Return (h, w) int32 the body id seen at each pixel; -1 for none."""
        renderer = self._scene_renderer()
        renderer.update_scene(self._data, camera=0)
        renderer.enable_segmentation_rendering()
        segments = renderer.render()
        renderer.disable_segmentation_rendering()
        geom = np.where(segments[..., 1] == int(mujoco.mjtObj.mjOBJ_GEOM), segments[..., 0], -1)
        return np.where(geom >= 0, self._model.geom_bodyid[geom], -1).astype(np.int32)

    def body_poses(self) -> np.ndarray:
        """Return T_base_body (bodies, 4, 4) of every body."""
        poses = np.zeros((self._model.nbody, 4, 4))
        poses[:, :3, :3] = self._data.xmat.reshape(-1, 3, 3)
        poses[:, :3, 3] = self._data.xpos
        poses[:, 3, 3] = 1.0
        return poses

    def body_name(self, body_id: int) -> str:
        """Return the name of a body id."""
        return self._model.body(body_id).name

    def body_pose(self, name: str) -> np.ndarray:
        """Return T_base_body (4, 4) of a body."""
        return self.body_poses()[self._model.body(name).id]

    def body_position_m(self, name: str) -> np.ndarray:
        """Return the position (3,) of a body in the base frame."""
        return self._data.body(name).xpos.copy()

    def cube_position_m(self, index: int) -> np.ndarray:
        """Return the centre (3,) of a cube."""
        return self.body_position_m(scene.CUBES[index])

    def opening_m(self) -> float:
        """Return the measured opening of the fingers."""
        gripper = self.robot.gripper
        opening = self._data.qpos[self._finger_qpos].mean() * gripper.opening_per_joint_m
        return float(np.clip(opening, gripper.closed_m, None))

    def cube_speed_m_s(self, index: int) -> float:
        """Return the linear speed of a cube."""
        dof = self._dof(f"{scene.CUBES[index]}_joint")
        return float(np.linalg.norm(self._data.qvel[dof : dof + 3]))

    def tip_position_m(self) -> np.ndarray:
        """Return the tip (3,) between the fingers in the base frame."""
        return self.body_position_m(self.robot.tip_frame)

    def instructions(self, variant: int = 0) -> dict[str, str]:
        """Return the sentence of every task of `TASKS`; all are possible in this episode."""
        return {name: task.instruction(self.layout, variant) for name, task in TASKS.items()}

    def instruction(self, task: str, variant: int = 0) -> str:
        """Return the sentence of one task, which may be a new one."""
        return get_task(task).instruction(self.layout, variant)

    def success(self, task: str) -> bool:
        """Say whether a task of this episode is achieved now."""
        return bool(get_task(task).achieved(self.table, targets_of(self.layout, task)))
