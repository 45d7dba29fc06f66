# SPDX-License-Identifier: Apache-2.0
"""One training sample: the arrays that the world model learns from, of chosen rows of one slot.

Everything is relative to the anchor (the point now): future displacements are divided by the delta
scale, history displacements are not (μ0 paper).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from mu0_core.data.augment import AugmentSettings, add_depth_noise, jitter_colours
from mu0_core.data.depth_render import render_depth
from mu0_core.data.episode import EpisodeReader, Slot
from mu0_core.data.sampling import SamplingSettings, to_uvz
from mu0_core.errors import ConfigError, DataError
from mu0_core.spline.curve import CURVES, targets


@dataclass(frozen=True, slots=True)
class SampleSettings:
    """How samples are built.

    Attributes:
        delta_scale: per axis u, v, z; from the normaliser file.
        depth_log_range: natural logarithm of metres, from the normaliser file; None = no depth
            image.
        image_size: side of the square images in pixels.
        sampling: which rows; without its ``n_ctrl`` there are no targets.
        ridge: weight of the spline fit's difference penalty.
        ridge_order: order of the penalised differences.
        clip: largest magnitude of a control point, or None.
        knots: what the targets are, see `mu0_core.spline.curve`; "bezier" is the released kind.
        control_points: D of the targets; None = ``sampling.n_ctrl``.
    """

    delta_scale: tuple[float, float, float]
    depth_log_range: tuple[float, float] | None = None
    image_size: int = 512
    sampling: SamplingSettings = field(default_factory=SamplingSettings)
    ridge: float = 0.2
    ridge_order: int = 1
    clip: float | None = 1.5
    knots: str = "bezier"
    control_points: int | None = None

    def __post_init__(self) -> None:
        scale = np.asarray(self.delta_scale, float)
        if scale.shape != (3,) or not np.isfinite(scale).all() or np.any(scale <= 0):
            raise ConfigError(f"delta_scale {self.delta_scale}: expected three positive numbers")
        if self.image_size < 1:
            raise ConfigError(f"image_size {self.image_size} must be positive")
        if self.knots not in CURVES:
            raise ConfigError(f"knots {self.knots!r}: expected one of {CURVES}")


@dataclass(frozen=True, slots=True)
class FrameFeatures:
    """What a frozen tower made of a frame, float16.

    Attributes:
        tokens: (n, d) image tokens.
        patch_map: (C, h, w) that point features are read from, or None.
        key_values: (L, 2, n, K, c) keys and values of the image tokens in a language model whose
            sentence comes behind them and changes nothing about them; else None.
    """

    tokens: np.ndarray
    patch_map: np.ndarray | None
    key_values: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class TraceSample:
    """Arrays of N points; float32 unless said otherwise.

    Attributes:
        image: (3, I, I) in 0..1; None when there are ``features`` instead.
        depth_image: (3, I, I) rendered depth in 0..1, or None.
        instruction: "" when the frame has none.
        current_kp: (N, 3) anchor u, v in [-1, 1], z in metres.
        traj_future: (N, H, 3) scaled displacements; 0 where there is no point.
        valid_future: (N, H) bool.
        traj_history: (N, h, 3) displacements, oldest first; 0 where there is no point.
        valid_history: (N, h) bool.
        ctrl_pts_future: (N, D, 3) spline targets, or None without spline targets.
        valid_kp: (N,) bool, has a spline target; None without spline targets.
        cluster_ids: (N,) int64.
        rows: (N,) int64 rows within the slot.
        frame: index of the frame.
        features: of the frame, computed before.
    """

    image: np.ndarray | None
    depth_image: np.ndarray | None
    instruction: str
    current_kp: np.ndarray
    traj_future: np.ndarray
    valid_future: np.ndarray
    traj_history: np.ndarray
    valid_history: np.ndarray
    ctrl_pts_future: np.ndarray | None
    valid_kp: np.ndarray | None
    cluster_ids: np.ndarray
    rows: np.ndarray
    frame: int
    features: FrameFeatures | None = None

    def __len__(self) -> int:
        return len(self.current_kp)


def build_sample(
    episode: EpisodeReader,
    slot_index: int,
    rows: np.ndarray,
    settings: SampleSettings,
    *,
    instruction: str = "",
    augment: AugmentSettings | None = None,
    rng: np.random.Generator | None = None,
    features: FrameFeatures | None = None,
) -> TraceSample:
    """Return the sample of ``rows`` (indices within the slot), in that order.

    Args:
        episode: where from.
        slot_index: slot of the episode.
        rows: (N,) integers; each must have an anchor.
        settings: how.
        instruction: sentence of the sample.
        augment: colour jitter and depth noise; needs ``rng``.
        rng: of the augmentation.
        features: of the slot's frame; its colours are not read then.

    Raises:
        DataError: a row has no anchor, or depth is wanted and the reader has none.
        ConfigError: augmentation without a generator.
    """
    if augment is not None and rng is None:
        raise ConfigError("augmentation needs a random generator")
    slot = episode.slot(slot_index)
    if not slot.valid_history[rows, 0].all():
        raise DataError(f"{episode.directory}: slot {slot_index} has rows without an anchor")
    current, future, history = displacements(slot, rows, episode.image_size)
    future /= np.asarray(settings.delta_scale)
    valid = slot.valid_future[rows, 1:]
    control = fitted = None
    if settings.sampling.n_ctrl is not None:
        control, fitted = targets(
            settings.knots,
            future,
            valid,
            settings.control_points or settings.sampling.n_ctrl,
            ridge=settings.ridge,
            ridge_order=settings.ridge_order,
            clip=settings.clip,
        )
        control = control.astype(np.float32)
    return TraceSample(
        image=None if features else _colour(episode, slot.frame, settings, augment, rng),
        depth_image=_depth(episode, slot.frame, settings, augment, rng),
        instruction=instruction,
        current_kp=current.astype(np.float32),
        traj_future=future.astype(np.float32),
        valid_future=valid,
        traj_history=history.astype(np.float32),
        valid_history=slot.valid_history[rows, :0:-1],
        ctrl_pts_future=control,
        valid_kp=fitted,
        cluster_ids=slot.cluster_ids[rows],
        rows=np.asarray(rows, np.int64),
        frame=slot.frame,
        features=features,
    )


def displacements(
    slot: Slot, rows: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return anchor (N, 3), future (N, H, 3) and oldest-first history (N, h, 3) from it.

    Args:
        slot: whose ``rows`` (N,) have an anchor.
        rows: indices within the slot.
        size: width and height of the images in pixels.

    Returns:
        u, v in [-1, 1] and z in metres, float64; 0 where there is no point.
    """
    current = to_uvz(slot.history[rows, 0].astype(np.float64), *size)
    future = to_uvz(slot.future[rows, 1:].astype(np.float64), *size) - current[:, None]
    history = to_uvz(slot.history[rows, :0:-1].astype(np.float64), *size) - current[:, None]
    for steps in (future, history):
        steps[~np.isfinite(steps).all(axis=-1)] = 0.0
    return current, future, history


