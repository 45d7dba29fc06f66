# SPDX-License-Identifier: Apache-2.0
"""A small RGB-D clip with exact truth and no simulator: a textured square before a textured wall.

Rays are intersected with planes, so that colour, depth, camera and motion agree to the last digit.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from mu0_core.geometry import camera, se3
from mu0_core.trace_extract.records import CameraPath, Geometry
from mu0_core.types import CameraIntrinsics

LENS = CameraIntrinsics(320, 240, 300.0, 300.0, 159.5, 119.5)
WALL_M, SQUARE_M, HALF_M = 1.0, 0.8, 0.10


@dataclass(frozen=True, slots=True)
class SyntheticClip:
    """A rendered clip.

    Attributes:
        rgb: (T, h, w, 3) uint8; depth_m: (T, h, w) float32.
        intrinsics: of both.
        T_world_camera: (T, 4, 4), the first one identity.
        square_m: (T, 3) centre of the square in the world.
        on_square: (T, h, w) bool.
    """

    rgb: np.ndarray
    depth_m: np.ndarray
    intrinsics: CameraIntrinsics
    T_world_camera: np.ndarray
    square_m: np.ndarray
    on_square: np.ndarray

    @property
    def geometry(self) -> Geometry:
        """Depth and camera as an extraction would have them if it made no error."""
        path = CameraPath(self.T_world_camera, np.zeros(len(self.rgb)), "given")
        return Geometry(self.depth_m, self.intrinsics, path, "sensor")

    def truth(self, frame: int, uv_px: np.ndarray) -> np.ndarray:
        """Return where points (N, 2) seen in a frame are in the world over time (N, T, 3)."""
        column, row = np.rint(uv_px).astype(int).T
        z = self.depth_m[frame, row, column]
        points = camera.unproject(np.column_stack([uv_px, z]), self.intrinsics)
        world = se3.apply(self.T_world_camera[frame], points)
        moved = self.square_m - self.square_m[frame]
        return np.where(
            self.on_square[frame, row, column][:, None, None],
            world[:, None] + moved,
            world[:, None],
        )


def synthetic_clip(
    frames: int = 20,
    *,
    start_m: tuple[float, float] = (-0.08, 0.02),
    speed_m: tuple[float, float, float] = (0.008, 0.0, 0.0),
    sway_m: float = 0.0,
    turn_rad: float = 0.0,
    noise_m: float = 0.0,
    seed: int = 0,
) -> SyntheticClip:
    """Render a clip.

    Args:
        frames: T.
        start_m: x, y of the square's centre in the first frame, in the world.
        speed_m: of the square per frame, in the world.
        sway_m: how far the camera moves sideways and back; turn_rad: how far it turns.
        turn_rad: see above.
        noise_m: sigma of the depth noise.
        seed: of textures and noise.
    """
    rng = np.random.default_rng(seed)
    phase = np.linspace(0, 2 * np.pi, frames)
    poses = np.tile(np.eye(4), (frames, 1, 1))
    poses[:, 0, 3] = sway_m * np.sin(phase)
    poses[:, 1, 3] = 0.5 * sway_m * (1 - np.cos(phase))
    turns = np.stack([0 * phase, turn_rad * np.sin(phase), 0.5 * turn_rad * np.sin(phase)], axis=1)
    poses[:, :3, :3] = Rotation.from_rotvec(turns).as_matrix()
    square = np.array([*start_m, SQUARE_M]) + np.arange(frames)[:, None] * np.array(speed_m)
    wall_texture, square_texture = _texture(rng), _texture(rng)
    shots = [_render(T, s, wall_texture, square_texture) for T, s in zip(poses, square)]
    rgb, depth, on_square = (np.stack(part) for part in zip(*shots))
    depth = depth + noise_m * rng.standard_normal(depth.shape)
    return SyntheticClip(rgb, depth.astype(np.float32), LENS, poses, square, on_square)


def _texture(rng: np.random.Generator):
    """Return a function of metres (..., 2) with colours (..., 3) in 0..255 that never repeat."""
    side, per_m = 900, 225.0  # 4 m
    noise = sum(
        cv2.resize(rng.normal(0, 45, (n, n, 3)), (side, side), interpolation=cv2.INTER_CUBIC)
        for n in (180, 60, 15)
    )
    picture = np.clip(128 + noise, 0, 255).astype(np.float32)

    def texture(xy: np.ndarray) -> np.ndarray:
        place = (xy * per_m + side / 2).astype(np.float32)
        return cv2.remap(picture, place[..., 0], place[..., 1], cv2.INTER_LINEAR)

    return texture


def _render(T_world_camera: np.ndarray, square_m: np.ndarray, wall_texture, square_texture):
    v, u = np.mgrid[: LENS.height, : LENS.width]
    rays = camera.unproject(np.stack([u, v, np.ones_like(u)], axis=-1).astype(float), LENS)
    rays = rays @ T_world_camera[:3, :3].T
    origin = T_world_camera[:3, 3]
    to_wall = (WALL_M - origin[2]) / rays[..., 2]
    to_square = (square_m[2] - origin[2]) / rays[..., 2]
    on_wall, at_square = (origin + t[..., None] * rays for t in (to_wall, to_square))
    local = (at_square - square_m)[..., :2]
    hit = (np.abs(local) <= HALF_M).all(axis=-1)
    colour = np.where(hit[..., None], square_texture(local), wall_texture(on_wall[..., :2]))
    point = np.where(hit[..., None], at_square, on_wall)
    depth = se3.apply(se3.inverse(T_world_camera), point)[..., 2]
    return colour.astype(np.uint8), depth, hit
