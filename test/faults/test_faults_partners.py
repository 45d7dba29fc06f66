# SPDX-License-Identifier: Apache-2.0
"""Rows of the fault catalogue about who is heard: transforms, quality of service, namespaces."""

import random
import time

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from mu0.msg import ActionChunk, ModelInfo, SafetyStatus, TaskStatus, TraceArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image, JointState

from mu0_ros import qos
from mu0_ros.conversions.error_code import code_name
from mu0_ros.conversions.stamp import ns_from_stamp
from mu0_ros.nodes.action_expert_node import ActionExpertNode
from mu0_ros.task_states import ENDED, RUNNING
from mu0_ros.testing.bench import NAMESPACE
from mu0_ros.testing.fault_loop import FaultLoop
from mu0_ros.testing.mock_robot import MockRobot

S = TaskStatus
QUICK = {"trace_forecaster": {"max_image_age_s": 0.4}}


# -- where the camera stands ---------------------------------------------------------------------


def test_row_22_the_pose_of_the_camera_comes_late():
    with FaultLoop() as loop:
        loop.robot.faults.pose = False
        loop.start()
        told = loop.wait_for_cause("TRANSFORM_UNAVAILABLE", 8.0)
        assert "known: none" in told.error.message
        loop.bench.spin_for(0.5)
        assert loop.robot.accepted == [] and loop.status[-1].state in RUNNING
        loop.robot.faults.pose = True
        loop.wait_for_motion()
        loop.judge()


def test_row_22_images_of_a_frame_outside_the_tree():
    with FaultLoop() as loop:
        loop.start_and_move()
        loop.robot.faults.frame = "another_camera"
        loop.wait_for_rest(1.2)
        told = loop.wait_for_cause("TRANSFORM_UNAVAILABLE", 8.0)
        assert "another_camera" in told.error.message
        loop.robot.faults.frame = ""
        loop.wait_for_round()
        loop.judge()


@pytest.mark.parametrize("bumped_m", [0.1, -0.1])
def test_row_23_a_bumped_camera(bumped_m, note_rest):
    with FaultLoop() as loop:
        loop.start_and_move()
        loop.robot.faults.bumped_m = bumped_m
        told = loop.wait_for_cause("OBSERVATION_INVALID")
        bumped_ns = loop.bench.probe.get_clock().now().nanoseconds
        assert "moved by 0.100 m" in told.error.message
        loop.wait_for_rest(0.5)
        note_rest(loop.rest_s)
        before = len(loop.traces)
        loop.wait_for_round()
        assert all(ns_from_stamp(m.header.stamp) > bumped_ns - 1e8 for m in loop.traces[before:])
        loop.judge()


# -- quality of service --------------------------------------------------------------------------

OFFERS = [  # the mock robot's own is best effort and volatile
    QoSProfile(depth=5, reliability=reliability, durability=durability)
    for reliability, durability in (
        (ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE),
        (ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.TRANSIENT_LOCAL),
    )
]


@pytest.mark.parametrize(
    "offer", OFFERS, ids=lambda o: f"{o.reliability.name}-{o.durability.name}".lower()
)
def test_row_26_sensors_are_heard_whatever_they_offer(offer):
    with FaultLoop() as loop:
        robot = loop.robot
        for name, kind, topic in (
            ("_colour", Image, "color/image_raw"),
            ("_depth", Image, "depth/image_raw"),
            ("_info", CameraInfo, "color/camera_info"),
            ("_joints", JointState, "joint_states"),
        ):
            robot.destroy_publisher(getattr(robot, name))
            setattr(robot, name, robot.create_publisher(kind, topic, offer))
        loop.start_and_move()
        loop.judge()


