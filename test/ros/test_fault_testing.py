# SPDX-License-Identifier: Apache-2.0
"""The tools that judge faults can fail: judge of motion, growth of processes, soak result."""

import gc
import json
import signal
import sys

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from rosgraph_msgs.msg import Clock

from mu0_core.errors import ConfigError
from mu0_core.robot.description import load_robot
from mu0_ros.camera_mount import CameraMount
from mu0_ros.client_watch import ClientWatch
from mu0_ros.conversions.transform import transform_from_matrix
from mu0_ros.nodes.task_server_node import TaskServerNode
from mu0_ros.replan import ReplanRule
from mu0_ros.testing.bench import NAMESPACE, Bench
from mu0_ros.testing.motion_judge import MotionJudge
from mu0_ros.testing.soak_faults import FAULTS, NODES
from mu0_ros.testing.soak_processes import Life, Processes, holdings
from mu0_ros.testing.soak_result import SoakResult

LIMITS = load_robot("fr3").limits
HOME = load_robot("fr3").home_rad
REST = np.zeros(7)


def test_the_judge_of_motion_accepts_what_keeps_the_limits():
    judge, dt = MotionJudge(LIMITS), 0.02
    for k in range(100):  # a sine of joint 0 below every limit
        angle, speed = HOME.copy(), REST.copy()
        angle[0], speed[0] = 0.1 * np.sin(k * dt), 0.1 * np.cos(k * dt)
        assert judge.add(k * dt, angle, speed) == []
    assert 0 < judge.worst["velocity"] < 0.2 and judge.worst["acceleration"] < 0.1


@pytest.mark.parametrize(
    ("position", "velocity", "words"),
    [
        (LIMITS.upper_rad[2] + 0.01, 0.0, "position of joint 2"),
        (LIMITS.lower_rad[2] - 0.01, 0.0, "position of joint 2"),
        (0.0, LIMITS.velocity_rad_s[2] * 1.01, "velocity of joint 2"),
        (0.0, LIMITS.acceleration_rad_s2[2] * 0.03, "acceleration of joint 2"),
        (np.nan, 0.0, "not finite"),
        (0.0, np.inf, "not finite"),
    ],
)
def test_the_judge_of_motion_names_what_breaks_a_limit(position, velocity, words):
    judge, angle, speed = MotionJudge(LIMITS), HOME.copy(), REST.copy()
    assert judge.add(0.0, angle, speed) == []
    angle[2], speed[2] = position, velocity
    wrong = judge.add(0.02, angle, speed)
    assert any(words in text for text in wrong), wrong


def test_growth_is_that_of_after_the_warm_up():
    life = Life(0.0)
    for k in range(100):
        memory = 50.0 + min(k, 10) * 5.0 + 0.1 * k  # fills up first, then leaks
        life.samples.append((float(k), memory, 40.0, 10, 20 + (k > 50)))
    growth = life.growth()
    assert 5.0 < growth["rss_growth_percent"] < 10.0
    assert growth["private_growth_percent"] == 0.0
    assert growth["threads_growth"] == 0 and growth["files_growth"] == 1
    with pytest.raises(ConfigError, match="3 samples of a process, needed are 10"):
        Life(0.0, life.samples[:3]).growth()


def test_processes_are_measured_killed_and_started_again(tmp_path):
    code = "import time; print('up', flush=True); time.sleep(60)"
    processes = Processes({"one": [sys.executable, "-c", code]}, {}, tmp_path)
    processes.start("one")
    try:
        pid = processes.running["one"].pid
        processes.sample()
        resident, private, threads, files = holdings(pid)
        assert resident >= private > 0 and threads == 1 and files >= 3
        processes.send("one", signal.SIGKILL)
        assert processes.dead() == {"one": -signal.SIGKILL}
        assert holdings(pid) is None
        processes.start("one")
        assert processes.dead() == {} and len(processes.lives["one"]) == 2
    finally:
        processes.close()
    assert processes.dead()["one"] is not None


