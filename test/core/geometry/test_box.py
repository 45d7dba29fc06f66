# SPDX-License-Identifier: Apache-2.0
"""Boxes are read from entries of a file, and what is wrong with one is named."""

import numpy as np
import pytest

from mu0_core.errors import ConfigError
from mu0_core.geometry.box import Box, boxes_of

POST = {"name": "post", "centre_m": [1, 0, 0], "size_m": [0.2, 0.4, 0.6]}


def test_a_box_may_be_turned():
    (box,) = boxes_of([{**POST, "rpy_rad": [0, 0, np.pi / 2]}])
    np.testing.assert_allclose(box.T_base_box[:3, 3], [1, 0, 0])
    np.testing.assert_allclose(box.T_base_box[:3, 0], [0, 1, 0], atol=1e-9)
    np.testing.assert_allclose(box.half_m, [0.1, 0.2, 0.3])


def test_a_padded_box_reaches_further_on_every_side():
    box = Box.at("post", (1, 0, 0), (0.2, 0.4, 0.6)).padded(0.01)
    np.testing.assert_allclose(box.size_m, (0.22, 0.42, 0.62))
    np.testing.assert_allclose(box.T_base_box[:3, 3], [1, 0, 0])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"size_m": [1, 0, 1]}, "three above 0"),
        ({"size_m": [1, 1]}, "three above 0"),
        ({"size_m": [1, np.inf, 1]}, "three above 0"),
        ({"centre_m": [0, 0]}, "post"),
        ({"centre_m": [0, np.nan, 0]}, "no finite pose"),
        ({"name": ""}, "needs a name"),
        ({"colour": "red"}, "colour"),
        ({"rpy_rad": "up"}, "post"),
    ],
)
def test_what_is_wrong_with_an_entry_is_named(change, reason):
    with pytest.raises(ConfigError, match=reason):
        boxes_of([{**POST, **change}])


def test_an_entry_that_is_no_mapping_is_refused():
    with pytest.raises(ConfigError, match="obstacle"):
        boxes_of(["post"])
