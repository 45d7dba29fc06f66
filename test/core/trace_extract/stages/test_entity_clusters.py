# SPDX-License-Identifier: Apache-2.0
"""Patches that look alike become one entity, in every frame the same one."""

import numpy as np
import pytest

from mu0_core.errors import ConfigError, ShapeError
from mu0_core.trace_extract.stages.entity_clusters import (
    ClusterSettings,
    entity_maps,
    merge_tokens,
    unit,
)


def scene(shift=0, noise=0.05, frames=3):
    """Return features of three kinds of patches; the third kind moves from frame to frame."""
    rng = np.random.default_rng(0)
    kinds = unit(rng.normal(size=(3, 32)))
    truth = np.zeros((frames, 12, 12), int)
    truth[:, 8:] = 1
    for k in range(frames):
        truth[k, 2:5, 2 + k * shift : 5 + k * shift] = 2
    return kinds[truth] + noise * rng.normal(size=(*truth.shape, 32)), truth


def test_entities_are_the_kinds_of_patches_and_keep_their_number_over_time():
    features, truth = scene(shift=2)
    found = entity_maps(features, ClusterSettings(new_cosine=0.5))
    assert found.dtype == np.int16 and found.max() == 2
    for kind in range(3):
        assert len(np.unique(found[truth == kind])) == 1


def test_a_higher_threshold_gives_more_entities():
    features, _ = scene(noise=0.25)
    counts = [entity_maps(features, ClusterSettings(new_cosine=c)).max() for c in (0.1, 0.6, 0.9)]
    assert counts == sorted(counts) and counts[0] < counts[-1]


def test_merging_keeps_the_number_of_patches_and_unit_length():
    tokens = unit(np.random.default_rng(1).normal(size=(100, 8)))
    merged, sizes = merge_tokens(tokens, 0.25, 11)
    assert sizes.sum() == 100 and len(merged) == len(sizes) < 20
    np.testing.assert_allclose(np.linalg.norm(merged, axis=1), 1.0)


def test_the_two_most_alike_are_merged_first():
    tokens = unit(np.array([[1, 0, 0], [0.99, 0.1, 0], [0, 1, 0], [0, 0, 1]], float))
    merged, sizes = merge_tokens(tokens, 0.25, 1)
    assert sorted(sizes) == [1, 1, 2]
    assert (merged @ tokens[0]).max() > 0.99


@pytest.mark.parametrize("shape", [(3, 4, 5), (0, 4, 4, 8)])
def test_features_of_another_shape_are_refused(shape):
    with pytest.raises(ShapeError, match="expected"):
        entity_maps(np.zeros(shape), ClusterSettings())


def test_impossible_settings_are_refused():
    with pytest.raises(ConfigError, match="merge_share 0.8"):
        ClusterSettings(merge_share=0.8)
