# SPDX-License-Identifier: Apache-2.0
"""Near is bright, unknown is far, and alignment lands where it says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mu0_core.data.depth_render import DepthAlignment, align_depth, render_depth, turbo_table
from mu0_core.errors import ConfigError, DataError, ShapeError

LOW, HIGH = -1.0, 1.0
TABLE = turbo_table()


def index_of(depth):
    colours = render_depth(np.atleast_2d(np.float32(depth)), LOW, HIGH)
    match = np.all(np.isclose(colours[:, :, None], TABLE), axis=-1)
    assert match.any(axis=-1).all()
    return match.argmax(axis=-1)[0]


def test_the_ends_of_the_range_are_the_ends_of_the_table():
    near, far = np.exp([LOW, HIGH])
    assert index_of([near, far, near / 2, far * 2]).tolist() == [255, 0, 255, 0]
    assert index_of([1.0])[0] == 127


@given(st.lists(st.floats(0.05, 20), min_size=2, max_size=20))
def test_nearer_is_never_darker(depths):
    assert np.all(np.diff(index_of(np.sort(depths))) <= 0)


@pytest.mark.parametrize("unknown", [np.nan, np.inf, -np.inf, 0.0, -1.0, 1e-4])
def test_unknown_depth_is_rendered_as_far(unknown):
    assert index_of([unknown])[0] == 0


def test_the_table_goes_from_dark_blue_over_green_to_dark_red():
    assert TABLE.shape == (256, 3) and TABLE.min() >= 0 and TABLE.max() <= 1
    assert TABLE[40].argmax() == 2 and TABLE[128].argmax() == 1 and TABLE[250].argmax() == 0


@given(st.floats(0.1, 10), st.integers(0, 999))
def test_alignment_forgets_the_scale(scale, seed):
    depth = np.random.default_rng(seed).uniform(0.5, 4, (12, 15)).astype(np.float32)
    for method in (DepthAlignment.LOG_PERCENTILE, DepthAlignment.MEDIAN_SCALE):
        a, b = (align_depth(d, method, LOW, HIGH) for d in (depth, depth * np.float32(scale)))
        np.testing.assert_allclose(a, b, rtol=1e-4)


def test_alignment_lands_on_the_range_and_keeps_unknown_unknown():
    depth = np.random.default_rng(0).uniform(0.5, 4, (40, 50))
    depth[0, 0] = np.nan
    aligned = align_depth(depth, DepthAlignment.LOG_PERCENTILE, LOW, HIGH)
    assert np.isnan(aligned[0, 0]) and np.isnan(aligned).sum() == 1
    ends = np.percentile(np.log(aligned[~np.isnan(aligned)]), [1, 99])
    np.testing.assert_allclose(ends, [LOW, HIGH], atol=1e-6)
    centred = align_depth(depth, DepthAlignment.MEDIAN_SCALE, LOW, HIGH)
    assert np.nanmedian(centred) == pytest.approx(1.0)
    same = align_depth(depth, DepthAlignment.NONE, LOW, HIGH)
    np.testing.assert_allclose(same, depth.astype(np.float32))


def test_bad_depth_is_named():
    with pytest.raises(ShapeError, match=r"\(4,\)"):
        render_depth(np.ones(4), LOW, HIGH)
    with pytest.raises(ConfigError, match="must rise"):
        render_depth(np.ones((4, 4)), HIGH, LOW)
    with pytest.raises(DataError, match="no pixel"):
        align_depth(np.zeros((4, 4)), DepthAlignment.MEDIAN_SCALE, LOW, HIGH)
    with pytest.raises(DataError, match="every depth"):
        align_depth(np.ones((4, 4)), DepthAlignment.LOG_PERCENTILE, LOW, HIGH)
