# SPDX-License-Identifier: Apache-2.0
"""Scenes that differ in one respect from everything that is trained on: for held-out episodes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mu0_core.errors import ConfigError
from mu0_core.simulation.layout import UNSEEN_CUBE_COLOURS, Layout

_SHADE = 0.04
_CAMERA_SHIFT_M = (0.10, 0.20)  # training: up to 0.05 along each axis


def other_colours(layout: Layout, rng: np.random.Generator) -> Layout:
    """Paint the cubes in colours whose words and looks training does not have."""
    names = list(UNSEEN_CUBE_COLOURS)
    rng.shuffle(names)
    rgb = np.array([UNSEEN_CUBE_COLOURS[name] for name in names])
    shaded = np.clip(rgb + rng.uniform(-_SHADE, _SHADE, rgb.shape), 0, 1)
    return replace(layout, colours=tuple(names), cube_rgb=shaded)


def other_shapes(layout: Layout, rng: np.random.Generator) -> Layout:
    """Put cylinders in the cubes' places."""
    return replace(layout, round_cubes=True)


def other_camera(layout: Layout, rng: np.random.Generator) -> Layout:
    """Move the camera sideways and up or down, 10 to 20 cm each; it still looks at the table."""
    shift = rng.uniform(*_CAMERA_SHIFT_M, 2) * rng.choice([-1.0, 1.0], 2)
    position = layout.camera_position_m + np.array([0.0, *shift])
    return replace(layout, camera_position_m=position)


UNSEEN = {"colours": other_colours, "shapes": other_shapes, "camera": other_camera}


def make_unseen(layout: Layout, kind: str) -> Layout:
    """Return the layout, changed in one respect; the change follows from the layout's seed.

    Raises:
        ConfigError: unknown kind.
    """
    if kind not in UNSEEN:
        raise ConfigError(f"unseen {kind!r}: expected one of {', '.join(UNSEEN)}")
    return UNSEEN[kind](layout, np.random.default_rng([layout.seed, 41]))
