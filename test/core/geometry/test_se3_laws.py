# SPDX-License-Identifier: Apache-2.0
"""Group laws of rigid transforms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from mu0_core.errors import ShapeError
from mu0_core.geometry import se3

finite = st.floats(-5, 5)


@st.composite
def transforms(draw):
    rotvec = np.array([draw(finite) for _ in range(3)])
    translation = np.array([draw(finite) for _ in range(3)])
    return se3.from_quat_xyzw(translation, Rotation.from_rotvec(rotvec).as_quat())


@given(transforms())
def test_inverse_composes_to_identity(T_a_b):
    np.testing.assert_allclose(T_a_b @ se3.inverse(T_a_b), np.eye(4), atol=1e-12)


@given(transforms(), transforms())
def test_apply_is_a_group_action(T_a_b, T_b_c):
    point_c = np.array([0.3, -1.2, 0.7])
    there = se3.apply(T_a_b, se3.apply(T_b_c, point_c))
    np.testing.assert_allclose(there, se3.apply(T_a_b @ T_b_c, point_c), atol=1e-10)


@given(transforms())
def test_quaternion_round_trip(T_a_b):
    np.testing.assert_allclose(se3.from_quat_xyzw(*se3.to_quat_xyzw(T_a_b)), T_a_b, atol=1e-10)


def test_quaternion_order_is_xyzw():
    quarter_turn_about_z = np.array([0, 0, np.sin(np.pi / 4), np.cos(np.pi / 4)])
    T_a_b = se3.from_quat_xyzw(np.zeros(3), quarter_turn_about_z)
    np.testing.assert_allclose(se3.apply(T_a_b, np.array([1.0, 0, 0])), [0, 1, 0], atol=1e-12)


@pytest.mark.parametrize("quat", [[0, 0, 0, 0], [0, 0, 0, 2], [np.nan, 0, 0, 1]])
def test_bad_quaternion_is_named_not_replaced(quat):
    with pytest.raises(ShapeError, match="quaternion"):
        se3.from_quat_xyzw(np.zeros(3), np.array(quat, dtype=float))
