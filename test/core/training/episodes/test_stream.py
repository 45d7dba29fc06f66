# SPDX-License-Identifier: Apache-2.0
"""Sample number g is a function of seed and g alone; no sample is lost or doubled."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mu0_core.data.augment import AugmentSettings
from mu0_core.data.dataset import TraceDataset
from mu0_core.data.sample import SampleSettings
from mu0_core.data.sampling import SamplingSettings
from mu0_core.errors import ConfigError, DataError
from mu0_core.training.episodes.prompts import Prompts, byte_tokenizer
from mu0_core.training.episodes.settings import LossSettings
from mu0_core.training.episodes.sources import find_episodes
from mu0_core.training.episodes.stream import Collator, SampleStream, Share, StreamLoader

SAMPLE = SampleSettings((0.5, 0.5, 0.1), (-1.0, 1.0), 16, SamplingSettings(1, 5))
COLLATOR = Collator(Prompts(byte_tokenizer, 40), history=True)


@pytest.fixture
def make_stream(episodes):
    def make(seed=0, **losses):
        dataset = TraceDataset(
            find_episodes(str(episodes)), SAMPLE, augment=AugmentSettings(), seed=seed
        )
        return SampleStream(dataset, LossSettings(**losses), seed)

    return make


def equal(one, two):
    """Say whether two batches hold the same numbers."""
    pairs = [(vars(one), vars(two)), (vars(one.seen), vars(two.seen))]
    return all(
        a[k].shape == b[k].shape and torch.equal(a[k], b[k])
        for a, b in pairs for k in a if isinstance(a[k], torch.Tensor)
    )  # fmt: skip


def test_a_number_gives_the_same_sample_in_any_order(make_stream):
    first, second = make_stream(), make_stream()
    ahead = [first[g] for g in range(30)]
    back = [second[g] for g in reversed(range(30))][::-1]
    for one, two in zip(ahead, back):
        assert equal(COLLATOR([one]), COLLATOR([two]))


def test_each_epoch_shows_every_slot_once_in_an_order_of_its_own(make_stream):
    stream = make_stream()
    count = len(stream.dataset)
    orders = [[int(stream._order(e)[k]) for k in range(count)] for e in range(3)]
    assert all(sorted(order) == list(range(count)) for order in orders)
    assert orders[0] != orders[1] != orders[2]
    other = make_stream(seed=1)
    assert [int(k) for k in other._order(0)] != orders[0]


def test_seeds_numbers_and_epochs_draw_differently(make_stream):
    stream, other = make_stream(), make_stream(seed=1)
    count = len(stream.dataset)
    draws = [stream[0], stream[1], stream[count], other[0]]
    assert (
        len({float(d.time) for d in draws}) == len({float(d.noise[0, 0, 0]) for d in draws}) == 4
    )


def test_what_is_hidden_follows_its_probability(make_stream):
    stream = make_stream(depth_dropout=0.7)
    drawn = [stream[g] for g in range(300)]
    depth = np.mean([d.depth_kept for d in drawn])
    all_hidden = np.mean([not d.history_kept.any() for d in drawn if len(d.sample) > 3])
    assert depth == pytest.approx(0.3, abs=0.08) and all_hidden == pytest.approx(0.5, abs=0.1)
    clear = make_stream(depth_dropout=0, history_dropout=0, history_point_dropout=0)
    shown = [clear[g] for g in range(5)]
    assert all(d.depth_kept and d.history_kept.all() for d in shown)


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(0, 50))
def test_processes_and_parts_share_a_batch_without_gap_or_overlap(world, parts, size, draw):
    batch = world * parts * size
    numbers = [
        g
        for rank in range(world)
        for part in range(parts)
        for g in Share(batch, parts, rank, world).numbers(draw, part)
    ]
    assert sorted(numbers) == list(range(draw * batch, (draw + 1) * batch))


def test_a_batch_that_cannot_be_shared_is_refused():
    with pytest.raises(
        ConfigError, match="batch_size 10 cannot be split into accumulation 2 times 3"
    ):
        Share(10, 2, 0, 3)


def test_loader_processes_change_nothing_and_any_batch_can_come_next(make_stream):
    share = Share(4, parts=2)
    here = StreamLoader(make_stream(), COLLATOR, share, workers=0, prefetch=2)
    there = StreamLoader(make_stream(), COLLATOR, share, workers=2, prefetch=2)
    for draw in (0, 1, 2, 7, 8, 3):  # also as after a continued training
        one, two = here.parts(draw), there.parts(draw)
        assert len(one) == 2 and all(equal(a, b) for a, b in zip(one, two))
    assert there.waited_s > 0


def test_time_without_data_is_measured(make_stream):
    class Slow(SampleStream):
        def __getitem__(self, number):
            time.sleep(0.02)
            return super().__getitem__(number)

    stream = make_stream()
    slow = Slow(stream.dataset, stream.losses, 0)
    loader = StreamLoader(slow, COLLATOR, Share(3), workers=0, prefetch=2)
    loader.parts(0)
    assert loader.waited_s >= 0.06


def test_images_of_different_sizes_share_a_batch(make_stream):
    stream = make_stream()
    sizes, drawn = set(), []
    for g in range(len(stream.dataset)):
        directory, _ = stream.dataset.index.items[stream._order(0)[g]]
        sizes.add(np.load(directory / "images.npy", mmap_mode="r").shape[1:3])
        drawn.append(stream[g])
    assert len(sizes) == 2
    batch = COLLATOR(drawn)
    assert batch.seen.images.shape == (len(drawn), 3, 16, 16)
    assert batch.seen.query[..., :2].abs().max() <= 1


def test_without_history_none_is_shown(make_stream):
    batch = Collator(Prompts(byte_tokenizer, 40), history=False)([make_stream()[0]])
    assert batch.seen.history is None and batch.seen.history_kept is None


def test_replaced_samples_and_cut_sentences_are_counted(make_stream):
    stream = make_stream()
    drawn = [replace(stream[0], replaced=True), stream[1]]
    batch = Collator(Prompts(byte_tokenizer, 4), history=True)(drawn)
    assert (batch.replaced, batch.cut) == (1, 2)


@pytest.mark.parametrize("workers", [0, 1])
def test_data_that_broke_meanwhile_is_one_line_of_error(make_stream, workers):
    class Broken(SampleStream):
        def __getitem__(self, number):
            raise DataError("item 3 and 16 replacements failed")

    stream = make_stream()
    loader = StreamLoader(
        Broken(stream.dataset, stream.losses, 0), COLLATOR, Share(2), workers, prefetch=1
    )
    with pytest.raises(DataError, match="16 replacements failed") as caught:
        loader.parts(0)
    assert "\n" not in str(caught.value)
