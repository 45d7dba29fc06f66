# SPDX-License-Identifier: Apache-2.0
"""The held-out measurement: always the same samples, right numbers, nothing disturbed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from mu0_core.data.dataset import TraceDataset
from mu0_core.data.index import EpisodeIndex, Opening, index_episodes
from mu0_core.data.sample import SampleSettings
from mu0_core.data.sampling import SamplingSettings
from mu0_core.errors import DataError
from mu0_core.model.flow import TraceSamples
from mu0_core.model.render import trace_basis
from mu0_core.training.episodes.evaluation import HeldOutEvaluation, chosen_slots
from mu0_core.training.episodes.prompts import Prompts, byte_tokenizer
from mu0_core.training.episodes.settings import EvaluationSettings
from mu0_core.training.episodes.sources import find_episodes
from mu0_core.training.episodes.tiny_profile import TINY_WORLD_MODEL

SCALE = (0.5, 0.5, 0.1)
SETTINGS = EvaluationSettings(samples=3, points=4, offsets=(0, 2), batch_size=3)
SAMPLE = SampleSettings(SCALE, None, 16, SamplingSettings(4, 4, None))


def process(rank=0, world=1):
    return SimpleNamespace(process_index=rank, num_processes=world, device=torch.device("cpu"))


@pytest.fixture
def index(episodes):
    opening = Opening(with_depth=False)
    return index_episodes(
        find_episodes(str(episodes)), opening, SamplingSettings(n_ctrl=None)
    )  # fmt: skip


def evaluation(index, settings=SETTINGS, accelerator=None):
    dataset = TraceDataset((), SAMPLE, index=chosen_slots(index, settings))
    config = replace(TINY_WORLD_MODEL, delta_scale=SCALE)
    prompts = Prompts(byte_tokenizer, 48)
    return HeldOutEvaluation(dataset, prompts, config, settings, 0, accelerator or process())


class Forecast(torch.nn.Module):
    """Fits the truth that it is given; or stays where it is."""

    def __init__(self, evaluation, perfect):
        super().__init__()
        self.perfect, self.seen = perfect, []
        self._basis = torch.linalg.pinv(trace_basis(TINY_WORLD_MODEL))
        self._items = evaluation._items

    def forward(self, seen, noise):
        self.seen.append((seen, noise))
        control = torch.zeros(noise.shape)
        done = torch.full((*noise.shape[:3], 32), 9.0)
        if self.perfect:
            for b, query in enumerate(seen.query):
                for item in range(len(self._items)):
                    sample = self._items[item][1]
                    anchor = torch.from_numpy(sample.current_kp)
                    if torch.equal(query[: len(anchor)], anchor):
                        future = torch.from_numpy(sample.traj_future)
                        control[b, :, : len(anchor)] = self._basis @ future
                        valid = torch.from_numpy(sample.valid_future).float()
                        done[b, :, : len(anchor)] = valid * 18 - 9
        return TraceSamples(control, done)


def test_a_perfect_forecast_has_no_error_and_no_motion_has_that_of_no_motion(index):
    measure = evaluation(index)
    perfect = measure(Forecast(measure, True))
    still = measure(Forecast(measure, False))
    assert perfect["ade_uvz"] < 0.02 < still["ade_uvz"]
    assert still["ade_uvz"] == pytest.approx(still["ade_uvz_still"], rel=1e-5)
    assert perfect["done_acc"] == 1 and 0.5 < still["done_acc"] < 1  # row 1 ends early
    assert perfect["minADE_3_uvz"] <= perfect["ade_uvz"]


def test_each_time_shows_the_same_and_hides_no_short_trace(index):
    measure = evaluation(index)
    first, second = Forecast(measure, False), Forecast(measure, False)
    assert measure(first) == measure(second)
    for (one, noise), (two, again) in zip(first.seen, second.seen, strict=True):
        assert torch.equal(one.query, two.query) and torch.equal(noise, again)
        assert one.history is None and one.point_valid.sum(dim=1).tolist() == [4] * len(one.query)
    assert len(first.seen) == 4  # 12 slots, 3 at a time


def test_the_model_returns_to_the_mode_it_was_in(index):
    measure = evaluation(index)
    for mode in (True, False):
        module = Forecast(measure, False).train(mode)
        measure(module)
        assert module.training is mode


@pytest.mark.parametrize("world", [2, 3, 5])
def test_processes_share_the_samples_and_call_equally_often(index, world):
    def own(rank):
        measure = evaluation(index, accelerator=process(rank, world))
        return [[item for item, _ in batch] for batch in measure._batches()]

    batches = [own(rank) for rank in range(world)]
    assert len({len(b) for b in batches}) == 1
    assert {item for each in batches for batch in each for item in batch} == set(range(12))


def test_slots_are_chosen_by_time_and_limited():
    index = EpisodeIndex(tuple((Path(n), k) for n, c in (("a", 14), ("b", 3)) for k in range(c)))
    chosen = chosen_slots(index, EvaluationSettings()).items
    assert chosen == ((Path("a"), 4), (Path("a"), 8), (Path("a"), 12), (Path("b"), 2))
    few = chosen_slots(index, EvaluationSettings(batches=1, batch_size=2)).items
    assert len(few) == 2 and set(few) <= set(chosen)
    with pytest.raises(DataError, match="held-out episodes have no usable slot.*no moving point"):
        chosen_slots(EpisodeIndex(unusable={"no moving point": 3}), EvaluationSettings())
