# SPDX-License-Identifier: Apache-2.0
"""Masses add, centres balance, and inertia follows the parallel axis theorem."""

from xml.etree import ElementTree

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from mu0_core.gazebo.classic.rigid_mass import RigidMass
from mu0_core.geometry import se3

_metres = st.floats(-0.5, 0.5)


def points_as_bodies(points, masses):
    return [RigidMass(m, np.array(p), np.zeros((3, 3))) for p, m in zip(points, masses)]


@given(
    st.lists(st.tuples(st.tuples(_metres, _metres, _metres), st.floats(0.01, 3)), min_size=1,
             max_size=6)
)  # fmt: skip
def test_a_sum_is_the_cloud_of_its_points(cloud):
    points, masses = np.array([p for p, _ in cloud]), np.array([m for _, m in cloud])
    whole = RigidMass.sum(points_as_bodies(points, masses))
    centre = masses @ points / masses.sum()
    arms = points - centre
    inertia = sum(m * (a @ a * np.eye(3) - np.outer(a, a)) for a, m in zip(arms, masses))
    np.testing.assert_allclose(whole.centre_m, centre, atol=1e-12)
    np.testing.assert_allclose(whole.inertia, inertia, atol=1e-12)


@given(st.integers(0, 1000))
def test_the_order_of_joining_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    parts = points_as_bodies(rng.uniform(-1, 1, (3, 3)), rng.uniform(0.1, 2, 3))
    a, b, c = parts
    left = RigidMass.sum([RigidMass.sum([a, b]), c])
    right = RigidMass.sum([a, RigidMass.sum([c, b])])
    np.testing.assert_allclose(left.inertia, right.inertia, atol=1e-12)
    np.testing.assert_allclose(left.centre_m, right.centre_m, atol=1e-12)


def test_a_urdf_link_is_turned_into_another_frame():
    link = ElementTree.fromstring(
        '<link><inertial><origin xyz="0.1 0 0" rpy="0 0 1.5707963267948966"/><mass value="2"/>'
        '<inertia ixx="1" iyy="2" izz="3" ixy="0" ixz="0" iyz="0"/></inertial></link>'
    )
    T = se3.from_rpy(np.array([0.0, 0.0, 1.0]), np.array([0.0, np.pi / 2, 0.0]))
    mass = RigidMass.of_urdf(link, T)
    np.testing.assert_allclose(mass.centre_m, [0, 0, 0.9], atol=1e-12)
    turn = T[:3, :3] @ Rotation.from_euler("z", np.pi / 2).as_matrix()
    np.testing.assert_allclose(mass.inertia, turn @ np.diag([1, 2, 3]) @ turn.T, atol=1e-12)


def test_a_link_without_inertial_weighs_nothing():
    assert RigidMass.of_urdf(ElementTree.fromstring("<link/>"), np.eye(4)).mass_kg == 0
    assert RigidMass.sum([]).mass_kg == 0


def test_sdf_says_what_the_body_is():
    body = RigidMass(1.5, np.array([0.1, 0.2, 0.3]), np.diag([1.0, 2.0, 3.0]) + 0.1)
    element = body.to_sdf()
    assert float(element.findtext("mass")) == 1.5
    assert [float(x) for x in element.findtext("pose").split()] == [0.1, 0.2, 0.3, 0, 0, 0]
    assert float(element.findtext("inertia/iyy")) == 2.1
    assert float(element.findtext("inertia/ixz")) == 0.1
