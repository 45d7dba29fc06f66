# SPDX-License-Identifier: Apache-2.0
"""Retargeting: equal arc length, the same whatever the speed, rest after the end."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mu0_core.errors import ConfigError, ShapeError
from mu0_core.training.retarget import RetargetSettings, retarget

SETTINGS = RetargetSettings()


def line(parameter: np.ndarray) -> np.ndarray:
    """Return two points on parallel straight lines, the second half as fast."""
    direction = np.array([0.6, 0.0, 0.8])
    return parameter[:, None, None] * np.array([1.0, 0.5])[None, :, None] * direction


@given(st.floats(0.3, 4.0))
@settings(deadline=None, max_examples=25)
def test_speed_does_not_matter(power):
    time = np.linspace(0, 1, 400)
    even, uneven = retarget(line(time), SETTINGS), retarget(line(time**power), SETTINGS)
    np.testing.assert_allclose(uneven.points, even.points, atol=1e-6)
    assert uneven.num_steps == even.num_steps == 20
    assert uneven.length == pytest.approx(1.0)


def test_steps_have_equal_length_and_then_rest():
    result = retarget(line(np.linspace(0, 0.52, 30)), SETTINGS)
    step = np.linalg.norm(np.diff(result.points[:, 0], axis=0), axis=-1)
    assert result.num_steps == 10
    np.testing.assert_allclose(step[:10], 0.05, atol=1e-9)
    assert step[10] == pytest.approx(0.02) and np.all(step[11:] == 0)


def test_a_long_motion_is_cut_at_the_horizon():
    result = retarget(line(np.linspace(0, 5, 60)), SETTINGS)
    assert result.num_steps == SETTINGS.steps
    assert np.linalg.norm(result.points[-1, 0]) == pytest.approx(1.6)


def test_pauses_are_removed():
    time = np.linspace(0, 1, 21)
    paused = np.concatenate([time[:8], np.repeat(time[7], 30), time[8:]])
    np.testing.assert_allclose(
        retarget(line(paused), SETTINGS).points, retarget(line(time), SETTINGS).points, atol=1e-9
    )


@pytest.mark.parametrize("samples", [1, 5])
def test_no_motion_stays_put(samples):
    here = np.broadcast_to(np.array([[0.3, 0.4, 0.9]]), (samples, 1, 3))
    result = retarget(here, SETTINGS)
    assert (result.num_steps, result.length) == (0, 0.0)
    np.testing.assert_array_equal(result.points, np.broadcast_to(here[:1], (33, 1, 3)))


def test_bad_input_is_named():
    with pytest.raises(ShapeError, match=r"\(4, 3\)"):
        retarget(np.zeros((4, 3)), SETTINGS)
    with pytest.raises(ConfigError):
        RetargetSettings(step_length=0)
