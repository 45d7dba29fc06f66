# SPDX-License-Identifier: Apache-2.0
"""The loop on a small regression: it learns, resumes exactly, and survives bad steps."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from mu0_core.errors import ConfigError, DataError, NonFiniteOutputError
from mu0_core.training.averaging import ParameterAverage
from mu0_core.training.loop import LoopSettings, train
from mu0_core.training.schedule import Budget, LearningRate
from mu0_core.training.train_state import STATE_FILE

SETTINGS = LoopSettings(
    LearningRate(peak=0.05, warmup_steps=3), weight_decay=1e-3, clip_norm=1.0, checkpoint_every=2,
    evaluate_every=4, max_skipped=5,
)  # fmt: skip


class Regression:
    """Fit y = w x; a step in ``bad`` has an infinite loss."""

    def __init__(self, bad: tuple[int, ...] = ()) -> None:
        torch.manual_seed(0)
        self.net = nn.Linear(4, 1)
        self.unused = nn.Parameter(torch.zeros(2))
        self.bad, self.calls = bad, 0

    @property
    def parameters(self):
        return {**dict(self.net.named_parameters()), "unused": self.unused}

    def losses(self, randomness):
        self.calls += 1
        x = torch.randn(8, 4, generator=randomness.torch)
        x = x + float(randomness.numpy.normal()) * 0.01
        loss = (self.net(x) - x.sum(dim=1, keepdim=True)).square().mean()
        return {"total": loss * float("inf") if self.calls in self.bad else loss}

    def evaluate(self):
        with torch.no_grad():
            return {"error": float((self.net.weight - 1).abs().max())}


class Interrupted(Exception):
    pass


def interrupt_after(step):
    def on_step(progress, share):
        if progress.step == step:
            raise Interrupted

    return on_step


def test_it_learns_and_exports_the_average(tmp_path):
    task = Regression()
    before = task.evaluate()["error"]
    progress = train(task, SETTINGS, Budget(steps=300), tmp_path)
    assert progress.step == 300 and progress.skipped == 0
    assert progress.metrics["error"] < 0.05 < before
    assert progress.metrics == task.evaluate()  # what was measured is what the model now holds
    assert progress.history[-1]["step"] == 300


@pytest.mark.parametrize("cut", [1, 2, 5])
def test_an_interrupted_training_ends_with_the_same_numbers(tmp_path, cut):
    whole, broken, continued = Regression(), Regression(), Regression()
    first = train(whole, SETTINGS, Budget(steps=9), tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(broken, SETTINGS, Budget(steps=9), tmp_path / "cut", None, interrupt_after(cut))
    second = train(continued, SETTINGS, Budget(steps=9), tmp_path / "cut")
    assert continued.calls == 9 - cut // 2 * 2  # it did continue from the last checkpoint
    for name, parameter in whole.parameters.items():
        assert torch.equal(parameter, continued.parameters[name]), name
    assert (first.metrics, first.running, first.history) == (
        second.metrics, second.running, second.history,
    )  # fmt: skip
    one, two = (load_file(tmp_path / k / STATE_FILE) for k in ("whole", "cut"))
    assert one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)


def test_a_finished_training_is_not_repeated_but_a_larger_budget_continues_it(tmp_path):
    train(Regression(), SETTINGS, Budget(steps=6), tmp_path)
    again = Regression()
    assert train(again, SETTINGS, Budget(steps=6), tmp_path).step == 6 and again.calls == 0
    assert train(again, SETTINGS, Budget(steps=8), tmp_path).step == 8 and again.calls == 2


def test_other_settings_and_damage_are_refused(tmp_path):
    train(Regression(), SETTINGS, Budget(steps=2), tmp_path, {"batch": 8})
    with pytest.raises(DataError, match="batch"):
        train(Regression(), SETTINGS, Budget(steps=4), tmp_path, {"batch": 9})
    with pytest.raises(DataError, match="loop"):
        train(Regression(), replace(SETTINGS, seed=1), Budget(steps=4), tmp_path, {"batch": 8})
    state = tmp_path / STATE_FILE
    state.write_bytes(state.read_bytes()[:-7])
    with pytest.raises(DataError, match=STATE_FILE):
        train(Regression(), SETTINGS, Budget(steps=4), tmp_path, {"batch": 8})


def test_a_step_that_is_not_finite_changes_nothing(tmp_path):
    task = Regression(bad=(3, 4))
    progress = train(task, SETTINGS, Budget(steps=6), tmp_path)
    assert (progress.step, progress.skipped, task.calls) == (6, 2, 8)
    assert all(bool(torch.isfinite(p).all()) for p in task.parameters.values())


def test_a_diverged_training_gives_up(tmp_path):
    task = Regression(bad=tuple(range(1, 50)))
    before = task.net.weight.detach().clone()
    with pytest.raises(NonFiniteOutputError, match="5 consecutive"):
        train(task, SETTINGS, Budget(steps=6), tmp_path)
    assert torch.equal(task.net.weight, before)


def test_a_budget_in_minutes_counts_training_time(tmp_path):
    progress = train(Regression(), SETTINGS, Budget(minutes=0.002), tmp_path)
    assert progress.step >= 1 and progress.elapsed_s >= 0.12


def test_the_rate_warms_up_and_falls_to_its_floor():
    rate = LearningRate(peak=1.0, warmup_steps=10, floor=0.01)
    warm = [rate.at(step, 0.0) for step in range(12)]
    assert warm[:10] == sorted(warm[:10]) and warm[10] == pytest.approx(1.01)
    cosine = [rate.at(100, share) for share in (0, 0.25, 0.5, 0.75, 1.0)]
    assert cosine == sorted(cosine, reverse=True) and cosine[-1] == pytest.approx(0.01)


@pytest.mark.parametrize("wrong", [{}, {"steps": 1, "minutes": 1}, {"steps": 0}, {"minutes": -1}])
def test_a_budget_is_one_positive_number(wrong):
    with pytest.raises(ConfigError):
        Budget(**wrong)


def test_the_average_follows_and_leaves_the_model_alone():
    parameter = nn.Parameter(torch.zeros(3))
    average = ParameterAverage({"p": parameter})
    with torch.no_grad():
        parameter.fill_(1.0)
    for step in range(1, 40):
        average.update(step)
    assert 0.9 < float(average.values["p"][0]) < 1
    with average.applied():
        assert torch.equal(parameter, average.values["p"])
    assert torch.equal(parameter, torch.ones(3))


def test_without_averaging_the_last_parameters_are_evaluated_and_resumed(tmp_path):
    whole, broken, continued = Regression(), Regression(), Regression()
    seen = []

    def look(progress):
        seen.append((progress.step, progress.metrics == whole.evaluate()))

    train(whole, SETTINGS, Budget(steps=9), tmp_path / "a", averaging=False, on_evaluation=look)
    assert seen == [(4, True), (8, True), (9, True)]
    with pytest.raises(Interrupted):
        train(
            broken, SETTINGS, Budget(steps=9), tmp_path / "b", None, interrupt_after(5),
            averaging=False,
        )  # fmt: skip
    train(continued, SETTINGS, Budget(steps=9), tmp_path / "b", averaging=False)
    for name, parameter in whole.parameters.items():
        assert torch.equal(parameter, continued.parameters[name]), name
    assert not any(k.startswith("average.") for k in load_file(tmp_path / "a" / STATE_FILE))


def test_a_constant_rate_only_warms_up():
    rate = LearningRate(peak=0.2, warmup_steps=4, floor=0.0, cosine=False)
    assert [rate.at(step, 0.9) for step in (0, 3, 50)] == pytest.approx([0.05, 0.2, 0.2])
    assert LearningRate(peak=0.2, warmup_steps=1, cosine=False).at(0, 0) == 0.2


def test_states_from_before_a_setting_existed_still_fit():
    """New fields at their default stand in no fingerprint."""
    known = SETTINGS.fingerprint()
    assert "eps" not in known and "cosine" not in known["learning_rate"]
    assert replace(SETTINGS, eps=1e-6).fingerprint()["eps"] == 1e-6
    constant = replace(SETTINGS, learning_rate=LearningRate(cosine=False))
    assert constant.fingerprint()["learning_rate"]["cosine"] is False


@pytest.mark.parametrize("wrong", [{"eps": 0.0}, {"betas": (0.9, 1.0)}, {"clip_norm": 0.0}])
def test_an_optimiser_that_cannot_work_is_refused(wrong):
    with pytest.raises(ConfigError):
        replace(SETTINGS, **wrong)