def test_row_26_what_cannot_be_heard_is_named_with_both_profiles():
    with FaultLoop(without=("trace_forecaster",)) as loop:
        diagnostics = loop.bench.collect(DiagnosticArray, "/diagnostics", qos.COMMAND)
        offer = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        loop.bench.probe.create_publisher(TraceArray, "traces", offer)

        def said() -> list[str]:
            words = (s.message for m in diagnostics for s in m.status if "expert" in s.name)
            return [w for w in words if "incompatible" in w]

        text = loop.bench.until(said, what="the event in diagnostics")[0]
        assert f"{NAMESPACE}/traces" in text
        assert "asked for is reliable volatile" in text
        assert "probe is best_effort volatile" in text


def test_row_27_late_joiners_see_the_state_and_take_part():
    settings = {"trace_forecaster": {"answer_timeout_s": 0.5}}
    with FaultLoop(settings, without=("action_expert",)) as loop:
        assert loop.start().accepted
        loop.bench.until(lambda: loop.traces, what="a forecast that nobody answers")
        began_s = time.monotonic()
        late = {
            topic: loop.bench.collect(kind, topic)
            for kind, topic in (
                (TaskStatus, "task_status"),
                (SafetyStatus, "safety_status"),
                (ModelInfo, "model_info"),
            )
        }
        loop.bench.until(lambda: all(late.values()), 1.0, "latched states")
        assert time.monotonic() - began_s < 1.0
        assert late["task_status"][0].state in RUNNING
        loop.nodes["action_expert"] = loop.bench.add(ActionExpertNode())
        loop.wait_for_motion(10.0)
        loop.judge()


# -- chunks on their way -------------------------------------------------------------------------


class Relay:
    """Stands between action expert and gate and loses, doubles, swaps or delays chunks."""

    def __init__(self, loop: FaultLoop, fault: str, share: float) -> None:
        self._random = random.Random(0)
        self.fault, self._share = fault, share
        self._kept: list[tuple[float, ActionChunk]] = []
        self._last: ActionChunk | None = None
        probe = loop.bench.probe
        self._out = probe.create_publisher(ActionChunk, "action_chunk", qos.NEWEST)
        probe.create_subscription(ActionChunk, "chunk_proposals", self._take, qos.NEWEST)
        probe.create_timer(0.01, self._pass_on)

    def _take(self, message: ActionChunk) -> None:
        due_s, hit = time.monotonic(), self._random.random() < self._share
        if self.fault == "drop" and hit:
            return
        if self.fault == "delay" and hit:
            due_s += 0.3
        self._kept.append((due_s, message))
        if self.fault == "duplicate" and hit:
            self._kept.append((due_s + 0.05, message))
        if self.fault == "reorder" and hit and self._last is not None:
            self._kept.append((due_s + 0.05, self._last))
        self._last = message

    def _pass_on(self) -> None:
        due = [m for due_s, m in self._kept if due_s <= time.monotonic()]
        self._kept = [(t, m) for t, m in self._kept if t > time.monotonic()]
        for message in due:
            self._out.publish(message)


@pytest.mark.parametrize(
    ("fault", "share"),
    [("drop", 0.5), ("duplicate", 1.0), ("reorder", 1.0), ("delay", 1.0)],
)
def test_row_28_chunks_are_lost_doubled_swapped_or_late(fault, share):
    settings = {"trace_forecaster": {"answer_timeout_s": 0.5}}
    remapped = ["-r", "action_expert:action_chunk:=chunk_proposals"]
    with FaultLoop(settings, arguments=remapped) as loop:
        relay = Relay(loop, fault, share)
        loop.start_and_move()
        for _ in range(2):
            loop.wait_for_round(10.0)
        assert loop.status[-1].state in RUNNING
        if fault in ("duplicate", "reorder"):  # each second one is old, and changes nothing
            loop.wait_for_cause("DISCONTINUITY")
        relay.fault = ""
        loop.judge()


# -- nobody there --------------------------------------------------------------------------------


