# SPDX-License-Identifier: Apache-2.0
"""`ReplanRule`: one forecast per motion, on an image taken after it."""

from mu0_ros.replan import ReplanRule

S = 1_000_000_000


def make(lead_s=0.0):
    return ReplanRule(lead_s, settle_s=0.1, answer_timeout_s=2.0, retry_s=0.5)


def test_nothing_is_forecast_before_the_gate_has_spoken():
    rule = make()
    assert not rule.ready(10 * S, 0.0)
    rule.on_gate(10 * S, 0.0, 0)
    assert rule.ready(10 * S, 0.0)


def test_one_forecast_per_motion_and_only_on_an_image_after_its_end():
    rule = make()
    rule.on_gate(10 * S, 0.0, 5)
    rule.on_forecast(0.0)
    assert not rule.ready(11 * S, 0.5), "the chunk is still awaited"
    rule.on_gate(11 * S, 1.5, 6)  # passed: moves until 12.5
    assert not rule.ready(12 * S, 1.0)
    rule.on_gate(13 * S, 0.0, 6)
    assert not rule.ready(round(12.55 * S), 3.0), "image taken while the arm settled"
    assert rule.ready(round(12.61 * S), 3.0)


def test_a_lead_forecasts_while_the_arm_still_moves():
    rule = make(lead_s=0.5)
    rule.on_gate(10 * S, 0.0, 0)
    rule.on_forecast(0.0)
    rule.on_gate(11 * S, 1.5, 1)
    assert not rule.ready(round(12.0 * S), 1.0)
    assert rule.ready(round(12.2 * S), 1.2)


def test_without_an_answer_it_forecasts_again_after_the_timeout():
    rule = make()
    rule.on_gate(10 * S, 0.0, 0)
    rule.on_forecast(5.0)
    assert not rule.ready(20 * S, 6.9)
    assert rule.ready(20 * S, 7.1)


def test_after_a_failure_it_pauses_briefly():
    rule = make()
    rule.on_gate(10 * S, 0.0, 0)
    rule.on_forecast(5.0)
    rule.on_failure(5.1)
    assert not rule.ready(20 * S, 5.5)
    assert rule.ready(20 * S, 5.7)


def test_a_rejected_chunk_asks_for_a_new_image():
    rule = make()
    rule.on_gate(10 * S, 0.0, 3)
    rule.on_forecast(0.0)
    rule.on_gate(11 * S, 0.0, 4)
    assert not rule.ready(11 * S, 0.1)
    assert rule.ready(round(11.1 * S), 0.1)


def test_a_clock_that_went_back_does_not_block_for_ever():
    rule = make()
    rule.on_gate(1000 * S, 2.0, 1)
    rule.on_gate(3 * S, 0.0, 1)
    assert rule.ready(4 * S, 0.0)


def test_nothing_is_awaited_from_a_gate_that_was_restarted():
    rule = make()
    rule.on_gate(10 * S, 2.0, 40)
    rule.on_forecast(0.0)
    rule.on_gate(11 * S, 0.0, 0)
    assert not rule.ready(round(11.5 * S), 0.4), "what the old one began goes on until 12 s"
    assert rule.ready(13 * S, 0.5)


def test_a_restarted_gate_is_heard():
    rule = make()
    rule.on_gate(10 * S, 0.0, 40)
    rule.on_gate(11 * S, 0.0, 0)
    rule.on_forecast(0.0)
    assert not rule.ready(12 * S, 0.4)
    rule.on_gate(12 * S, 0.0, 1)
    assert rule.ready(13 * S, 0.5)
