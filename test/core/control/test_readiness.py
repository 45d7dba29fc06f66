# SPDX-License-Identifier: Apache-2.0
"""What speaks against motion is said in a fixed order, and each thing alone is enough."""

import numpy as np
import pytest

from mu0_core.control.chunk_checks import ChunkRejected
from mu0_core.control.gate_settings import GateSettings
from mu0_core.control.readiness import Readiness

HERE, SECOND = np.zeros(7), 10**9


def refusal(readiness: Readiness, positions=HERE, now_ns: int = 0) -> str:
    try:
        readiness.check(positions, now_ns)
    except ChunkRejected as rejection:
        return rejection.code
    return ""


def test_healthy_joint_states_are_enough_by_default():
    assert refusal(Readiness(GateSettings())) == ""


@pytest.mark.parametrize(
    ("positions", "code"), [(None, "NOT_READY"), (np.full(7, np.nan), "OBSERVATION_INVALID")]
)
def test_joint_states_must_be_there_and_finite(positions, code):
    assert refusal(Readiness(GateSettings()), positions) == code


def test_arming_counts_from_the_first_healthy_states_without_a_gap():
    readiness = Readiness(GateSettings(arming_s=1.0))
    assert refusal(readiness) == "NOT_READY"
    readiness.good_states(0)
    readiness.good_states(SECOND // 2)
    assert refusal(readiness, now_ns=SECOND - 1) == "NOT_READY"
    assert refusal(readiness, now_ns=SECOND) == ""
    readiness.bad_states()
    readiness.good_states(SECOND)
    assert refusal(readiness, now_ns=SECOND + 1) == "NOT_READY"


def test_a_hindrance_comes_before_everything_else():
    readiness = Readiness(GateSettings(arming_s=5.0))
    readiness.hindrances["who"] = ("CONTROLLER_UNAVAILABLE", "nobody listens")
    assert refusal(readiness, None) == "CONTROLLER_UNAVAILABLE"


def test_points_count_only_when_they_are_required_and_age():
    assert refusal(Readiness(GateSettings(require_points=False))) == ""
    readiness = Readiness(GateSettings(require_points=True, max_points_age_s=0.5))
    assert refusal(readiness) == "NOT_READY"
    readiness.points_seen(SECOND)
    assert refusal(readiness, now_ns=SECOND + SECOND // 2) == ""
    assert refusal(readiness, now_ns=2 * SECOND) == "OBSERVATION_STALE"
    assert refusal(readiness, now_ns=0) == "OBSERVATION_STALE", "from the future"
    readiness.restart_clock()
    assert refusal(readiness) == "NOT_READY"