def test_row_29_no_camera_is_named_not_passed_over():
    settings = {"task_server": {"inference_timeout_s": 7.0}, **QUICK}
    with FaultLoop(settings) as loop:
        for name in ("_colour", "_depth"):
            loop.robot.destroy_publisher(getattr(loop.robot, name))
            setattr(loop.robot, name, loop.bench.probe.create_publisher(Image, "lost", 1))
        loop.start()
        told = loop.wait_for_cause("NOT_READY", 8.0)
        topics = f"{NAMESPACE}/color/image_raw, {NAMESPACE}/depth/image_raw"
        assert f"no publisher on {topics} after 5 s" in told.error.message
        end = loop.wait_for_end()
        assert end.state == S.STATE_ABORTED and code_name(end.error) == "NOT_READY"
        assert loop.robot.accepted == []


def test_row_29_a_node_in_another_domain_is_missed(monkeypatch):
    with FaultLoop(without=("trace_forecaster",)) as loop:
        other = str(loop.bench.domain_id % 100 + 1)
        monkeypatch.setenv("ROS_DOMAIN_ID", other)
        loop.bench.domain_id = int(other)
        loop.spawn("trace_forecaster")
        loop.bench.until(loop.nodes["task_server"].missing, 8.0, "that somebody is missed")
        answer = loop.start()
        assert not answer.accepted and code_name(answer.error) == "NOT_READY"
        assert f"no publisher on {NAMESPACE}/traces after" in answer.error.message
        assert "ROS_DOMAIN_ID" in answer.error.message
        assert loop.robot.accepted == [] and loop.ends() == []


def test_row_30_a_slow_subscriber_sees_the_newest_and_slows_nobody():
    with FaultLoop() as loop:
        slow, executor = Node("slow"), SingleThreadedExecutor()
        executor.add_node(slow)
        ages_s, heard = [], len(loop.safety)

        def on_status(message: SafetyStatus) -> None:
            now_ns = slow.get_clock().now().nanoseconds
            ages_s.append((now_ns - ns_from_stamp(message.header.stamp)) * 1e-9)
            time.sleep(0.2)

        slow.create_subscription(SafetyStatus, "safety_status", on_status, qos.LATCHED)

        def look_on() -> None:
            while len(ages_s) < 12:
                executor.spin_once(timeout_sec=0.1)

        loop.start_and_move()
        loop.bench.turning(look_on, 10.0)
        assert len(loop.safety) - heard > 1.5 * len(ages_s), "the slow one misses most of it"
        assert max(ages_s[1:]) < 0.4, ages_s  # one callback and a period of the gate: no queue
        executor.shutdown()
        slow.destroy_node()
        loop.wait_for_round()
        loop.judge()


def test_row_32_a_broken_robot_in_another_namespace_is_not_heard():
    with FaultLoop() as loop:
        other = loop.bench.add(MockRobot(namespace="/other", use_global_arguments=False))
        assert other.get_namespace() == "/other"
        vars(other.faults).update(joints_nan=True, stamp_offset_s=-1e6, depth_scale=1000.0)
        loop.start_and_move()
        for _ in range(2):
            loop.wait_for_round()
        assert all(m.state in RUNNING for m in loop.status if m.task_id.uuid.any())
        assert other.accepted == [] and other.at_rest
        np.testing.assert_array_equal(other.motion.positions[-1], other.robot.home_rad)
        loop.judge()


def test_row_32_a_task_of_one_robot_is_not_a_task_of_the_other():
    with FaultLoop() as loop:
        publisher = Node("stranger", namespace="/other", use_global_arguments=False)
        loop.bench.add(publisher)
        status = publisher.create_publisher(TaskStatus, "task_status", qos.LATCHED)
        status.publish(TaskStatus(state=S.STATE_EXECUTING))
        loop.bench.spin_for(1.0)
        assert loop.traces == [] and loop.robot.accepted == []
        assert not [m for m in loop.status if m.state in (*RUNNING, *ENDED)]
        loop.start_and_move()
        loop.judge()
