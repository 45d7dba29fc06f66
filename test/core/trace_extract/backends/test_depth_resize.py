# SPDX-License-Identifier: Apache-2.0
"""Resized depth keeps planes exact, invents nothing at edges and keeps holes."""

import numpy as np
import pytest

from mu0_core.trace_extract.backends.depth_resize import resize_depth


def plane(width, height, base=1.0):
    """A slanted plane as seen from pixel centres spread over the same view."""
    u = (np.arange(width) + 0.5) / width
    v = (np.arange(height) + 0.5) / height
    return base + 0.2 * u[None] + 0.1 * v[:, None]


@pytest.mark.parametrize("size", [(64, 48), (31, 57), (200, 90), (40, 30)])
def test_a_plane_stays_the_plane(size):
    width, height = size
    resized = resize_depth(plane(40, 30), width, height)
    assert resized.shape == (height, width) and resized.dtype == np.float32
    border = (slice(4, -4), slice(4, -4))  # at the border pixels are repeated
    np.testing.assert_allclose(resized[border], plane(width, height)[border], atol=1e-5)


def test_the_same_size_is_a_copy():
    depth = plane(8, 6)
    resized = resize_depth(depth, 8, 6)
    np.testing.assert_allclose(resized, depth, rtol=1e-6)
    resized[:] = 0
    assert depth.min() > 0


@pytest.mark.parametrize("size", [(37, 29), (100, 100), (13, 11)])
def test_no_depth_between_two_surfaces(size):
    depth = np.where(np.arange(50) < 20, 0.5, 1.5) * np.ones((40, 1))
    resized = resize_depth(depth, *size)
    assert np.minimum(abs(resized - 0.5), abs(resized - 1.5)).max() < 1e-6
    assert 0 < (resized < 1).mean() < 1


def test_holes_neither_grow_nor_vanish():
    depth = np.full((40, 40), 0.7)
    depth[10:20, 10:20] = np.nan
    resized = resize_depth(depth, 80, 80)
    assert np.isnan(resized[20:40, 20:40]).all()
    assert np.isnan(resized).sum() == 400
    np.testing.assert_allclose(resized[np.isfinite(resized)], 0.7, rtol=1e-6)
