# SPDX-License-Identifier: Apache-2.0
"""The normaliser file of the release: scales of displacements, range of depth.

`measure` computes one from episodes; `Normalizer` reads and writes it. A value that is missing or
out of range is an error, never a default.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mu0_core.data.depth_render import MIN_DEPTH_M, is_valid_depth
from mu0_core.data.episode import EpisodeReader
from mu0_core.data.sampling import has_anchor, to_uvz
from mu0_core.errors import DataError

PERCENTILE = 95.0
DEPTH_PERCENTILES = (1.0, 99.0)
_PAIRS_PER_EPISODE = 200_000
_FRAMES_PER_EPISODE = 32
_PIXEL_STRIDE = 4
_MIN_DEPTH_RATIO = 1.01


@dataclass(frozen=True)
class Normalizer:
    """Contents of ``normalizer_stats.json``; field names are those of the file.

    ``delta_scale_x``, ``_y`` (u, v) and ``_z`` (metres) are the ``percentile`` of the distance of
    future points from the anchor. ``depth_log_min``, ``depth_log_max`` are natural logarithms of
    metres, None without depth.

    Raises:
        DataError: a scale is not positive, the depth range does not rise or is half given, or
            ``target_kind`` is not "anchor".
    """

    delta_scale_x: float
    delta_scale_y: float
    delta_scale_z: float
    percentile: float = PERCENTILE
    num_samples: int | None = None
    history_len: int | None = None
    future_len: int | None = None
    target_kind: str = "anchor"
    video_fraction: float | None = None
    depth_log_min: float | None = None
    depth_log_max: float | None = None
    depth_p1_m: float | None = None
    depth_p99_m: float | None = None
    depth_num_samples: int | None = None
    depth_num_dirs: int | None = None
    depth_percentile_low: float | None = None
    depth_percentile_high: float | None = None

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name == "target_kind":
                if value != "anchor":
                    raise DataError(f"target_kind {value!r}: only 'anchor' is known")
            elif value is None and field.default is None:
                continue
            elif isinstance(value, bool) or not isinstance(value, int | float):
                raise DataError(f"{field.name} {value!r} is not a number")
            elif not math.isfinite(value):
                raise DataError(f"{field.name} {value} is not finite")
        if min(self.delta_scale) <= 0:
            raise DataError(f"delta_scale {self.delta_scale} must be positive")
        low, high = self.depth_log_min, self.depth_log_max
        if (low is None) != (high is None) or (low is not None and not low < high):
            raise DataError(f"depth log range {low}..{high} must rise, or both be absent")

    @property
    def delta_scale(self) -> tuple[float, float, float]:
        """Return the scales of u, v and z."""
        return self.delta_scale_x, self.delta_scale_y, self.delta_scale_z

    @property
    def depth_log_range(self) -> tuple[float, float] | None:
        """Return the ends of the depth range, None without depth."""
        if self.depth_log_min is None or self.depth_log_max is None:
            return None
        return self.depth_log_min, self.depth_log_max

    @classmethod
    def from_dict(cls, data: dict) -> Normalizer:
        """Return the normaliser of a parsed file.

        Raises:
            DataError: a required key is missing, a key is unknown, or a value is out of range.
        """
        known = {f.name for f in dataclasses.fields(cls)}
        required = {f.name for f in dataclasses.fields(cls) if f.default is dataclasses.MISSING}
        if missing := required - set(data):
            raise DataError(f"missing {sorted(missing)}")
        if unknown := set(data) - known:
            raise DataError(f"unknown {sorted(unknown)}; known are {sorted(known)}")
        return cls(**data)

    @classmethod
    def from_file(cls, path: Path) -> Normalizer:
        """Read ``normalizer_stats.json`` or ``delta_stats.json``.

        Raises:
            DataError: no JSON object, or see `from_dict`.
        """
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: {error}") from error
        if not isinstance(data, dict):
            raise DataError(f"{path}: expected a JSON object")
        try:
            return cls.from_dict(data)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error

    def to_file(self, path: Path) -> None:
        """Write the file; keys without a value are written as null."""
        text = json.dumps(dataclasses.asdict(self), indent=2) + "\n"
        Path(path).write_text(text, encoding="utf-8")


def measure(
    episodes: Iterable[EpisodeReader], rng: np.random.Generator, *, with_depth: bool = True
) -> Normalizer:
    """Compute the normaliser of a data set.

    Displacements: every row, moving or not, with a valid anchor inside the image; its valid future
    steps; at most 200 000 pairs an episode. Depth: at most 32 random frames an episode, every 4th
    pixel both ways.

    Args:
        episodes: readers opened with the history and future lengths of the model.
        rng: of the random subsets.
        with_depth: measure the depth range too.

    Raises:
        DataError: no valid pair, no valid depth, or an axis without motion.
    """
    deltas, depths, lengths = [], [], set()
    for episode in episodes:
        lengths.add((episode.history_len, episode.future_len))
        deltas.append(_displacements(episode, rng))
        if with_depth:
            depths.append(_depth_samples(episode, rng))
    if len(lengths) != 1:
        raise DataError(f"episodes were opened with lengths {sorted(lengths)}; need exactly one")
    pairs = np.concatenate(deltas)
    if not len(pairs):
        raise DataError("no row has a valid anchor and a valid future step")
    scale = np.percentile(pairs, PERCENTILE, axis=0)
    history_len, future_len = lengths.pop()
    return Normalizer(
        *map(float, scale),
        num_samples=len(pairs),
        history_len=history_len,
        future_len=future_len,
        **(_depth_fields(depths) if with_depth else {}),
    )


def _displacements(episode: EpisodeReader, rng: np.random.Generator) -> np.ndarray:
    size, found = episode.image_size, [np.empty((0, 3), np.float32)]
    for index in range(len(episode)):
        slot = episode.slot(index)
        rows = has_anchor(slot, *size)
        valid = slot.valid_future[rows, 1:]
        anchor = to_uvz(slot.history[rows, 0], *size)
        future = to_uvz(np.where(valid[..., None], slot.future[rows, 1:], 0), *size)
        found.append(np.abs(future - anchor[:, None])[valid])
    pairs = np.concatenate(found)
    if len(pairs) > _PAIRS_PER_EPISODE:
        pairs = pairs[rng.choice(len(pairs), _PAIRS_PER_EPISODE, replace=False)]
    return pairs


def _depth_samples(episode: EpisodeReader, rng: np.random.Generator) -> np.ndarray:
    if episode.depth_m is None:
        raise DataError(f"{episode.directory}: opened without depth, but depth is to be measured")
    count = len(episode.depth_m)
    frames = rng.choice(count, min(count, _FRAMES_PER_EPISODE), replace=False)
    pixels = np.stack(
        [episode.depth_m[k, ::_PIXEL_STRIDE, ::_PIXEL_STRIDE] for k in np.sort(frames)]
    ).astype(np.float32)
    return pixels[is_valid_depth(pixels)]


def _depth_fields(depths: list[np.ndarray]) -> dict[str, float | int]:
    pixels = np.concatenate(depths)
    if not len(pixels):
        raise DataError("no depth pixel is finite and above a millimetre")
    low, high = (float(x) for x in np.percentile(pixels, DEPTH_PERCENTILES))
    low = max(low, MIN_DEPTH_M)
    high = max(high, low * _MIN_DEPTH_RATIO)
    return {
        "depth_log_min": math.log(low),
        "depth_log_max": math.log(high),
        "depth_p1_m": low,
        "depth_p99_m": high,
        "depth_num_samples": len(pixels),
        "depth_num_dirs": len(depths),
        "depth_percentile_low": DEPTH_PERCENTILES[0],
        "depth_percentile_high": DEPTH_PERCENTILES[1],
    }
