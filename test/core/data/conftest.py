# SPDX-License-Identifier: Apache-2.0
"""A small synthetic episode: 3 slots of drifting points, a caption, a hole in the depth."""

import numpy as np
import pytest

from mu0_core.data.captions import CaptionEntry, Captions
from mu0_core.data.episode_writer import EpisodeWriter

FRAMES, HEIGHT, WIDTH, ROWS = 6, 24, 32, 7


def drifting_points(rng, rows=ROWS, steps=40, back=12):
    """Return future (rows, steps, 3) and history (rows, back, 3) that share column 0."""
    start = rng.uniform([4, 4, 1], [28, 20, 2], (rows, 3))
    speed = rng.uniform(-0.4, 0.4, (rows, 3)) * [1, 1, 0.02]
    future = start[:, None] + np.arange(steps)[:, None] * speed[:, None]
    return future, start[:, None] - np.arange(back)[:, None] * speed[:, None]


@pytest.fixture
def make_writer():
    """Return a function (seed) -> writer with three slots, frames 4, 0 and 2 in this order."""

    def make(seed=0):
        rng = np.random.default_rng(seed)
        depth = rng.uniform(0.5, 3.0, (FRAMES, HEIGHT, WIDTH))
        depth[:, :3] = np.nan
        writer = EpisodeWriter(
            rng.integers(0, 256, (FRAMES, HEIGHT, WIDTH, 3), dtype=np.uint8),
            depth,
            np.broadcast_to(np.eye(3), (FRAMES, 3, 3)),
            np.broadcast_to(np.eye(4), (FRAMES, 4, 4)),
            Captions((CaptionEntry(0, 3, ("pick the cup", "grasp the cup")),)),
        )
        for frame in (4, 0, 2):
            future, history = drifting_points(rng)
            future[0, 5:] = -np.inf  # row 0: five steps only
            moving = np.arange(ROWS) != 1
            writer.add_slot(frame, future, history, moving, rng.integers(-1, 3, ROWS))
        return writer

    return make


@pytest.fixture
def episode_dir(make_writer, tmp_path):
    directory = tmp_path / "episode"
    make_writer().write(directory)
    return directory
