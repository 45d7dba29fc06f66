# SPDX-License-Identifier: Apache-2.0
"""Kinematics of the shipped arm: Jacobian against differences, inverse against forward."""

import numpy as np
import pytest

from mu0_core.errors import ConfigError, KinematicsError, ShapeError
from mu0_core.robot.description import load_robot
from mu0_core.robot.kinematics import Kinematics


@pytest.fixture(scope="module")
def arm():
    return Kinematics(load_robot("fr3"))


def random_joints(arm, seed):
    limits = arm.robot.limits
    return np.random.default_rng(seed).uniform(limits.lower_rad, limits.upper_rad)


@pytest.mark.parametrize("seed", range(5))
def test_jacobian_is_the_derivative_of_the_tip(arm, seed):
    q = random_joints(arm, seed)
    jacobian, step = arm.jacobian(q), 1e-6
    for column in range(len(q)):
        delta = np.zeros(len(q))
        delta[column] = step
        linear = (arm.tip(q + delta)[:3, 3] - arm.tip(q - delta)[:3, 3]) / (2 * step)
        np.testing.assert_allclose(jacobian[:3, column], linear, atol=1e-6)


def test_batched_frames_equal_single_ones(arm):
    batch = np.stack([random_joints(arm, s) for s in range(4)])
    for name, frames in arm.link_frames(batch).items():
        for row, q in zip(frames, batch):
            np.testing.assert_allclose(row, arm.link_frames(q)[name], atol=1e-12)


@pytest.mark.parametrize("xyz", [(0.4, 0.0, 0.3), (0.6, 0.25, 0.05), (0.4, -0.3, 0.2)])
def test_inverse_reaches_the_pose_within_limits(arm, xyz):
    pose = arm.tip(arm.robot.home_rad).copy()
    pose[:3, 3] = xyz
    q = arm.inverse(pose, arm.robot.home_rad)
    np.testing.assert_allclose(arm.tip(q)[:3, 3], xyz, atol=1e-3)
    assert np.all(q >= arm.robot.limits.lower_rad) and np.all(q <= arm.robot.limits.upper_rad)


def test_home_points_the_tool_down(arm):
    np.testing.assert_allclose(arm.tip(arm.robot.home_rad)[:3, 2], [0, 0, -1], atol=2e-3)


def test_out_of_reach_is_an_error_with_the_residual(arm):
    pose = arm.tip(arm.robot.home_rad).copy()
    pose[:3, 3] = (2.0, 0.0, 0.3)
    with pytest.raises(KinematicsError, match="off by"):
        arm.inverse(pose, arm.robot.home_rad)


def test_wrong_joint_count_is_named(arm):
    with pytest.raises(ShapeError, match=r"\(6,\)"):
        arm.tip(np.zeros(6))


def test_limits_are_a_share_of_the_urdf(arm):
    np.testing.assert_allclose(arm.robot.limits.velocity_rad_s[0], 0.5 * 2.62)


def test_unknown_robot_says_where_it_looked():
    with pytest.raises(ConfigError, match="robots/nobody.yaml"):
        load_robot("nobody")


def test_description_with_a_misspelt_joint_lists_the_urdf(tmp_path):
    from mu0_core.paths import config_file

    text = config_file("robots/fr3.yaml").read_text().replace("fr3_joint7]", "fr3_joint9]")
    path = tmp_path / "arm.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match="fr3_joint9.*fr3_joint1"):
        load_robot(str(path))
