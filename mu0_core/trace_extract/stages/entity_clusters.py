# SPDX-License-Identifier: Apache-2.0
"""Entities over time from patch features (stage 2 of TraceExtract).

Tokens of a frame are merged pairwise (bipartite soft matching, as in token merging) until few are
left; those of all frames are gathered into centroids that persist over the clip, and each patch
goes to the nearest centroid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mu0_core.errors import ConfigError, ShapeError


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """How patches become entities.

    Attributes:
        merge_share: share of the tokens merged per round (paper: 0.25).
        merge_rounds: (paper: 11).
        new_cosine: a token less similar to every centroid starts a new one (paper: 0.2).
    """

    merge_share: float = 0.25
    merge_rounds: int = 11
    new_cosine: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.merge_share <= 0.5 or self.merge_rounds < 0 or abs(self.new_cosine) > 1:
            raise ConfigError(
                f"merge_share {self.merge_share} in (0, 0.5], merge_rounds {self.merge_rounds} "
                f">= 0, new_cosine {self.new_cosine} in [-1, 1] are needed"
            )


def entity_maps(features: np.ndarray, settings: ClusterSettings) -> np.ndarray:
    """Return the entity (F, gh, gw) int16 of each patch of F frames; ids count from 0.

    Args:
        features: (F, gh, gw, C); their mean over the clip is taken off first.
        settings: how.

    Raises:
        ShapeError: not four axes, or nothing in one of them.
    """
    if features.ndim != 4 or 0 in features.shape:
        raise ShapeError(f"features {features.shape}, expected (F, gh, gw, C), none empty")
    frames, rows, columns, width = features.shape
    tokens = features.reshape(frames, rows * columns, width)
    tokens = unit(tokens - tokens.mean(axis=(0, 1)))
    centroids = _gather(
        [merge_tokens(frame, settings.merge_share, settings.merge_rounds) for frame in tokens],
        settings.new_cosine,
    )
    nearest = np.argmax(tokens @ centroids.T, axis=-1)
    compact = np.unique(nearest, return_inverse=True)[1]
    return compact.reshape(frames, rows, columns).astype(np.int16)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return vectors (..., C) of length 1; a zero vector stays."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def merge_tokens(tokens: np.ndarray, share: float, rounds: int) -> tuple[np.ndarray, np.ndarray]:
    """Merge similar unit tokens (N, C); return the means of what is left and their sizes."""
    sizes = np.ones(len(tokens))
    for _ in range(rounds):
        count = int(share * len(tokens))
        if not count:
            break
        tokens, sizes = _merge_once(tokens, sizes, count)
    return tokens, sizes


def _merge_once(
    tokens: np.ndarray, sizes: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Merge the ``count`` even tokens that are most similar to an odd one into it."""
    even, odd = tokens[::2], tokens[1::2].copy()
    even_sizes, odd_sizes = sizes[::2], sizes[1::2].copy()
    similarity = even @ odd.T
    partner = np.argmax(similarity, axis=1)
    order = np.argsort(-similarity[np.arange(len(even)), partner], kind="stable")
    gone, left = order[:count], np.sort(order[count:])
    weighted = odd * odd_sizes[:, None]
    np.add.at(weighted, partner[gone], even[gone] * even_sizes[gone, None])
    np.add.at(odd_sizes, partner[gone], even_sizes[gone])
    return (
        unit(np.concatenate([even[left], weighted])),
        np.concatenate([even_sizes[left], odd_sizes]),
    )


def _gather(frames: list[tuple[np.ndarray, np.ndarray]], new_cosine: float) -> np.ndarray:
    """Return centroids (K, C) of the tokens of all frames, in the order of their appearance."""
    sums: list[np.ndarray] = []
    for tokens, sizes in frames:
        for token, size in zip(tokens, sizes):
            if sums:
                cosines = unit(np.stack(sums)) @ token
                best = int(np.argmax(cosines))
                if cosines[best] >= new_cosine:
                    sums[best] = sums[best] + size * token
                    continue
            sums.append(size * token)
    return unit(np.stack(sums))
