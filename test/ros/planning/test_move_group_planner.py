# SPDX-License-Identifier: Apache-2.0
"""MoveIt's services behind our Protocol: what is asked, what answers mean, what fails how."""

import numpy as np
import pytest
from moveit_double import (
    FakeMoveGroup,
    GetMotionPlan,
    GetPositionIK,
    GetStateValidity,
    MotionPlanResponse,
    MoveItErrorCodes,
    install,
)
from std_srvs.srv import Trigger

from mu0_core.errors import (
    ConfigError,
    KinematicsError,
    PlannerUnavailableError,
    PlanningError,
)
from mu0_core.geometry.box import Box
from mu0_core.planning.planner import plan_to_pose
from mu0_core.planning.scene import PlanningScene, floor_box
from mu0_core.robot.description import load_robot
from mu0_core.robot.kinematics import Kinematics
from mu0_ros.planning.move_group_planner import MoveGroupPlanner, MoveGroupSettings
from mu0_ros.planning.service_caller import ServiceCaller
from mu0_ros.testing.bench import Bench

pytest.importorskip("roboplan.rrt")


@pytest.fixture(scope="module")
def ours():
    from mu0_core.planning.roboplan_planner import RoboplanPlanner

    return RoboplanPlanner(load_robot("fr3"))


@pytest.fixture
def served(ours, monkeypatch):
    """Our adapter, and the move_group that it talks to."""
    install(monkeypatch)
    group = FakeMoveGroup(ours)
    return MoveGroupPlanner(ours.robot, group.call, MoveGroupSettings("fr3_arm")), group


def wall_scene(robot, points=False):
    wall = Box.at("wall", np.array([0.45, 0.0, 0.15]), (0.3, 0.02, 0.3))
    if not points:
        return PlanningScene((floor_box(robot), wall), gripper_m=0.04)
    x, z = np.meshgrid(np.arange(0.31, 0.6, 0.02), np.arange(0.03, 0.3, 0.02))
    seen = np.stack([x.ravel(), np.full(x.size, 0.01), z.ravel()], axis=1)
    return PlanningScene((floor_box(robot),), seen, 0.02, 0.04)


def beside(robot, y):
    pose = Kinematics(robot).tip(robot.home_rad)
    pose[:3, 3] = [0.45, y, 0.12]
    return pose


@pytest.mark.parametrize("points", [False, True], ids=["boxes", "points"])
def test_a_plan_leads_around_what_we_told_moveit(served, ours, points):
    planner, group = served
    robot, scene = ours.robot, wall_scene(ours.robot, points)
    start = planner.inverse(beside(robot, -0.2), robot.home_rad, scene)
    path = plan_to_pose(planner, start, beside(robot, 0.2), scene)
    assert np.array_equal(path[0], start) and len(path) > 2
    assert ours.check(path, scene).collision is None
    assert set(group.objects) == {"mu0/floor", "mu0/points" if points else "mu0/wall"}
    assert group.calls.count("apply_planning_scene") == 1, "the same scene is told once"


def test_obstacles_that_are_gone_are_taken_back(served, ours):
    planner, group = served
    home = ours.robot.home_rad[None]
    planner.check(home, wall_scene(ours.robot))
    planner.check(home, PlanningScene((floor_box(ours.robot),)))
    assert set(group.objects) == {"mu0/floor"}


def test_a_check_names_the_bodies_and_the_step(served, ours):
    planner, _ = served
    robot, scene = ours.robot, wall_scene(ours.robot)
    ends = [ours.inverse(beside(robot, y), robot.home_rad, scene) for y in (-0.2, 0.2)]
    hit = planner.check(np.stack([ends[0], ends[0], ends[1]]), scene).collision
    assert hit.step == 2 and "wall" in hit.bodies
    assert planner.check(ends[0][None], scene).collision is None


def test_a_contact_without_bodies_is_a_contact(served, ours):
    planner, group = served
    group.answers["check_state_validity"] = GetStateValidity.Response(valid=False)
    hit = planner.check(ours.robot.home_rad[None], PlanningScene()).collision
    assert str(hit) == "bodies would touch at step 0"


def test_no_solution_and_no_plan_are_errors_with_moveits_words(served, ours):
    planner, group = served
    robot = ours.robot
    far = beside(robot, 0.0)
    far[0, 3] = 3.0
    with pytest.raises(KinematicsError, match="no joints reach the pose") as unreached:
        planner.inverse(far, robot.home_rad, PlanningScene())
    assert unreached.value.code == "NO_IK_SOLUTION"
    code = MoveItErrorCodes(val=-12, message="the hand is in the table")
    group.answers["plan_kinematic_path"] = GetMotionPlan.Response(
        motion_plan_response=MotionPlanResponse(error_code=code)
    )
    goal = robot.home_rad + 0.05
    with pytest.raises(PlanningError, match="the goal is in collision \\(the hand is in") as no:
        planner.plan(robot.home_rad, goal, PlanningScene())
    assert no.value.code == "COLLISION_PREDICTED"


