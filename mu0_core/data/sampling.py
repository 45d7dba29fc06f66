# SPDX-License-Identifier: Apache-2.0
"""Which slots and rows make a training sample (μ0 paper, data loader).

Unlike the release, which lets invalid anchors through when no valid one is left, a slot without a
row that passes the anchor and spline rules is not used at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mu0_core.data.episode import EpisodeReader, Slot
from mu0_core.errors import ConfigError

HEADLINE_OFFSETS = (4, 8, 12)


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """How rows are chosen.

    Attributes:
        n_min: fewest moving rows of a usable slot, fewest points of a sample (if there are as
            many).
        n_max: most points of a sample.
        n_ctrl: D; rows need as many valid future steps. None = evaluation, every row counts.
        min_future_motion: least distance in uv from the first valid future point, or None. Ignored
            in a slot where no row moves that far.
    """

    n_min: int = 1
    n_max: int = 256
    n_ctrl: int | None = 10
    min_future_motion: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.n_min <= self.n_max:
            raise ConfigError(f"need 1 <= n_min <= n_max, got {self.n_min}, {self.n_max}")
        if self.n_ctrl is not None and self.n_ctrl < 1:
            raise ConfigError(f"n_ctrl {self.n_ctrl} must be positive or None")
        if self.min_future_motion is not None and not self.min_future_motion >= 0:
            raise ConfigError(f"min_future_motion {self.min_future_motion} must not be negative")


def to_uvz(points_px: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return (..., 3) u, v in [-1, 1] over the image and z in metres, of x px, y px, z m.

    Pixels of the data format start at the image's corner (0 = left edge, width = right edge);
    `mu0_core.geometry.camera` has pixels with integer centres, half a pixel less.
    """
    scale = np.array([2.0 / width, 2.0 / height, 1.0], points_px.dtype)
    return points_px * scale - np.array([1.0, 1.0, 0.0], points_px.dtype)


def eligible_rows(slot: Slot, settings: SamplingSettings, width: int, height: int) -> np.ndarray:
    """Return the rows (indices within the slot) that a sample may draw; empty = unusable."""
    keep = slot.is_moving.copy()
    if settings.min_future_motion is not None:
        far = keep & (future_motion(slot, width, height) >= settings.min_future_motion)
        keep = far if far.any() else keep
    keep &= has_anchor(slot, width, height)
    if settings.n_ctrl is not None:
        keep &= _lasts(slot, settings.n_ctrl)
    return np.flatnonzero(keep)


def why_unusable(slot: Slot, settings: SamplingSettings, width: int, height: int) -> str | None:
    """Return why no sample can be drawn from the slot, None if one can."""
    moving = slot.is_moving
    if not moving.any():
        return "no moving point"
    if moving.sum() < settings.n_min:
        return f"fewer than {settings.n_min} moving points"
    if not (moving & has_anchor(slot, width, height)).any():
        return "no moving point inside the image"
    if settings.n_ctrl and not (moving & _lasts(slot, settings.n_ctrl)).any():
        return f"no moving point with {settings.n_ctrl} valid steps"
    if not len(eligible_rows(slot, settings, width, height)):
        return "no moving point passes all rules"
    return None


def usable_slots(episode: EpisodeReader, settings: SamplingSettings) -> list[int]:
    """Return the usable slots of an episode, in stored order.

    Raises:
        DataError: a slot cannot be read.
    """
    size = episode.image_size
    reasons = (why_unusable(episode.slot(k), settings, *size) for k in range(len(episode)))
    return [k for k, reason in enumerate(reasons) if reason is None]


def headline_slots(
    episode: EpisodeReader, usable: Sequence[int], offsets: Sequence[int] = HEADLINE_OFFSETS
) -> list[int]:
    """Return the 5th, 9th and 13th earliest usable slots, as far as there are (evaluation)."""
    by_time = sorted(usable, key=lambda k: int(episode.frame_indices[k]))
    return [by_time[k] for k in offsets if k < len(by_time)]


def draw_rows(
    eligible: np.ndarray, settings: SamplingSettings, rng: np.random.Generator
) -> np.ndarray:
    """Return between n_min and n_max of the eligible rows (all, if fewer) in random order."""
    if not len(eligible):
        raise ConfigError("no eligible row to draw; leave out unusable slots")
    low, high = (min(bound, len(eligible)) for bound in (settings.n_min, settings.n_max))
    return rng.choice(eligible, size=rng.integers(low, high, endpoint=True), replace=False)


def has_anchor(slot: Slot, width: int, height: int) -> np.ndarray:
    """Return (K,) bool: column 0 of the history is valid and inside the image."""
    valid = slot.valid_history[:, 0]
    anchor = to_uvz(np.where(valid[:, None], slot.history[:, 0], 0), width, height)
    return valid & (np.abs(anchor[:, :2]) <= 1).all(axis=1)


def _lasts(slot: Slot, steps: int) -> np.ndarray:
    return slot.valid_future[:, 1:].sum(axis=1) >= steps


def future_motion(slot: Slot, width: int, height: int) -> np.ndarray:
    """Return (K,) the largest uv distance of a future step from the first valid one; 0 if none."""
    valid = slot.valid_future[:, 1:]
    uv = to_uvz(np.where(valid[..., None], slot.future[:, 1:], 0), width, height)[..., :2]
    first = uv[np.arange(len(uv)), np.argmax(valid, axis=1)]
    return np.where(valid, np.linalg.norm(uv - first[:, None], axis=-1), 0).max(axis=1)
