# SPDX-License-Identifier: Apache-2.0
"""The shipped arms' capsules hold their shapes, and the part `collision` is read strictly."""

import numpy as np
import pytest

from mu0_core.control.collision_check import CollisionChecker
from mu0_core.errors import ConfigError
from mu0_core.robot.capsule_model import capsule_model
from mu0_core.robot.capsules import point_distance
from mu0_core.robot.description import load_robot
from mu0_core.robot.kinematics import Kinematics
from mu0_core.robot.link_surface import link_surfaces

ARMS = ["fr3", "ur5e", "so101"]
GOOD = {"capsules": {"arm": [[0, 0, 0, 0, 0, 0.1, 0.05]]}, "never_checked": [["base", "arm"]]}
LINKS = ("base", "arm", "hand")


@pytest.mark.parametrize("arm", ARMS)
def test_every_shape_lies_in_the_capsules_of_its_link(arm):
    robot = load_robot(arm)
    model = robot.collision
    for link, points in link_surfaces(robot).items():
        mine = [k for k, name in enumerate(model.links) if name == link]
        assert mine, f"{link} has a shape and no capsule"
        outside = np.min(
            [point_distance(model.segments_m[k], points) - model.radii_m[k] for k in mine], axis=0
        )
        assert outside.max() <= 1e-4, f"{link}: {outside.max():.4f} m of it are outside"


@pytest.mark.parametrize("arm", ARMS)
def test_home_is_clear(arm):
    robot = load_robot(arm)
    at_home = CollisionChecker(Kinematics(robot), robot.collision).at(robot.home_rad)
    assert not at_home.too_near, at_home


@pytest.mark.parametrize("arm", ARMS)
def test_pairs_beyond_neighbours_are_checked(arm):
    model = load_robot(arm).collision
    pairs = {frozenset((model.links[i], model.links[j])) for i, j in model.pairs()}
    hand, base = model.tool[0], model.links[0]
    assert frozenset((hand, base)) in pairs and not pairs & model.never_checked
    assert len(pairs) >= 9


def test_a_description_without_the_part_is_allowed():
    assert capsule_model({}, LINKS).pairs().shape == (0, 2)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"capsule": {}}, "unknown keys.*capsule"),
        ({"capsules": {"elbow": [[0] * 6 + [0.1]]}}, "links.*elbow"),
        ({"never_checked": [["base", "wrist"]]}, "links.*wrist"),
        ({"tool": ["claw"]}, "links.*claw"),
        ({"capsules": {"arm": [[0, 0, 0, 0.1]]}}, "seven numbers"),
        ({"capsules": {"arm": [[0] * 7]}}, "radii positive"),
        ({"capsules": {"arm": [[np.nan] * 6 + [0.1]]}}, "finite"),
        ({"margin_m": -0.1}, "margin_m"),
        ({"boxes": [{"name": "wall", "centre_m": [0, 0, 0]}]}, "wall.*size_m"),
        ({"boxes": [{"name": "wall", "centre_m": [0, 0], "size_m": [1, 1, 1]}]}, "wall"),
        (
            {"boxes": [{"name": "wall", "centre_m": [0, 0, 0], "size_m": [1, 0, 1]}]},
            "wall.*above 0",
        ),
    ],
)
def test_what_is_wrong_is_named(change, reason):
    with pytest.raises(ConfigError, match=reason):
        capsule_model({**GOOD, **change}, LINKS)
