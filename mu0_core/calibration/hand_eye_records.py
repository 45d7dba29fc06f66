# SPDX-License-Identifier: Apache-2.0
"""What a hand-eye calibration is given and what it returns."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mu0_core.calibration.board import Found
from mu0_core.calibration.rotation_spread import RotationSpread
from mu0_core.errors import ConfigError

MODES = ("eye-in-hand", "eye-to-hand")


@dataclass(frozen=True, slots=True)
class HandEyeSettings:
    """How views are weighed.

    Attributes:
        mode: one of `MODES`.
        fewest_views: fewer are refused.
        advised_views: fewer give a warning.
        advised_turn_deg: less rotation about a second axis gives a warning.
        least_turn_deg: less is refused.
        loss_px: residuals beyond count less and less.
        outlier_factor: a view is left out when its residual is so many times the median view's …
        outlier_px: … and at least this.
        worst_px: a larger residual of all views together is refused.
        subsets: random sets of views that first guesses are also made from.
        seed: of the subsets.
    """

    mode: str = "eye-in-hand"
    fewest_views: int = 4
    advised_views: int = 10
    advised_turn_deg: float = 8.0
    least_turn_deg: float = 1.5
    loss_px: float = 1.0
    outlier_factor: float = 3.0
    outlier_px: float = 0.7
    worst_px: float = 5.0
    subsets: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ConfigError(f"mode {self.mode!r}: allowed are {', '.join(MODES)}")
        if self.fewest_views < 3:
            raise ConfigError(f"fewest_views {self.fewest_views}: 3 are the least that tell")


@dataclass(frozen=True, slots=True)
class View:
    """The board seen once.

    Attributes:
        name: of the image.
        T_base_tool: (4, 4).
        found: corners in the image as it was taken.
    """

    name: str
    T_base_tool: np.ndarray
    found: Found


@dataclass(frozen=True, slots=True)
class ViewResidual:
    """How one view fits.

    Attributes:
        name: of the image.
        px: root mean square distance of the corners.
        mm, deg: between the board's pose from this view alone and the common one.
        own_px: residual of the board's pose from this view alone.
        used: whether it was used.
        uv_px, fitted_px: (N, 2) corners without distortion, and where the result puts them.
    """

    name: str
    px: float
    mm: float
    deg: float
    own_px: float
    used: bool
    uv_px: np.ndarray
    fitted_px: np.ndarray


@dataclass(frozen=True, slots=True)
class HandEye:
    """The result.

    Attributes:
        mode: of `MODES`.
        T_mount_camera: (4, 4) X: the mount is the tool (eye in hand) or the base (eye to hand).
        T_other_board: (4, 4) Y: in the base (eye in hand) or in the tool (eye to hand).
        views: every view, also those left out.
        solver: whose first guess was the best.
        spread_mm, spread_deg: standard error from leaving out one view at a time (jackknife).
        rotation: how much the tool turned, over the views that were used.
        warnings: in words.
    """

    mode: str
    T_mount_camera: np.ndarray
    T_other_board: np.ndarray
    views: tuple[ViewResidual, ...]
    solver: str
    spread_mm: float
    spread_deg: float
    rotation: RotationSpread
    warnings: tuple[str, ...] = field(default=())

    @property
    def used(self) -> tuple[ViewResidual, ...]:
        """The views that were not left out."""
        return tuple(v for v in self.views if v.used)

    def rms(self, name: str) -> float:
        """Return the root mean square over used views of ``px``, ``mm`` or ``deg``."""
        return float(np.sqrt(np.mean([getattr(v, name) ** 2 for v in self.used])))
