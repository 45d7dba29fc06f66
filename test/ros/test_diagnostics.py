# SPDX-License-Identifier: Apache-2.0
"""What nodes tell about themselves: times of stages and callbacks, seeds, in /diagnostics."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("rclpy")
from diagnostic_msgs.msg import DiagnosticArray

from mu0_ros import diagnostics as module
from mu0_ros import qos
from mu0_ros.diagnostics import SeedLog, StageTimes
from mu0_ros.testing.fault_loop import FaultLoop

FORECASTER = ("receive", "wait", "decode", "select", "forecast", "publish")
EXPERT = ("observe", "propose")


@given(st.lists(st.floats(0.0, 5.0), min_size=1, max_size=300))
def test_percentiles_are_those_of_the_last_two_hundred(seconds):
    facts = {}
    times = StageTimes(facts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_FRESH_S", 0.0)
        for value in seconds:
            times.add("work", value)
    median, high = np.percentile(seconds[-200:], [50, 95]) * 1e3
    told = [float(facts[f"work_{name}ms"]) for name in ("", "p50_", "p95_")]
    np.testing.assert_allclose(told, [seconds[-1] * 1e3, median, high], atol=0.006)


def test_a_fast_callback_is_not_told_of_each_time():
    facts = {}
    times = StageTimes(facts)
    for value in (0.001, 0.9, 0.9):
        times.add("work", value)
    assert facts["work_ms"] == "1.00"


def test_only_the_last_seeds_are_told():
    facts = {}
    seeds = SeedLog(facts)
    assert [seeds.note(k, 1000 + k) for k in range(40)] == [1000 + k for k in range(40)]
    pairs = facts["seeds"].split()
    assert pairs[-1] == "39:1039" and len(pairs) == 16


def test_every_stage_of_the_loop_is_in_diagnostics():
    found: dict[str, dict[str, str]] = {}

    def take(message: DiagnosticArray) -> None:
        for status in message.status:
            values = {value.key: value.value for value in status.values}
            found.setdefault(status.name.rpartition("/")[2], {}).update(values)

    with FaultLoop() as loop:
        probe = loop.bench.probe
        probe.create_subscription(DiagnosticArray, "/diagnostics", take, qos.COMMAND)
        loop.start_and_move()
        wanted = {
            "trace_forecaster": [f"{stage}_p95_ms" for stage in FORECASTER],
            "action_expert": [f"{stage}_p95_ms" for stage in EXPERT],
            "safety_gate": ["callback action_chunk_p95_ms", "callback joint_states_p50_ms"],
        }
        loop.bench.until(
            lambda: all(set(keys) <= set(found.get(node, ())) for node, keys in wanted.items()),
            10.0,
            "stages",
        )
    for node, keys in wanted.items():
        for key in keys:
            assert 0.0 <= float(found[node][key]) < 5000.0, (node, key)
    pairs = re.findall(r"(\d+):(\d+)", found["trace_forecaster"]["seeds"])
    assert ("1", "1") in pairs
