# SPDX-License-Identifier: Apache-2.0
"""A camera held by hand: slow smooth motion around a scene that it keeps in view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from mu0_core.errors import ConfigError
from mu0_core.simulation.layout import Layout
from mu0_core.simulation.viewpoint import look_at

_PERIODS, _SAMPLES = 4, 500  # of the slowest wave, to find how far the sum of all goes


@dataclass(frozen=True, slots=True)
class CameraMotion:
    """How far and how fast the camera moves.

    Attributes:
        travel_m: least and largest excursion per axis of the position; drawn per axis.
        shake_deg: the same of the rotation that comes on top of turning towards the scene, which
            alone turns by about the travel over the distance (0.08 m at 1.05 m: 4.4 degrees).
        band_hz: slowest and fastest wave of the motion.
        waves: sines per axis.

    An excursion is reached within four periods of the slowest wave; a short film sees less.
    """

    travel_m: tuple[float, float] = (0.06, 0.10)
    shake_deg: tuple[float, float] = (2.0, 4.0)
    band_hz: tuple[float, float] = (0.04, 0.3)
    waves: int = 4

    def __post_init__(self) -> None:
        for name in ("travel_m", "shake_deg", "band_hz"):
            low, high = getattr(self, name)
            if not 0 <= low <= high < np.inf:
                raise ConfigError(f"{name} {low, high} must be 0 <= least <= largest")
        if not self.band_hz[0] > 0 or self.waves < 1:
            raise ConfigError(f"band_hz {self.band_hz} and waves {self.waves} must be positive")


class HandHeldCamera:
    """Poses of the camera over time; everything follows from layout and seed.

    Each axis is a sum of sines, larger for slower waves.
    """

    def __init__(self, layout: Layout, seed: int, motion: CameraMotion) -> None:
        rng = np.random.default_rng([seed, 104_729])
        shape = (6, motion.waves)
        low, high = np.log(motion.band_hz)
        self._rate_rad_s = 2 * np.pi * np.exp(rng.uniform(low, high, shape))
        self._phase_rad = rng.uniform(0, 2 * np.pi, shape)
        self._weight = rng.uniform(0.5, 1.0, shape) / self._rate_rad_s
        reach = np.concatenate(
            [rng.uniform(*motion.travel_m, 3), np.radians(rng.uniform(*motion.shake_deg, 3))]
        )
        times_s = np.linspace(0.0, _PERIODS / motion.band_hz[0], _SAMPLES)
        peak = np.abs([self._offset(t) for t in times_s]).max(axis=0)
        self._weight *= (reach / peak)[:, None]
        self._position_m, self._target_m = layout.camera_position_m, layout.camera_target_m

    def _offset(self, time_s: float) -> np.ndarray:
        """Return (6,): metres along the base axes, rotation vector in radians."""
        waves = np.sin(self._rate_rad_s * time_s + self._phase_rad)
        return (self._weight * waves).sum(axis=1)

    def __call__(self, time_s: float) -> np.ndarray:
        """Return T_base_camera (4, 4) of the optical frame."""
        offset = self._offset(time_s)
        pose = look_at(self._position_m + offset[:3], self._target_m)
        pose[:3, :3] = pose[:3, :3] @ Rotation.from_rotvec(offset[3:]).as_matrix()
        return pose