def _colour(
    episode: EpisodeReader,
    frame: int,
    settings: SampleSettings,
    augment: AugmentSettings | None,
    rng: np.random.Generator | None,
) -> np.ndarray:
    if augment is None or rng is None:
        return square_colour(episode.images[frame], settings.image_size)
    rgb = episode.images[frame].astype(np.float32) / np.float32(255)
    return _square(jitter_colours(rgb, augment.jitter, rng), settings.image_size)


def square_colour(rgb: np.ndarray, side: int) -> np.ndarray:
    """Return (3, side, side) float32 in 0..1 of an (h, w, 3) uint8 image."""
    return _square(rgb.astype(np.float32) / np.float32(255), side)


def _depth(
    episode: EpisodeReader,
    frame: int,
    settings: SampleSettings,
    augment: AugmentSettings | None,
    rng: np.random.Generator | None,
) -> np.ndarray | None:
    if settings.depth_log_range is None:
        return None
    if episode.depth_m is None:
        raise DataError(f"{episode.directory}: opened without depth, but a depth image is wanted")
    depth_m = episode.depth_m[frame].astype(np.float32)
    if augment is not None and rng is not None:
        depth_m = add_depth_noise(depth_m, augment.depth_noise_m, rng)
    return _square(render_depth(depth_m, *settings.depth_log_range), settings.image_size)


def _square(rgb: np.ndarray, side: int) -> np.ndarray:
    """Resize bilinearly without antialiasing (as the release); the aspect ratio is not kept."""
    resized = cv2.resize(rgb, (side, side), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(resized.transpose(2, 0, 1))
