# SPDX-License-Identifier: Apache-2.0
"""One planner per arm for all tests of a run: it loads in half a second and keeps no state."""

from functools import cache

import pytest

from mu0_core.planning.planner import Planner
from mu0_core.robot.description import load_robot


@cache
def made(name: str) -> Planner:
    pytest.importorskip("roboplan.rrt")
    from mu0_core.planning.roboplan_planner import RoboplanPlanner

    return RoboplanPlanner(load_robot(name))


@pytest.fixture(params=["fr3", "ur5e", "so101"])
def any_planner(request):
    return made(request.param)


@pytest.fixture
def planner():
    return made("fr3")
