# SPDX-License-Identifier: Apache-2.0
"""Samples hold displacements from the anchor; batches pad and hide what is not there."""

import dataclasses

import numpy as np
import pytest

from mu0_core.data.augment import AugmentSettings
from mu0_core.data.collate import IMAGE, collate
from mu0_core.data.episode import EpisodeReader
from mu0_core.data.sample import SampleSettings, build_sample
from mu0_core.data.sampling import SamplingSettings, to_uvz
from mu0_core.errors import ConfigError, DataError

SETTINGS = SampleSettings((0.5, 0.4, 0.2), (-1.0, 1.0), image_size=16)
PLAIN = dataclasses.replace(SETTINGS, depth_log_range=None, sampling=SamplingSettings(n_ctrl=None))


@pytest.fixture
def episode(episode_dir):
    return EpisodeReader(episode_dir)


def sample_of(episode, rows, settings=SETTINGS, slot=0, **more):
    return build_sample(episode, slot, np.array(rows), settings, **more)


def test_anchor_plus_scaled_future_is_the_stored_point(episode):
    sample, slot = sample_of(episode, [2, 5, 3]), episode.slot(0)
    points = sample.current_kp[:, None] + sample.traj_future * np.float32(SETTINGS.delta_scale)
    np.testing.assert_allclose(points, to_uvz(slot.future[[2, 5, 3], 1:], 32, 24), atol=1e-6)


def test_history_runs_from_oldest_to_newest(episode):
    sample, slot = sample_of(episode, [4]), episode.slot(0)
    points = sample.current_kp[:, None] + sample.traj_history
    np.testing.assert_allclose(points[0, 0], to_uvz(slot.history[4, 8], 32, 24), atol=1e-6)
    np.testing.assert_allclose(points[0, -1], to_uvz(slot.history[4, 1], 32, 24), atol=1e-6)


def test_the_order_of_the_rows_is_kept(episode):
    forwards, backwards = sample_of(episode, [2, 3, 6]), sample_of(episode, [6, 3, 2])
    for name in ("current_kp", "traj_future", "ctrl_pts_future", "valid_future", "cluster_ids"):
        np.testing.assert_array_equal(getattr(forwards, name), getattr(backwards, name)[::-1])


def test_missing_steps_are_zero_and_marked(episode):
    sample = sample_of(episode, [0, 2])
    assert sample.valid_future.sum(axis=1).tolist() == [4, 32]
    assert np.all(sample.traj_future[0, 4:] == 0)
    assert sample.valid_kp.tolist() == [False, True] and np.all(sample.ctrl_pts_future[0] == 0)


def test_images_are_resized_channels_first(episode):
    sample = sample_of(episode, [2])
    assert sample.image.shape == sample.depth_image.shape == (3, 16, 16)
    assert sample.image.min() >= 0 and 0.5 < sample.image.max() <= 1
    assert sample_of(episode, [2], PLAIN).depth_image is None


def test_augmentation_changes_images_only_and_repeats_with_its_seed(episode):
    settings = AugmentSettings(0.3, 0.05)
    plain, first, again = (
        sample_of(episode, [2, 3], augment=a, rng=np.random.default_rng(3))
        for a in (None, settings, settings)
    )
    for name in ("image", "depth_image"):
        assert np.abs(getattr(plain, name) - getattr(first, name)).max() > 0.01
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    np.testing.assert_array_equal(plain.traj_future, first.traj_future)


def test_a_row_without_an_anchor_is_refused(episode_dir):
    path = episode_dir / "samples/valid_steps_history.npy"
    valid = np.load(path)
    valid[2, 0] = False
    np.save(path, valid)
    with pytest.raises(DataError, match="without an anchor"):
        sample_of(EpisodeReader(episode_dir), [2])


def test_bad_requests_are_named(episode, episode_dir):
    with pytest.raises(ConfigError, match="generator"):
        sample_of(episode, [2], augment=AugmentSettings())
    with pytest.raises(DataError, match="without depth"):
        sample_of(EpisodeReader(episode_dir, with_depth=False), [2])
    with pytest.raises(ConfigError, match="delta_scale"):
        SampleSettings((0.5, 0.0, 0.2))


def test_a_batch_pads_with_marked_zeros(episode):
    samples = [sample_of(episode, [2, 3]), sample_of(episode, [4, 5, 6], slot=1)]
    batch = collate(samples)
    assert batch["key_pad_mask"].tolist() == [[True, True, False], [True, True, True]]
    assert batch[IMAGE].shape == batch[f"{IMAGE}_depth"].shape == (2, 3, 16, 16)
    for name in ("current_kp", "traj_future", "traj_history", "ctrl_pts_future", "valid_kp"):
        assert not np.any(batch[name][0, 2]), name
        for row, sample in zip(batch[name], samples):
            np.testing.assert_array_equal(row[: len(sample)], getattr(sample, name))
    assert batch["cluster_ids"][0, 2] == -1


def test_a_batch_without_depth_and_targets_has_no_such_keys(episode):
    batch = collate([sample_of(episode, [2], PLAIN, instruction="lift")])
    assert batch["task"] == ["lift"]
    assert {f"{IMAGE}_depth", "ctrl_pts_future", "valid_kp"}.isdisjoint(batch)


def test_mixed_and_empty_batches_are_refused(episode):
    with pytest.raises(DataError, match="only 1 of 2"):
        collate([sample_of(episode, [2]), sample_of(episode, [2], PLAIN)])
    with pytest.raises(DataError, match="at least one"):
        collate([])
