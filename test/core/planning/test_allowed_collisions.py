# SPDX-License-Identifier: Apache-2.0
"""Sampling finds which links need no check, and refuses an arm that overlaps at home."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

pytest.importorskip("roboplan.rrt")

from mu0_core.errors import ConfigError
from mu0_core.planning.allowed_collisions import sampled_pairs, write_srdf
from mu0_core.planning.collision_model import CollisionModel, srdf_text
from mu0_core.robot.description import load_robot


@pytest.mark.parametrize("name", ["fr3", "ur5e", "so101"])
def test_the_shipped_file_leaves_out_no_pair_that_a_new_sample_sees(name):
    """Other samples than those of the file: a pair that touches in them must be checked."""
    robot = load_robot(name)
    reasons = sampled_pairs(robot, samples=800, seed=7)
    seen = {p for p, reason in reasons.items() if reason in ("Never", "Always")}
    root = ElementTree.fromstring(srdf_text(robot))
    shipped = {
        frozenset((e.get("link1"), e.get("link2"))): e.get("reason")
        for e in root.findall("disable_collisions")
    }
    never = {pair for pair, reason in shipped.items() if reason == "Never"}
    assert never <= {frozenset(pair) for pair in seen}
    joined = {frozenset(p) for p, reason in reasons.items() if reason in ("Adjacent", "Default")}
    assert joined <= set(shipped)


def test_the_text_is_an_srdf_that_the_model_takes():
    robot = load_robot("so101")
    text = write_srdf(robot, {("base_link", "shoulder_link"): "Adjacent"}, 10)
    root = ElementTree.fromstring(text)
    assert [g.get("name") for g in root.findall("group")] == ["arm", "gripper"]
    home = {j.get("name"): float(j.get("value")) for j in root.find("group_state")}
    assert home == pytest.approx(dict(zip(robot.arm_joints, robot.home_rad)), abs=1e-5)
    CollisionModel(robot, srdf=text)


def test_fingers_may_touch_each_other():
    robot = load_robot("fr3")
    reason = CollisionModel(robot).joined()[frozenset(("fr3_leftfinger", "fr3_rightfinger"))]
    assert reason == "Default"


def test_an_arm_that_overlaps_at_home_is_refused(tmp_path):
    robot = load_robot("so101")
    fat = re.sub(r'size="[^"]*"', 'size="0.4 0.4 0.4"', robot.urdf_path.read_text())
    path = tmp_path / "so101.urdf"
    path.write_text(fat)
    with pytest.raises(ConfigError, match="so101: links .* overlap at home_rad"):
        sampled_pairs(replace(robot, urdf_path=path), samples=80)
