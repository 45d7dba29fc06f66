# SPDX-License-Identifier: Apache-2.0
"""The normaliser is measured as defined, survives its file, and reads strictly."""

import json

import numpy as np
import pytest

from mu0_core.data.episode import EpisodeReader
from mu0_core.data.normalizer import Normalizer, measure
from mu0_core.errors import DataError

GIVEN = {"delta_scale_x": 0.6, "delta_scale_y": 0.7, "delta_scale_z": 0.2}


def rng():
    return np.random.default_rng(0)


def test_scales_are_percentiles_over_all_valid_steps(episode_dir):
    episode = EpisodeReader(episode_dir)
    found = measure([episode], rng())
    pairs = []
    for slot in map(episode.slot, range(3)):
        for row in range(len(slot)):
            delta = slot.future[row, 1:] - slot.history[row, 0]
            pairs.append(np.abs(delta[slot.valid_future[row, 1:]]) * [2 / 32, 2 / 24, 1])
    pairs = np.concatenate(pairs)
    assert found.num_samples == len(pairs) == 3 * (4 + 6 * 32)
    np.testing.assert_allclose(found.delta_scale, np.percentile(pairs, 95, axis=0), rtol=1e-4)
    assert (found.history_len, found.future_len, found.depth_num_dirs) == (8, 32, 1)


def test_depth_range_spans_the_valid_depth(episode_dir):
    found = measure([EpisodeReader(episode_dir)], rng())
    assert 0.5 <= found.depth_p1_m < 0.7 and 2.8 < found.depth_p99_m <= 3.0
    np.testing.assert_allclose(
        np.exp(found.depth_log_range), [found.depth_p1_m, found.depth_p99_m]
    )
    plain = measure([EpisodeReader(episode_dir, with_depth=False)], rng(), with_depth=False)
    assert plain.depth_log_range is None


def test_the_same_twice_gives_the_same_scales(episode_dir):
    episode = EpisodeReader(episode_dir)
    once, twice = measure([episode], rng()), measure([episode, episode], rng())
    np.testing.assert_allclose(once.delta_scale, twice.delta_scale, rtol=1e-2)
    assert twice.num_samples == 2 * once.num_samples


def test_a_file_keeps_what_was_measured(episode_dir, tmp_path):
    found = measure([EpisodeReader(episode_dir)], rng())
    found.to_file(tmp_path / "stats.json")
    assert Normalizer.from_file(tmp_path / "stats.json") == found


def test_a_file_without_target_kind_means_anchor():
    assert Normalizer.from_dict(GIVEN).target_kind == "anchor"
    assert Normalizer.from_dict(GIVEN).delta_scale == (0.6, 0.7, 0.2)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"delta_scale_x": None}, "delta_scale_x"),
        ({"delta_scale_x": 0.0}, "positive"),
        ({"delta_scale_y": "0.7"}, "not a number"),
        ({"delta_scale_z": float("nan")}, "not finite"),
        ({"target_kind": "step"}, "only 'anchor'"),
        ({"depth_log_min": 1.0, "depth_log_max": 0.0}, "must rise"),
        ({"depth_log_min": 1.0}, "must rise"),
        ({"scale": 1.0}, "unknown"),
    ],
)
def test_a_bad_file_is_named(tmp_path, change, named):
    path = tmp_path / "stats.json"
    path.write_text(json.dumps(GIVEN | change))
    with pytest.raises(DataError, match=named) as caught:
        Normalizer.from_file(path)
    assert "stats.json" in str(caught.value)


def test_a_missing_scale_is_named(tmp_path):
    path = tmp_path / "stats.json"
    path.write_text(json.dumps({"delta_scale_x": 1.0}))
    with pytest.raises(DataError, match="delta_scale_y"):
        Normalizer.from_file(path)


def test_episodes_of_other_lengths_are_not_mixed(episode_dir):
    readers = [EpisodeReader(episode_dir), EpisodeReader(episode_dir, future_len=16)]
    with pytest.raises(DataError, match="exactly one"):
        measure(readers, rng())
    with pytest.raises(DataError, match="exactly one"):
        measure([], rng())
