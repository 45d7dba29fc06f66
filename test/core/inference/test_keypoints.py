# SPDX-License-Identifier: Apache-2.0
"""Query points chosen from synthetic depth images."""

import numpy as np
import pytest

from mu0_core.errors import NoQueryPointsError
from mu0_core.inference.keypoints import PlaneSelector
from mu0_core.types import CameraIntrinsics, RgbdFrame


def table_with_boxes(boxes, nan_share=0.0):
    """A camera looks straight down on a table at 1 m; boxes are (rows, columns, height, rgb)."""
    rgb = np.full((240, 320, 3), 120, np.uint8)
    depth = np.full((240, 320), 1.0, np.float32)
    for rows, columns, height, colour in boxes:
        rgb[rows, columns] = colour
        depth[rows, columns] = 1.0 - height
    rng = np.random.default_rng(0)
    depth[rng.random(depth.shape) < nan_share] = np.nan
    camera = CameraIntrinsics(320, 240, 300.0, 300.0, 159.5, 119.5)
    return RgbdFrame(rgb, depth, camera, "camera_optical_frame", 5)


RED = (np.s_[40:80], np.s_[50:90], 0.05, (200, 20, 20))
BLUE = (np.s_[120:170], np.s_[200:240], 0.04, (20, 20, 200))


def test_every_entity_gets_points_and_the_table_none():
    query = PlaneSelector().select(table_with_boxes([RED, BLUE]), 16)
    assert len(query) == 16
    on_red = (query.uv_px[:, 0] < 100) & (query.depth_m < 0.97)
    assert on_red.sum() == 8 and (~on_red).sum() == 8
    assert len(np.unique(query.entity_ids[on_red])) == 1
    assert np.all(query.depth_m < 0.99)


def test_touching_boxes_are_told_apart_by_colour():
    other = (np.s_[40:80], np.s_[90:130], 0.05, (20, 160, 20))
    query = PlaneSelector().select(table_with_boxes([RED, other]), 12)
    assert len(np.unique(query.entity_ids)) == 2


def test_the_choice_is_deterministic():
    frame = table_with_boxes([RED, BLUE], nan_share=0.3)
    first, second = (PlaneSelector().select(frame, 16) for _ in range(2))
    np.testing.assert_array_equal(first.uv_px, second.uv_px)
    assert np.all(np.isfinite(first.depth_m))


@pytest.mark.parametrize("nan_share", [0.0, 0.5])
def test_row_03_missing_depth_masks_points(nan_share):
    query = PlaneSelector().select(table_with_boxes([RED], nan_share), 8)
    assert len(query) == 8 and np.all(np.isfinite(query.depth_m))


def test_row_03_no_depth_at_all_is_an_error():
    with pytest.raises(NoQueryPointsError, match="0 pixels have depth"):
        PlaneSelector().select(table_with_boxes([RED], nan_share=1.1), 8)


def test_an_empty_table_is_an_error():
    with pytest.raises(NoQueryPointsError, match="nothing stands"):
        PlaneSelector().select(table_with_boxes([]), 8)
