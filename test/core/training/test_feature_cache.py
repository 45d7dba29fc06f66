# SPDX-License-Identifier: Apache-2.0
"""Cached features are the backbone's own, however often filling was cut off."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mu0_core.errors import DataError
from mu0_core.simulation.snapshot_file import load_snapshot
from mu0_core.training.connector_file import squashed
from mu0_core.training.feature_cache import (
    FeatureCache,
    FeatureCacheSettings,
    fill_feature_cache,
    padded_tokens,
)

SETTINGS = FeatureCacheSettings(batch_size=2)


def test_a_cached_row_equals_a_fresh_encoding(cache, make_model, slots, snapshots, tokenizer):
    model = make_model()
    row = 7
    index = cache.slot[row]
    snapshot = load_snapshot(snapshots / slots.files[slots.snapshot[index]])
    tokens = tokenizer(str(slots.instruction[index]))[None]
    with torch.no_grad():
        image = model.encode_image(squashed(snapshot.rgb, 56)[None])
        fresh = model.encode_prefix(
            image, tokens, torch.ones_like(tokens, dtype=torch.bool), with_hidden=False
        )
        points = model.point_features(image, torch.from_numpy(slots.query[index][None, :, :2]))
    prefix, features = cache.batch(np.array([row]))
    real = prefix.valid[0]
    assert len(fresh) == int(real.sum())
    for cached, true in zip(prefix.keys + prefix.values, fresh.keys + fresh.values, strict=True):
        torch.testing.assert_close(cached[:, real], true, atol=0.06, rtol=0.02)
    torch.testing.assert_close(features, points, atol=0.06, rtol=0.02)
    torch.testing.assert_close(prefix.position_ids[0, real], fresh.position_ids[0])


class Interrupted(Exception):
    pass


def test_filling_continues_where_it_was_cut_off(
    cache, make_model, slots, snapshots, tokenizer, tmp_path
):
    def interrupt(done, total):
        if done >= 6:
            raise Interrupted

    folder, args = tmp_path / "cut", (make_model(), tokenizer, slots, snapshots, SETTINGS)
    with pytest.raises(Interrupted):
        fill_feature_cache(folder, *args, interrupt)
    with pytest.raises(DataError, match="6 of 12"):
        FeatureCache(folder)
    seen = []
    again = fill_feature_cache(folder, *args, lambda done, total: seen.append(done))
    assert seen == [12]
    np.testing.assert_array_equal(again.slot, cache.slot)
    rows = np.arange(12)
    for one, two in zip(again.batch(rows)[0].values, cache.batch(rows)[0].values, strict=True):
        assert torch.equal(one, two)


def test_a_cache_of_other_slots_is_refused(
    cache, make_model, slots, snapshots, tokenizer, tmp_path
):
    other = replace(slots, seed=slots.seed + 1)
    with pytest.raises(DataError, match="other slots"):
        fill_feature_cache(
            tmp_path / "features", make_model(), tokenizer, other, snapshots, SETTINGS
        )


def test_the_number_of_pictures_is_limited(make_model, slots, snapshots, tokenizer, tmp_path):
    cache = fill_feature_cache(
        tmp_path / "few", make_model(), tokenizer, slots, snapshots,
        FeatureCacheSettings(max_snapshots=3),
    )  # fmt: skip
    assert len(cache) == 9 == len(set(cache.slot)) and len(set(slots.snapshot[cache.slot])) == 3


def test_tokens_are_padded_on_the_right(tokenizer):
    tokens, valid = padded_tokens(tokenizer, np.array(["push it", "move"]))
    assert tokens.shape == (2, 3)
    assert valid.tolist() == [[True, True, True], [True, True, False]]
    assert torch.equal(tokens[1, :2], tokenizer("move"))
