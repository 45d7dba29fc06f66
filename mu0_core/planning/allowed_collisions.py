# SPDX-License-Identifier: Apache-2.0
"""The SRDF of an arm: its groups, and which pairs of links need no check, found by sampling.

A pair is left out of all checks when one joint joins it (Adjacent), when only the gripper moves
one against the other (Default), when it touched in every sample (Always) or in none (Never). What
touches rarely is checked. Shapes that overlap at the home pose are an error: an arm that cannot
stand at home cannot be planned for.
"""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from xml.sax.saxutils import quoteattr

import numpy as np

from mu0_core.errors import ConfigError
from mu0_core.planning.collision_model import CollisionModel
from mu0_core.planning.scene import PlanningScene
from mu0_core.robot.description import RobotDescription

_OPENINGS = 8  # of the gripper, at which samples are taken
GROUP, GRIPPER_GROUP = "arm", "gripper"


def sampled_pairs(
    robot: RobotDescription, samples: int = 40_000, seed: int = 0
) -> dict[tuple[str, str], str]:
    """Return pairs of links that need no check -> Adjacent, Default, Always or Never.

    Args:
        robot: the arm.
        samples: configurations, evenly drawn within the joint limits.
        seed: of the samples.

    Raises:
        ConfigError: links that should stay apart touch at the home pose.
    """
    model = CollisionModel(robot, srdf="")
    joined, touched = model.joined(), Counter()
    order, limits = np.random.default_rng(seed), robot.limits
    per_opening = max(1, samples // _OPENINGS)
    for opening in np.linspace(robot.gripper.closed_m, robot.gripper.open_m, _OPENINGS):
        model.set_scene(PlanningScene(gripper_m=float(opening)))
        for _ in range(per_opening):
            touched.update(model.all_touching(order.uniform(limits.lower_rad, limits.upper_rad)))
    reasons = {}
    for pair in combinations(model.links(), 2):
        share = touched[frozenset(pair)] / (per_opening * _OPENINGS)
        if frozenset(pair) in joined:
            reasons[pair] = joined[frozenset(pair)]
        elif share in (0.0, 1.0):
            reasons[pair] = "Never" if share == 0.0 else "Always"
    left_out = {frozenset(pair) for pair in reasons}
    overlap = model.all_touching(robot.home_rad) - left_out
    if overlap:
        raise ConfigError(
            f"{robot.name}: links {sorted(map(sorted, overlap))} overlap at home_rad: their "
            "collision shapes are too large, or the pose is not possible"
        )
    return reasons


def write_srdf(robot: RobotDescription, reasons: dict[tuple[str, str], str], samples: int) -> str:
    """Return the text of an SRDF with the groups of an arm and pairs that need no check."""
    base, tip = quoteattr(robot.base_frame), quoteattr(robot.tip_frame)
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        f"<!-- Written by scripts/write_srdf.py {robot.name} from {samples} random poses. -->",
        f"<robot name={quoteattr(robot.name)}>",
        f"  <group name={quoteattr(GROUP)}>",
        f"    <chain base_link={base} tip_link={tip}/>",
        "  </group>",
        f"  <group name={quoteattr(GRIPPER_GROUP)}>",
        f"    <joint name={quoteattr(robot.gripper.joint)}/>",
        "  </group>",
        f'  <group_state name="home" group={quoteattr(GROUP)}>',
        *(
            f"    <joint name={quoteattr(name)} value={quoteattr(f'{value:g}')}/>"
            for name, value in zip(robot.arm_joints, robot.home_rad)
        ),
        "  </group_state>",
        *(
            f"  <disable_collisions link1={quoteattr(a)} link2={quoteattr(b)} "
            f"reason={quoteattr(reason)}/>"
            for (a, b), reason in reasons.items()
        ),
        "</robot>",
    ]
    return "\n".join(lines) + "\n"
