# SPDX-License-Identifier: Apache-2.0
"""A data set draws anew each epoch, repeats with its seed, and says what it could not use."""

import resource
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from mu0_core.data.augment import AugmentSettings
from mu0_core.data.dataset import TraceDataset, collate_tensors
from mu0_core.data.sample import SampleSettings
from mu0_core.data.sampling import SamplingSettings
from mu0_core.data.seeding import draw_rng
from mu0_core.errors import DataError

SETTINGS = SampleSettings(
    (0.5, 0.4, 0.2), (-1.0, 1.0), image_size=16, sampling=SamplingSettings(2, 4)
)


def drawn(dataset, items=range(3)):
    return [(dataset[k].rows.tolist(), dataset[k].instruction) for k in items]


def spoil_slot(directory, row):
    path = directory / "samples/traj.npy"
    points = np.load(path)
    points[row, 3, 0] = np.nan
    np.save(path, points)


def test_there_is_an_item_per_usable_slot_within_the_bounds(episode_dir):
    dataset = TraceDataset([episode_dir], SETTINGS)
    assert len(dataset) == 3 and dataset.rejected == {}
    assert [dataset[k].frame for k in range(3)] == [0, 2, 4]
    for rows, _ in drawn(dataset):
        assert 2 <= len(rows) <= 4 and set(rows) <= {2, 3, 4, 5, 6}  # 0 is short, 1 at rest
    spoken = {instruction for _, instruction in drawn(dataset)}
    assert spoken <= {"pick the cup", "grasp the cup", ""} and dataset[2].instruction == ""


def test_draws_repeat_with_their_seed_and_change_with_epoch_and_rank(episode_dir):
    def draws(epoch=0, **keys):
        dataset = TraceDataset([episode_dir] * 4, SETTINGS, **keys)
        dataset.set_epoch(epoch)
        return drawn(dataset, range(12))

    assert draws() == draws()
    others = (draws(epoch=1), draws(seed=1), draws(rank=1))
    assert all(draws() != other for other in others)


def test_the_keys_of_a_draw_do_not_share_numbers():
    keys = [(0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1), (0, 0, 0, 0, 1)]
    assert len({int(draw_rng(*key).integers(2**62)) for key in keys}) == len(keys)
    with pytest.raises(ValueError, match="non-negative"):
        draw_rng(0, 0, 0, -1)


def test_a_broken_episode_is_left_out_and_named(episode_dir, tmp_path):
    dataset = TraceDataset([episode_dir, tmp_path / "nowhere"], SETTINGS)
    assert len(dataset) == 3 and "missing" in dataset.rejected[tmp_path / "nowhere"]
    with pytest.raises(DataError, match=r"no usable slot in 1 .*nowhere"):
        TraceDataset([tmp_path / "nowhere"], SETTINGS)


def test_what_cannot_be_loaded_is_replaced(episode_dir):
    dataset = TraceDataset([episode_dir], SETTINGS)
    spoil_slot(episode_dir, 0)
    assert dataset[0].frame in (2, 4) and dataset[1].frame == 2


def test_when_every_replacement_fails_the_last_reason_is_told(episode_dir):
    dataset = TraceDataset([episode_dir], SETTINGS)
    for row in (0, 7, 14):
        spoil_slot(episode_dir, row)
    with pytest.raises(DataError, match=r"item 1 and 16 replacements failed.*holds NaN"):
        dataset[1]


def test_many_episodes_need_few_open_files(episode_dir, tmp_path):
    links = [tmp_path / f"link{k}" for k in range(60)]
    for link in links:
        link.symlink_to(episode_dir)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 200, before[1]))  # 60 * 9 would not fit
    try:
        dataset = TraceDataset(links, SETTINGS)
        assert dataset.rejected == {}
        assert [dataset[k].frame for k in range(0, len(dataset), 3)] == [0] * len(links)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_workers_draw_as_the_main_process_and_hear_of_a_new_epoch(episode_dir):
    dataset = TraceDataset([episode_dir], SETTINGS, augment=AugmentSettings())

    def batches(**workers):
        loader = DataLoader(dataset, 3, collate_fn=collate_tensors, **workers)
        for epoch in range(2):
            dataset.set_epoch(epoch)
            yield next(iter(loader))

    here = list(batches())
    there = list(batches(num_workers=1, persistent_workers=True))
    for mine, other in zip(here, there):
        assert mine.keys() == other.keys() and mine["task"] == other["task"]
        for name in mine.keys() - {"task"}:
            torch.testing.assert_close(mine[name], other[name], rtol=0, atol=0)
    key = "observation.images.cam_front"
    assert not torch.equal(here[0][key], here[1][key])
