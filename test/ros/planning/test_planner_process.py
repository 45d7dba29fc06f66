# SPDX-License-Identifier: Apache-2.0
"""A planner in another process: the same answers, and its death harms nobody."""

import textwrap
import time

import numpy as np
import pytest

from mu0_core.errors import PlannerUnavailableError, PlanningError
from mu0_core.geometry.box import Box
from mu0_core.planning.scene import PlanningScene, floor_box
from mu0_core.robot.description import load_robot
from mu0_ros.planning.planner_process import PlannerProcess
from mu0_ros.planning.planner_server import scene_as, scene_from

pytest.importorskip("roboplan.rrt")

# moveit_py as its documentation has it, around a model of its own: it is loaded by the child. What
# is not named here is not there. The end of the interpreter crashes, as moveit2#2663 says.
MOVEIT = """
import atexit, os, sys
assert sys.argv[1:] == ["--ros-args", "--params-file", "/moveit.yaml"], sys.argv
import numpy as np
sys.path.insert(0, {tests!r})
import moveit_double
sys.modules.update(moveit_double.modules())
from mu0_core.planning.roboplan_planner import RoboplanPlanner
from mu0_core.robot.description import load_robot

OURS = RoboplanPlanner(load_robot("fr3"))
GROUP = moveit_double.FakeMoveGroup(OURS)
print("chatter of a library", flush=True)


class RobotState:
    def __init__(self, robot_model):
        assert robot_model == "model"
        self.joint_positions = {{}}

    def update(self):
        pass

    def set_from_ik(self, joint_model_group_name, geometry_pose, tip_name, timeout=0.0):
        assert (joint_model_group_name, tip_name) == ("fr3_arm", "fr3_hand_tcp") and timeout > 0
        try:
            pose, scene = moveit_double.matrix(geometry_pose), GROUP._scene(self.msg)
            found = OURS.inverse(pose, self.arm, scene)
        except Exception:
            return False
        self.joint_positions = dict(zip(OURS.robot.arm_joints, found))
        return True

    @property
    def arm(self):
        return np.array([self.joint_positions[n] for n in OURS.robot.arm_joints])

    @property
    def msg(self):
        state = moveit_double.RobotState(is_diff=True)
        state.joint_state.name = list(self.joint_positions)
        state.joint_state.position = list(map(float, self.joint_positions.values()))
        return state


class PlanningScene:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def apply_collision_object(self, collision_object_msg):
        message = moveit_double.PlanningSceneMessage(is_diff=True)
        message.robot_state.is_diff = True
        message.world.collision_objects = [collision_object_msg]
        GROUP._apply_planning_scene(moveit_double.ApplyPlanningScene.Request(scene=message))

    def is_state_colliding(self, robot_state, joint_model_group_name, verbose=False):
        found = OURS.check(robot_state.arm[None], GROUP._scene(robot_state.msg))
        return found.collision is not None


class Monitor:
    def read_only(self):
        return PlanningScene()

    read_write = read_only


class Trajectory:
    def __init__(self, path):
        self.path = path

    def get_robot_trajectory_msg(self):
        from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

        message = moveit_double.RobotTrajectory()
        message.joint_trajectory = JointTrajectory(
            joint_names=list(OURS.robot.arm_joints),
            points=[JointTrajectoryPoint(positions=q.tolist()) for q in self.path],
        )
        return message


class Plan:
    def __init__(self, path):
        self.trajectory = Trajectory(path)
        self.error_code = moveit_double.MoveItErrorCodes(val=1 if path is not None else -1)

    def __bool__(self):
        return self.error_code.val == 1


class PlanningComponent:
    def set_start_state(self, robot_state):
        self.start = robot_state

    def set_goal_state(self, robot_state):
        self.goal = robot_state

    def plan(self):
        try:
            return Plan(OURS.plan(self.start.arm, self.goal.arm, GROUP._scene(self.start.msg)))
        except Exception:
            return Plan(None)


class MoveItPy:
    def __init__(self, node_name):
        atexit.register(os.abort)

    def get_planning_component(self, planning_component_name):
        assert planning_component_name == "fr3_arm"
        return PlanningComponent()

    def get_robot_model(self):
        return "model"

    def get_planning_scene_monitor(self):
        return Monitor()

    def shutdown(self):
        os.abort()


class PlanRequestParameters:
    pass
"""


@pytest.fixture
def robot():
    return load_robot("fr3")


@pytest.fixture
def process(robot):
    planner = PlannerProcess(robot, "roboplan", ["roboplan", "--robot", "fr3"], start_s=60.0)
    yield planner
    planner.close()


