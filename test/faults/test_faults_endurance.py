# SPDX-License-Identifier: Apache-2.0
"""Rows of the fault catalogue about doing the same again and again: a soak, life cycles."""

import json
import os
import subprocess
import sys
import threading

import numpy as np
from mu0.srv import PredictTraces
from rclpy.lifecycle import TransitionCallbackReturn

from mu0_ros.environment import ros_environment
from mu0_ros.testing import soak
from mu0_ros.testing.fault_loop import FaultLoop, own_domain_id
from mu0_ros.testing.soak_processes import holdings

CYCLES = int(os.environ.get("MU0_FAULT_CYCLES", "20"))  # `make faults` does 100


def test_row_56_a_short_soak_with_a_fault_every_two_seconds(tmp_path):
    """The hour is `scripts/soak.py`; these are its first seconds."""
    out = tmp_path / "soak.json"
    words = ["--minutes", "0.16", "--seed", "5", "--json", str(out), "--kills-from", "0.5"]
    done = subprocess.run(
        [sys.executable, "-m", soak.__name__, *words],
        env=ros_environment(domain_id=own_domain_id()),
        capture_output=True,
        text=True,
        timeout=120,
    )
    result = json.loads(out.read_text())
    assert done.returncode == 0, result["failures"] or done.stderr
    assert result["universal_assertion_failures"] == 0
    assert result["faults_total"] >= 3 and result["commands"] > 0
    assert "| faults_total |" in done.stdout


def prediction(loop: FaultLoop) -> np.ndarray:
    request = PredictTraces.Request(instruction="push", seed=7)
    answer = loop.bench.call(PredictTraces, "predict_traces", request)
    assert answer.error.value == 0, answer.error.message
    return np.array(answer.hypotheses[0].control_points)


def test_row_57_a_hundred_life_cycles_of_every_node():
    done = TransitionCallbackReturn.SUCCESS
    with FaultLoop() as loop:
        loop.start_and_move()
        loop.cancel()
        loop.wait_for_end()
        before = prediction(loop)

        def cycle() -> None:
            for node in loop.nodes.values():
                loop.bench.turning(node.trigger_deactivate)
                for step in (node.trigger_cleanup, node.trigger_configure, node.trigger_activate):
                    assert step() == done

        for _ in range(CYCLES // 4):
            cycle()
        warm, threads = holdings(os.getpid()), threading.active_count()
        for _ in range(CYCLES - CYCLES // 4):
            cycle()
        after = holdings(os.getpid())
        assert threading.active_count() == threads
        assert after[3] <= warm[3] + 2, "files are left open"
        assert after[1] <= warm[1] * 1.1, f"private memory grew: {warm[1]} to {after[1]} MiB"
        loop.bench.until(lambda: loop.nodes["trace_forecaster"]._camera.newest_stamp_ns())
        np.testing.assert_array_equal(prediction(loop), before)
        loop.judge()
