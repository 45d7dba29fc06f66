# SPDX-License-Identifier: Apache-2.0
"""What an RGB-D sensor makes of an exact picture: noise, millimetre steps and holes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.special import ndtri

from mu0_core.errors import ConfigError
from mu0_core.types import CameraIntrinsics


@dataclass(frozen=True, slots=True)
class SensorNoise:
    """Strength of each effect; 0 turns it off.

    Attributes:
        color_read: deviation of the noise of dark pixels, levels of 255.
        color_shot: share of the level that adds to the variance.
        blur_px: deviation of the lens blur; nothing smears with motion.
        depth_sigma_1m_m: deviation of depth at 1 m; grows with its square.
        depth_correlation_px: deviation of the blur of the depth noise.
        edge_jump_m: neighbouring depths that differ by more form an edge.
        edge_reach_px: pixels beside an edge where depth may be lost.
        edge_loss: share of them that is lost.
        grazing_deg: angle between ray and normal beyond which depth may be lost.
        grazing_loss: share of it that is lost.
    """

    color_read: float = 1.5
    color_shot: float = 0.03
    blur_px: float = 0.5
    depth_sigma_1m_m: float = 0.0015
    depth_correlation_px: float = 0.7
    edge_jump_m: float = 0.02
    edge_reach_px: int = 2
    edge_loss: float = 0.5
    grazing_deg: float = 80.0
    grazing_loss: float = 0.8

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not 0 <= getattr(self, name) < np.inf:
                raise ConfigError(f"{name} {getattr(self, name)} must be finite and not negative")
        if max(self.edge_loss, self.grazing_loss) > 1 or self.grazing_deg > 90:
            raise ConfigError(
                f"edge_loss {self.edge_loss} and grazing_loss {self.grazing_loss} must be at "
                f"most 1, grazing_deg {self.grazing_deg} at most 90"
            )


def noisy_color(rgb: np.ndarray, noise: SensorNoise, rng: np.random.Generator) -> np.ndarray:
    """Return the picture (h, w, 3) uint8 as the sensor gives it."""
    level = rgb.astype(np.float32)
    if noise.blur_px:
        level = cv2.GaussianBlur(level, (0, 0), noise.blur_px)
    if noise.color_read or noise.color_shot:
        sigma = np.sqrt(noise.color_read**2 + noise.color_shot * level)
        level += sigma * rng.standard_normal(level.shape, dtype=np.float32)
    return np.rint(np.clip(level, 0, 255)).astype(np.uint8)


def noisy_depth(
    depth_m: np.ndarray, intrinsics: CameraIntrinsics, noise: SensorNoise, rng: np.random.Generator
) -> np.ndarray:
    """Return depth (h, w) float32 as the sensor gives it, NaN where it sees nothing.

    Args:
        depth_m: (h, w) exact along the optical axis; NaN stays NaN.
        intrinsics: of the picture, for the angle under which a surface is seen.
        noise: how strong.
        rng: decides.
    """
    sigma = noise.depth_sigma_1m_m * depth_m**2
    result = depth_m + sigma * _field(rng, depth_m.shape, noise.depth_correlation_px)
    holes = _field(rng, depth_m.shape, 1.0)  # a lost pixel rarely comes alone
    edge = near_edge(depth_m, noise.edge_jump_m, noise.edge_reach_px)
    grazing = incidence_cosine(depth_m, intrinsics) < np.cos(np.radians(noise.grazing_deg))
    lost = (edge & (holes < ndtri(noise.edge_loss))) | (
        grazing & (holes < ndtri(noise.grazing_loss))
    )
    return np.where(lost, np.nan, result).astype(np.float32)


def near_edge(depth_m: np.ndarray, jump_m: float, reach_px: int) -> np.ndarray:
    """Return (h, w) bool where a jump in depth, or unknown depth, is within ``reach_px``."""
    filled = np.where(np.isfinite(depth_m), depth_m, 1e3)
    edge = np.zeros(depth_m.shape, np.uint8)
    for axis in (0, 1):
        jump = np.abs(np.diff(filled, axis=axis)) > jump_m
        low, high = (slice(None, -1), slice(1, None))
        for part in (low, high):
            index = (part, slice(None)) if axis == 0 else (slice(None), part)
            edge[index] |= jump
    if reach_px > 1:
        edge = cv2.dilate(edge, np.ones((2 * reach_px - 1,) * 2, np.uint8))
    return edge.astype(bool)


def incidence_cosine(depth_m: np.ndarray, intrinsics: CameraIntrinsics) -> np.ndarray:
    """Return (h, w) the cosine between ray and surface normal; NaN where depth is unknown."""
    rows, columns = np.indices(depth_m.shape, dtype=np.float32)
    x, y = (columns - intrinsics.cx) / intrinsics.fx, (rows - intrinsics.cy) / intrinsics.fy
    slope_v, slope_u = np.gradient(depth_m)
    slope_u, slope_v = slope_u * intrinsics.fx, slope_v * intrinsics.fy
    # of the surface z(u, v) (x, y, 1), the cross product of its two tangents, up to scale
    along = depth_m + x * slope_u + y * slope_v
    normal = np.sqrt(slope_u**2 + slope_v**2 + along**2)
    return depth_m / (normal * np.sqrt(x**2 + y**2 + 1))


def _field(rng: np.random.Generator, shape: tuple[int, int], sigma_px: float) -> np.ndarray:
    """Return noise (h, w) float32 of unit deviation that is smooth over ``sigma_px``."""
    field = rng.standard_normal(shape, dtype=np.float32)
    if sigma_px:
        reach = int(4 * sigma_px) + 1
        kernel = cv2.getGaussianKernel(2 * reach + 1, sigma_px, cv2.CV_32F)
        kernel /= np.linalg.norm(kernel)  # keeps the deviation, not the mean
        field = cv2.sepFilter2D(field, -1, kernel, kernel, borderType=cv2.BORDER_REFLECT)
    return field
