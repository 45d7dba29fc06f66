# SPDX-License-Identifier: Apache-2.0
"""Augmentation of one sample: colour jitter of the image, noise on depth (μ0 paper, training).

Brightness, contrast, saturation and hue are changed in random order, each by its own random
amount. Everything that is random comes from the generator that is passed in.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mu0_core.data.depth_render import is_valid_depth
from mu0_core.errors import ConfigError, ShapeError

_GREY = np.array([0.2989, 0.587, 0.114], np.float32)  # ITU-R 601 luma


@dataclass(frozen=True, slots=True)
class AugmentSettings:
    """How strongly samples are changed; zeros change nothing.

    Attributes:
        jitter: s; brightness, contrast and saturation are scaled by 1 - s .. 1 + s, hue is turned
            by up to min(s / 2, 1 / 2) of a full circle.
        depth_noise_m: standard deviation added to valid depth pixels.
    """

    jitter: float = 0.3
    depth_noise_m: float = 0.01

    def __post_init__(self) -> None:
        if not 0 <= self.jitter <= 1 or not self.depth_noise_m >= 0:
            raise ConfigError(f"augmentation needs jitter in 0..1 and depth_noise_m >= 0: {self}")


def jitter_colours(rgb: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Return (h, w, 3) float32 in 0..1 with changed colours.

    Raises:
        ShapeError: not an (h, w, 3) float image.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.float32:
        raise ShapeError(f"image {rgb.shape} {rgb.dtype}, expected (h, w, 3) float32")
    if strength == 0:
        return rgb
    hue = min(strength / 2, 0.5)
    changes = [
        (change_brightness, rng.uniform(max(0.0, 1 - strength), 1 + strength)),
        (change_contrast, rng.uniform(max(0.0, 1 - strength), 1 + strength)),
        (change_saturation, rng.uniform(max(0.0, 1 - strength), 1 + strength)),
        (turn_hue, rng.uniform(-hue, hue)),
    ]
    for index in rng.permutation(len(changes)):
        change, amount = changes[index]
        rgb = change(rgb, amount)
    return rgb


def change_brightness(rgb: np.ndarray, factor: float) -> np.ndarray:
    """Return the image scaled towards black (factor 0)."""
    return _blend(rgb, np.float32(0), factor)


def change_contrast(rgb: np.ndarray, factor: float) -> np.ndarray:
    """Return the image scaled about its mean grey."""
    return _blend(rgb, np.float32((rgb @ _GREY).mean()), factor)


def change_saturation(rgb: np.ndarray, factor: float) -> np.ndarray:
    """Return the image scaled about its own grey image."""
    return _blend(rgb, (rgb @ _GREY)[..., None], factor)


def turn_hue(rgb: np.ndarray, turns: float) -> np.ndarray:
    """Return the image with every hue turned by a part of the full circle."""
    hsv = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2HSV)  # hue in degrees
    hsv[..., 0] = np.mod(hsv[..., 0] + np.float32(360 * turns), np.float32(360))
    return np.clip(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), 0, 1)


def add_depth_noise(depth_m: np.ndarray, sigma_m: float, rng: np.random.Generator) -> np.ndarray:
    """Return (h, w) float32 depth with Gaussian noise on valid pixels only."""
    depth_m = np.asarray(depth_m, np.float32)
    if sigma_m == 0:
        return depth_m
    noise = rng.standard_normal(depth_m.shape, np.float32) * np.float32(sigma_m)
    return np.where(is_valid_depth(depth_m), depth_m + noise, depth_m)


def _blend(rgb: np.ndarray, other: np.ndarray, factor: float) -> np.ndarray:
    factor = np.float32(factor)
    return np.clip(rgb * factor + other * (1 - factor), 0, 1).astype(np.float32)
