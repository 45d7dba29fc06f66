# SPDX-License-Identifier: Apache-2.0
"""The nearest time is found as by looking at all of them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mu0_core.trace_extract.sources.nearest import nearest_within

TIMES = st.lists(st.integers(-50, 50), max_size=20).map(lambda t: np.array(t, float) / 8)


@given(TIMES, TIMES, st.integers(0, 30))
def test_the_nearest_is_that_of_an_exhaustive_search(times, others, tolerance):
    others = np.sort(others)
    found = nearest_within(times, others, tolerance / 8)
    for time, index in zip(times, found):
        distances = np.abs(others - time)
        if not len(others) or distances.min() > tolerance / 8:
            assert index == -1
        else:
            assert distances[index] == distances.min()
