# SPDX-License-Identifier: Apache-2.0
"""Views of a board with known truth: corners with noise, or pictures of the board itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from mu0_core.calibration.board import Board, Found
from mu0_core.calibration.board_pose import project
from mu0_core.calibration.hand_eye_records import View
from mu0_core.calibration.lens import Lens
from mu0_core.geometry import se3
from mu0_core.types import CameraIntrinsics

CAMERA = CameraIntrinsics(640, 480, 600.0, 600.0, 318.0, 243.0)
_FINER = 3  # pictures are drawn so much larger and averaged
_INSIDE_PX = 12.0


@dataclass(frozen=True, slots=True)
class Rig:
    """A camera, a board and a robot that shows one to the other; the true answer is in it.

    Attributes:
        mode: ``eye-in-hand`` or ``eye-to-hand``.
        board: what is seen.
        lens: of the camera.
        T_mount_camera: (4, 4) of the camera in the tool or in the base.
        T_other_board: (4, 4) of the board in the base or in the tool.
        tilt_deg: the board's normal leans by at most this.
        corner_px: deviation of the corners.
        robot_m, robot_deg: deviation of the robot's poses.
    """

    mode: str
    board: Board
    lens: Lens
    T_mount_camera: np.ndarray
    T_other_board: np.ndarray
    tilt_deg: float = 35.0
    corner_px: float = 0.2
    robot_m: float = 1e-4
    robot_deg: float = 0.01

    @classmethod
    def random(cls, mode: str, board: Board, rng: np.random.Generator, **settings: float) -> Rig:
        """Return a rig with a plausible mount: camera on the hand, or 1 m in front of the base."""
        in_hand = mode == "eye-in-hand"
        hand = pose(rng.uniform(-0.08, 0.08, 3), Rotation.random(rng=rng).as_rotvec() * 0.2)
        far = rng.uniform([0.8, -0.3, 0.3], [1.2, 0.3, 0.8])
        scene = pose(far, Rotation.random(rng=rng).as_rotvec())
        X, Y = (hand, scene) if in_hand else (scene, hand)
        return cls(mode, board, Lens(CAMERA), X, Y, **settings)

    def board_poses(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Return T_camera_board (count, 4, 4) with the whole board in the image."""
        corners = self.board.corners_m
        centre, found = corners.mean(0), []
        reach = max(np.linalg.norm(corners - centre, axis=1).max(), 0.03)
        c = self.lens.intrinsics
        while len(found) < count:
            lean = rng.uniform(-1, 1, 2) * np.radians(self.tilt_deg)
            turn = Rotation.from_euler("xyz", [*lean, rng.uniform(-1, 1) * np.radians(40)])
            z = reach * rng.uniform(2.8, 5.0) * c.fx / 600
            at = np.array([*rng.uniform(-0.25, 0.25, 2) * z, z])
            T = np.eye(4)
            T[:3, :3] = turn.as_matrix()
            T[:3, 3] = at - T[:3, :3] @ centre
            uv = project(T, corners, self.lens)
            room = np.minimum(uv, [c.width - 1, c.height - 1] - uv)
            if room.min() > _INSIDE_PX:
                found.append(T)
        return np.stack(found)

    def tool_pose(self, T_camera_board: np.ndarray) -> np.ndarray:
        """Return T_base_tool (4, 4) that shows the board so."""
        A = self.T_other_board @ se3.inverse(self.T_mount_camera @ T_camera_board)
        return A if self.mode == "eye-in-hand" else se3.inverse(A)

    def views(self, count: int, rng: np.random.Generator) -> list[View]:
        """Return views of all corners with noise in pixels and in the robot's poses."""
        corners = self.board.corners_m
        result = []
        for k, T in enumerate(self.board_poses(count, rng)):
            uv = project(T, corners, self.lens) + rng.normal(0, self.corner_px, (len(corners), 2))
            result.append(
                View(f"{k:02d}.png", self.noisy(self.tool_pose(T), rng), Found(corners, uv))
            )
        return result

    def noisy(self, T_base_tool: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return a pose as the robot reports it."""
        shift = rng.normal(0, self.robot_m, 3)
        turn = rng.normal(0, np.radians(self.robot_deg), 3)
        return T_base_tool @ pose(shift, turn)

    def picture(self, T_camera_board: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return what the camera sees (h, w, 3) uint8: the board on a grey wall, noise of 2."""
        import cv2

        scale = 2000.0
        drawn = self.board.picture(scale)
        margin = round(self.board.margin_m * scale)
        c, f = self.lens.intrinsics, _FINER
        metre_of_px = np.array(
            [
                [1 / scale, 0, (0.5 - margin) / scale],
                [0, 1 / scale, (0.5 - margin) / scale],
                [0, 0, 1],
            ]
        )
        plane = T_camera_board[:3, [0, 1, 3]]
        larger = np.array([[f, 0, (f - 1) / 2], [0, f, (f - 1) / 2], [0, 0, 1]])
        H = larger @ self.lens.matrix @ plane @ metre_of_px
        big = cv2.warpPerspective(
            drawn, H, (c.width * f, c.height * f), flags=cv2.INTER_LINEAR, borderValue=128
        )
        small = cv2.resize(big, (c.width, c.height), interpolation=cv2.INTER_AREA).astype(float)
        small = 40 + 0.7 * small + rng.normal(0, 2.0, small.shape)
        return np.repeat(np.clip(small, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def pose(shift_m: np.ndarray, rotvec_rad: np.ndarray) -> np.ndarray:
    """Return T (4, 4) of a shift and a rotation vector."""
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = Rotation.from_rotvec(rotvec_rad).as_matrix(), shift_m
    return T


def error_of(found: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """Return how far two poses (4, 4) are apart: mm and deg."""
    off = se3.inverse(true) @ found
    turn = Rotation.from_matrix(off[:3, :3]).magnitude()
    return float(np.linalg.norm(off[:3, 3]) * 1e3), float(np.degrees(turn))


def write_recording(rig: Rig, folder: Path, count: int, rng: np.random.Generator) -> Path:
    """Write ``images/``, ``poses.csv`` and ``camera.yaml`` as a user has them."""
    import cv2

    (folder / "images").mkdir(parents=True, exist_ok=True)
    lines = ["image,x,y,z,qx,qy,qz,qw"]
    for k, T in enumerate(rig.board_poses(count, rng)):
        name = f"{k:02d}.png"
        cv2.imwrite(str(folder / "images" / name), rig.picture(T, rng))
        reported = np.concatenate(se3.to_quat_xyzw(rig.noisy(rig.tool_pose(T), rng)))
        lines.append(",".join([name, *(f"{x:.8f}" for x in reported)]))
    (folder / "poses.csv").write_text("\n".join(lines) + "\n")
    (folder / "camera.yaml").write_text(camera_info_yaml(rig.lens.intrinsics))
    return folder


def camera_info_yaml(c: CameraIntrinsics, d: tuple[float, ...] = (0.0,) * 5) -> str:
    """Return what camera_info_manager writes for a camera."""
    return f"""\
image_width: {c.width}
image_height: {c.height}
camera_name: color
camera_matrix:
  rows: 3
  cols: 3
  data: [{c.fx}, 0., {c.cx}, 0., {c.fy}, {c.cy}, 0., 0., 1.]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: {len(d)}
  data: [{", ".join(map(str, d))}]
rectification_matrix:
  rows: 3
  cols: 3
  data: [1., 0., 0., 0., 1., 0., 0., 0., 1.]
projection_matrix:
  rows: 3
  cols: 4
  data: [{c.fx}, 0., {c.cx}, 0., 0., {c.fy}, {c.cy}, 0., 0., 0., 1., 0.]
"""