def test_an_unknown_group_is_no_collision(ours, monkeypatch):
    install(monkeypatch)
    planner = MoveGroupPlanner(
        ours.robot, FakeMoveGroup(ours).call, MoveGroupSettings("panda_arm")
    )
    with pytest.raises(PlannerUnavailableError, match="no such planning group"):
        planner.plan(ours.robot.home_rad, ours.robot.home_rad + 0.05, PlanningScene())


def test_solutions_beyond_our_limits_are_refused(served, ours):
    planner, group = served
    response = GetPositionIK.Response(error_code=MoveItErrorCodes(val=1))
    response.solution.joint_state.name = list(ours.robot.arm_joints)
    response.solution.joint_state.position = [0.0] * 7  # joints 4 and 6 cannot be
    group.answers["compute_ik"] = response
    with pytest.raises(PlanningError, match="fr3_joint6") as caught:
        planner.inverse(beside(ours.robot, 0.1), ours.robot.home_rad, PlanningScene())
    assert caught.value.code == "LIMIT_VIOLATION"


def test_plans_out_of_the_workspace_are_asked_for_again_and_then_refused(served, ours):
    planner, group = served
    robot, high = ours.robot, ours.robot.home_rad.copy()
    high[0] = 2.0
    from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

    answer = GetMotionPlan.Response()
    answer.motion_plan_response.error_code = MoveItErrorCodes(val=1)
    answer.motion_plan_response.trajectory.joint_trajectory = JointTrajectory(
        joint_names=list(robot.arm_joints),
        points=[JointTrajectoryPoint(positions=q.tolist()) for q in [robot.home_rad, high] * 2],
    )
    group.answers["plan_kinematic_path"] = answer
    with pytest.raises(PlanningError, match="MoveIt's plan: the tip at .* outside") as caught:
        planner.plan(robot.home_rad, robot.home_rad + 0.05, PlanningScene())
    assert caught.value.code == "WORKSPACE_VIOLATION"
    assert group.calls.count("plan_kinematic_path") == planner.settings.attempts


def test_a_scene_that_is_not_taken_is_no_empty_scene(served, ours):
    from moveit_double import ApplyPlanningScene

    planner, group = served
    group.answers["apply_planning_scene"] = ApplyPlanningScene.Response(success=False)
    with pytest.raises(PlannerUnavailableError, match="did not take the obstacles"):
        planner.check(ours.robot.home_rad[None], wall_scene(ours.robot))


def test_the_double_is_strict():
    from moveit_double import PositionIKRequest

    with pytest.raises(AttributeError, match="no field 'attempts'"):
        PositionIKRequest(attempts=3)
    with pytest.raises(TypeError, match="avoid_collisions"):
        PositionIKRequest(avoid_collisions=1)


def test_without_moveit_msgs_the_debian_package_is_named():
    with pytest.raises(PlannerUnavailableError, match="ros-jazzy-moveit-msgs") as caught:
        MoveGroupPlanner(load_robot("fr3"), lambda *_: None, MoveGroupSettings("fr3_arm"))
    assert caught.value.code == "NOT_READY"


def test_settings_need_a_group():
    with pytest.raises(ConfigError, match="planning_group, the arm's group"):
        MoveGroupSettings("")
    with pytest.raises(ConfigError, match="must be positive"):
        MoveGroupSettings("arm", allowed_s=0.0)


def test_services_are_called_with_a_time_out():
    with Bench() as bench:
        caller = ServiceCaller(bench.probe)
        try:
            with pytest.raises(PlannerUnavailableError, match="nobody offers the service .*gone"):
                caller.call(Trigger, "gone", Trigger.Request(), 0.3)
            bench.probe.create_service(Trigger, "there", _answer)
            got = []

            def ask():
                got.append(caller.call(Trigger, "there", Trigger.Request(), 5.0))

            bench.turning(ask)
            assert got[0].success and got[0].message == "here"
            # offered, but nobody turns the executor that would answer
            with pytest.raises(PlannerUnavailableError, match="there gave no answer within"):
                caller.call(Trigger, "there", Trigger.Request(), 0.5)
        finally:
            caller.close()


def _answer(request, response):
    response.success, response.message = True, "here"
    return response