def wall(robot):
    box = Box.at("wall", np.array([0.42, 0.17, 0.2]), (0.24, 0.02, 0.4))
    return PlanningScene((floor_box(robot), box), np.array([[0.505, -0.305, 0.105]]), 0.01, 0.04)


def turned(robot, by_rad):
    joints = robot.home_rad.copy()
    joints[0] += by_rad
    return joints


def works(planner, robot):
    scene, home = wall(robot), robot.home_rad
    goal = turned(robot, -0.3)
    path = planner.plan(home, goal, scene)
    assert np.allclose(path[0], home) and np.allclose(path[-1], goal)
    assert planner.check(path, scene).collision is None
    hit = planner.check(np.stack([home, turned(robot, 0.45)]), scene).collision
    assert hit is not None and hit.step == 1
    from mu0_core.robot.kinematics import Kinematics

    pose = Kinematics(robot).tip(goal)
    joints = planner.inverse(pose, home, scene)
    assert np.allclose(Kinematics(robot).tip(joints)[:3, 3], pose[:3, 3], atol=1e-3)
    return hit


def test_another_process_plans_checks_and_solves(process, robot):
    assert "wall" in works(process, robot).bodies


def test_errors_cross_with_their_kind_and_code(process, robot):
    beyond = robot.home_rad.copy()
    beyond[3] = 0.0
    with pytest.raises(PlanningError, match="the goal: fr3_joint4 at 0.000 rad") as caught:
        process.plan(robot.home_rad, beyond, PlanningScene())
    assert caught.value.code == "LIMIT_VIOLATION"
    assert process.check(robot.home_rad[None], PlanningScene()).collision is None, "it lives on"


def test_a_killed_process_is_an_error_and_the_next_call_starts_another(process, robot):
    scene = wall(robot)
    process.check(robot.home_rad[None], scene)
    first = process._process
    first.kill()
    first.wait()
    assert process.check(robot.home_rad[None], scene).collision is None
    second = process._process
    assert second.pid != first.pid
    second.kill()  # while it is asked
    with pytest.raises(PlannerUnavailableError, match="of planner roboplan died with code -9"):
        process._answer(5.0)
    assert process.check(robot.home_rad[None], scene).collision is None


def test_a_process_that_hangs_is_ended(robot):
    slow = PlannerProcess(
        robot, "roboplan", ["roboplan", "--robot", "fr3"], start_s=0.05, answer_s=0.05
    )
    begun_s = time.monotonic()
    with pytest.raises(PlannerUnavailableError, match="gave no answer within 0.05 s") as caught:
        slow.check(robot.home_rad[None], PlanningScene())
    assert caught.value.code == "NOT_READY" and time.monotonic() - begun_s < 5.0
    assert slow._process is None


def test_without_moveit_py_the_debian_package_is_named(robot):
    planner = PlannerProcess(
        robot, "moveit_py", ["moveit_py", "--robot", "fr3", "--group", "arm"], start_s=60.0
    )
    with pytest.raises(PlannerUnavailableError, match="ros-jazzy-moveit-py"):
        planner.check(robot.home_rad[None], PlanningScene())
    planner.close()


def test_moveit_py_works_in_its_process_and_crashes_alone(robot, tmp_path, monkeypatch):
    from pathlib import Path

    folder = tmp_path / "moveit"
    (folder / "core").mkdir(parents=True)
    source = textwrap.dedent(MOVEIT).format(tests=str(Path(__file__).parent))
    (folder / "__init__.py").write_text("")
    (folder / "planning.py").write_text(source)
    (folder / "core" / "__init__.py").write_text("")
    (folder / "core" / "robot_state.py").write_text("from moveit.planning import RobotState\n")
    import os

    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    words = ["moveit_py", "--robot", "fr3", "--group", "fr3_arm", "--params", "/moveit.yaml"]
    planner = PlannerProcess(robot, "moveit_py", words, start_s=60.0)
    assert works(planner, robot).bodies == ("", "")
    process = planner._process
    planner.close()
    assert process.returncode not in (0, None), "MoveIt aborts at its end, and we go on"


def test_a_scene_crosses_unchanged(robot):
    scene = wall(robot)
    again = scene_from(scene_as(scene))
    assert np.array_equal(again.points_m, scene.points_m) and again.gripper_m == scene.gripper_m
    for a, b in zip(scene.boxes, again.boxes):
        assert (a.name, a.size_m) == (b.name, b.size_m)
        assert np.array_equal(a.T_base_box, b.T_base_box)
    bare = scene_from(scene_as(PlanningScene()))
    assert bare.points_m.shape == (0, 3) and bare.gripper_m is None
