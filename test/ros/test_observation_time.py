# SPDX-License-Identifier: Apache-2.0
"""Stamps that may not be acted on are named with both clocks."""

import pytest

from mu0_core.errors import ObservationError, StaleObservationError
from mu0_ros.observation_time import check_age

NOW = 1_700_000_000_000_000_000


@pytest.mark.parametrize("age_s", [0.0, 0.4, 0.5, -0.05])
def test_fresh_stamps_pass_with_their_age(age_s):
    assert check_age("image", NOW - round(age_s * 1e9), NOW, 0.5) == pytest.approx(age_s, abs=1e-6)


@pytest.mark.parametrize("age_s", [0.51, 10.0, 3000.0])
def test_old_stamps_are_stale(age_s):
    with pytest.raises(StaleObservationError, match=r"old, allowed 0\.5"):
        check_age("image", NOW - round(age_s * 1e9), NOW, 0.5)


@pytest.mark.parametrize("stamp_ns", [0, -5, 12_000_000_000, NOW + 2_000_000_000])
def test_zero_future_and_foreign_stamps_are_invalid_and_both_clocks_are_named(stamp_ns):
    with pytest.raises(ObservationError, match="node clock 1700000000") as caught:
        check_age("image", stamp_ns, NOW, 0.5)
    assert caught.value.code == "OBSERVATION_INVALID"
