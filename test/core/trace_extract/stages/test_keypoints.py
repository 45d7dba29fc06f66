# SPDX-License-Identifier: Apache-2.0
"""Points are proposed on every entity, more where a prior wants them, never without depth."""

import numpy as np
import pytest

from mu0_core.errors import ConfigError
from mu0_core.trace_extract.stages.keypoints import (
    KeypointSettings,
    patch_at,
    propose_keypoints,
)


class ColourFeatures:
    """Mean colour of each patch, as three features: enough for plain scenes."""

    name, grid = "colour", 12

    def features(self, rgb):
        rows, columns = (np.array_split(np.arange(n), self.grid) for n in rgb.shape[:2])
        cells = [[rgb[np.ix_(r, c)].mean(axis=(0, 1)) for c in columns] for r in rows]
        return np.array(cells, np.float32)


SETTINGS = KeypointSettings(points_per_entity=20, prior_points=40)


@pytest.fixture(scope="module")
def proposed(still_camera):
    return propose_keypoints(still_camera.rgb, still_camera.geometry, ColourFeatures(), SETTINGS)


def test_every_fifth_frame_is_looked_at_and_every_entity_gets_points(proposed):
    np.testing.assert_array_equal(proposed.sampled_frames, [0, 5, 10, 15])
    for frame, entities in zip(proposed.sampled_frames, proposed.cluster_maps):
        here = proposed.frame == frame
        assert set(np.unique(entities)) <= set(proposed.cluster_ids[here])
    assert proposed.cluster_maps.shape == (4, 12, 12)


def test_points_lie_in_the_picture_on_known_depth(proposed, still_camera):
    column, row = np.rint(proposed.uv_px).astype(int).T
    assert np.isfinite(still_camera.depth_m[proposed.frame, row, column]).all()
    ids = [
        patch_at(proposed.cluster_maps[f // 5], uv[None], (240, 320))[0]
        for f, uv in zip(proposed.frame, proposed.uv_px)
    ]
    np.testing.assert_array_equal(ids, proposed.cluster_ids)


def test_the_motion_prior_puts_points_on_what_moves(proposed, still_camera):
    inner = proposed.from_prior & (proposed.frame == 10)
    column, row = np.rint(proposed.uv_px[inner]).astype(int).T
    assert 10 <= inner.sum() <= SETTINGS.prior_points
    assert still_camera.on_square[10, row, column].mean() > 0.8


def test_a_prior_of_ones_own_is_asked_for_every_frame(still_camera):
    asked = []

    def corner(rgb):
        asked.append(rgb.shape)
        wanted = np.zeros(rgb.shape[:2], bool)
        wanted[:40, :40] = True
        return wanted

    settings = KeypointSettings(motion_prior=False, prior_points=16)
    clip = still_camera
    found = propose_keypoints(clip.rgb, clip.geometry, ColourFeatures(), settings, [corner])
    assert len(asked) == 4
    assert (found.uv_px[found.from_prior] < 41).all() and found.from_prior.sum() > 30


def test_holes_in_the_depth_get_no_point(still_camera):
    clip = still_camera
    geometry = clip.geometry
    holed = geometry.depth_m.copy()
    holed[:, :, :160] = np.nan
    geometry = type(geometry)(holed, geometry.intrinsics, geometry.path, "sensor")
    found = propose_keypoints(clip.rgb, geometry, ColourFeatures(), SETTINGS)
    assert len(found.frame) and (found.uv_px[:, 0] >= 159.5).all()


def test_the_same_seed_gives_the_same_points(still_camera, proposed):
    clip = still_camera
    again = propose_keypoints(clip.rgb, clip.geometry, ColourFeatures(), SETTINGS)
    np.testing.assert_array_equal(again.uv_px, proposed.uv_px)


@pytest.mark.parametrize("wrong", [{"every_frames": 0}, {"prior_points": -1}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))} {next(iter(wrong.values()))}"):
        KeypointSettings(**wrong)
