# SPDX-License-Identifier: Apache-2.0
"""Small episodes of the released format whose points move by a rule that a model can learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mu0_core.data.captions import CaptionEntry, Captions
from mu0_core.data.episode_writer import EpisodeWriter

FRAMES, ROWS, STEPS, BACK = 4, 10, 40, 12
WAYS = {"move right": (0.5, 0.0, 0.0), "move up": (0.0, -0.5, 0.004), "push it": (-0.4, 0.2, 0.01)}
_FOCAL = 1.2  # of the image's width


def write_episode(folder: Path, seed: int, size: tuple[int, int] = (48, 36)) -> Path:
    """Write an episode of two rigid bodies and points at rest; the sentence says where they go.

    Args:
        folder: of the episode.
        seed: of all draws; it also chooses the sentence.
        size: width and height in pixels.

    Returns:
        the folder.
    """
    rng = np.random.default_rng(seed)
    width, height = size
    sentence = sorted(WAYS)[seed % len(WAYS)]
    speed = np.array(WAYS[sentence]) * (width / 48, height / 36, 1)
    focal, centre = _FOCAL * width, ((width - 1) / 2, (height - 1) / 2)
    lens = np.array([[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1]])
    writer = EpisodeWriter(
        rng.integers(0, 256, (FRAMES, height, width, 3), dtype=np.uint8),
        rng.uniform(0.5, 1.5, (FRAMES, height, width)),
        np.broadcast_to(lens, (FRAMES, 3, 3)),
        np.broadcast_to(np.eye(4), (FRAMES, 4, 4)),
        Captions((CaptionEntry(0, FRAMES - 1, (sentence, f"{sentence} slowly")),)),
    )
    body = np.arange(ROWS) % 3 - 1  # -1 rests
    for frame in range(FRAMES):
        low, high = (0.2 * width, 0.3 * height, 0.7), (0.7 * width, 0.8 * height, 1.2)
        start = rng.uniform(low, high, (ROWS, 3))
        way = np.where(body[:, None] >= 0, speed * (1 + 0.3 * body[:, None]), 0)
        future = start[:, None] + np.arange(STEPS)[:, None] * way[:, None]
        history = start[:, None] - np.arange(BACK)[:, None] * way[:, None]
        future[1, 25:] = -np.inf
        writer.add_slot(frame, future, history, body >= 0, body)
    writer.write(folder)
    return folder