def test_a_soak_result_tells_what_failed_in_both_forms(tmp_path):
    result = SoakResult(3)
    result.faults.update(["colour stops", "colour stops", "cancel"])
    result.rested("cancel", 0.25)
    for k in range(300):
        result.fail("the arm comes to rest", float(k), "cancel", "None s, allowed 1.0")
    result.write(tmp_path / "soak.json")
    found = json.loads((tmp_path / "soak.json").read_text())
    assert found["faults_total"] == 3 and found["universal_assertion_failures"] == 300
    assert len(found["failures"]) == 200, "the file does not grow for ever"
    assert found["rest"] == {"cancel": {"count": 1, "worst_s": 0.25}} and found["seed"] == 3
    assert "FAILED the arm comes to rest at 0.0 s, cancel" in result.markdown()


def test_the_faults_of_the_soak_have_names_of_their_own_and_reach_every_node():
    kinds = [fault.kind for fault in FAULTS]
    assert len(kinds) == len(set(kinds)) >= 30
    assert {fault.kills for fault in FAULTS} == {"", *NODES}
    assert all(0 < fault.lasts_s[0] <= fault.lasts_s[1] < 2.0 for fault in FAULTS)


@pytest.mark.parametrize(("far_m", "told"), [(0.1, 1), (0.004, 0)])
def test_a_camera_that_jumps_is_told_once(far_m, told):
    moved = []
    mount, T = CameraMount(moved.append), np.eye(4)
    mount.on_pose(transform_from_matrix(T, "base", "lens", 0))
    T[0, 3] = far_m
    for _ in range(2):
        mount.on_pose(transform_from_matrix(T, "base", "lens", 1))
    mount.on_pose(transform_from_matrix(np.eye(4), "base", "another lens", 1))
    assert len(moved) == told
    assert not told or "'lens' was moved by 0.100 m and 0.000 rad" in str(moved[0])


def test_after_the_camera_moved_only_a_later_image_will_do():
    rule = ReplanRule(0.0, 0.1, 5.0)
    rule.on_gate(0, 0.0, 0)
    assert rule.ready(10**9, 0.0)
    rule.on_forecast(0.0)
    rule.on_camera_moved(2 * 10**9)
    assert not rule.ready(10**9, 0.1) and rule.ready(3 * 10**9, 0.1)


@pytest.mark.parametrize("watching", [True, False])
def test_a_client_that_was_there_is_missed_if_it_is_to_be(watching):
    with Bench() as bench:
        watch = ClientWatch(bench.probe, "run_task", watching)
        assert not watch.is_gone(), "nobody is missed who never came"
        topic = f"{NAMESPACE}/run_task/_action/feedback"
        client = bench.probe.create_subscription(Clock, topic, print, 1)
        bench.until(lambda: bench.probe.count_subscribers(topic) == 1)
        assert not watch.is_gone()
        bench.probe.destroy_subscription(client)
        bench.until(lambda: bench.probe.count_subscribers(topic) == 0)
        assert watch.is_gone() == watching


def test_a_node_keeps_the_callbacks_of_its_clock_and_drops_them_when_cleaned_up():
    """rclpy frees a handle that nobody holds; the next jump then crashed the process."""
    with Bench({"task_server": {"use_sim_time": True}}) as bench:
        node, jumps = bench.add(TaskServerNode()), []
        node.on_clock_jump(jumps.append)
        gc.collect()
        clock = bench.probe.create_publisher(Clock, "/clock", 1)
        bench.until(lambda: clock.get_subscription_count() > 0)
        for seconds in (100, 5000):
            before = len(jumps)
            clock.publish(Clock(clock=Time(sec=seconds)))
            bench.until(lambda n=before: len(jumps) > n, what="the jump")
        bench.turning(node.trigger_deactivate)
        node.trigger_cleanup()
        before = len(jumps)
        clock.publish(Clock(clock=Time(sec=9000)))
        bench.until(lambda: node.now_ns() == 9000 * 10**9)
        assert len(jumps) == before
