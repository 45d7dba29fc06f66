# SPDX-License-Identifier: Apache-2.0
"""Seeded textures for table and floor: grain and speckles, as real surfaces have them.

A plain surface gives camera odometry nothing to hold on to. The pictures are factors that the
layout's colours are multiplied with, and they continue over their borders, so they can be tiled.
"""

from __future__ import annotations

import numpy as np

SIZE_PX = 1024
_DARKEST = 0.45  # factor of the darkest texel; the brightest is 1


def surface_texture(seed: int, size_px: int = SIZE_PX) -> np.ndarray:
    """Return a picture (size, size, 3) uint8, the same for the same seed, periodic both ways.

    Grain is noise whose power falls with frequency, longer along one direction; speckles are
    small light and dark dots.
    """
    rng = np.random.default_rng([seed, 7919])
    grain = _grain(rng, size_px)
    dots = np.where(rng.random((size_px, size_px)) < rng.uniform(0.002, 0.01), 1.0, 0.0)
    dots *= rng.choice([-1.0, 1.0], dots.shape)
    speckles = _smooth(dots, rng.uniform(0.8, 1.8))
    speckles /= np.abs(speckles).max()
    value = grain * rng.uniform(0.08, 0.14) + speckles * rng.uniform(0.1, 0.25)
    value = np.clip(0.5 * (1 + _DARKEST) + value, _DARKEST, 1.0)
    tint = 1.0 - 0.06 * rng.random(3) * (1.0 - value[..., None])
    return np.rint(255 * value[..., None] * tint).astype(np.uint8)


def _grain(rng: np.random.Generator, size_px: int) -> np.ndarray:
    """Return noise (size, size) of unit deviation, stretched along a random direction."""
    fy, fx = np.meshgrid(np.fft.fftfreq(size_px), np.fft.rfftfreq(size_px), indexing="ij")
    angle, stretch = rng.uniform(0, np.pi), rng.uniform(1.0, 5.0)
    along = np.cos(angle) * fx + np.sin(angle) * fy
    across = np.cos(angle) * fy - np.sin(angle) * fx
    radius = np.hypot(along * stretch, across)
    spectrum = 1.0 / np.maximum(radius, 4.0 / size_px)
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((size_px, size_px))) * spectrum)
    field -= field.mean()
    return field / field.std()


def _smooth(picture: np.ndarray, sigma_px: float) -> np.ndarray:
    """Return the picture under a periodic Gaussian."""
    size = len(picture)
    fy, fx = np.meshgrid(np.fft.fftfreq(size), np.fft.rfftfreq(size), indexing="ij")
    gain = np.exp(-2 * (np.pi * sigma_px) ** 2 * (fx**2 + fy**2))
    return np.fft.irfft2(np.fft.rfft2(picture) * gain, s=picture.shape)
