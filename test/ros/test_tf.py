# SPDX-License-Identifier: Apache-2.0
"""Where the camera's pose comes from and goes to: never a guess, never lost before activation."""

from dataclasses import dataclass

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from rclpy.node import Node

from mu0_core.errors import TransformError
from mu0_ros import qos
from mu0_ros.conversions.transform import transform_from_matrix
from mu0_ros.lifecycle import Mu0LifecycleNode
from mu0_ros.testing.bench import Bench
from mu0_ros.tf import (
    TF2_AVAILABLE,
    CameraPosePublisher,
    CameraPoseTopic,
    StaticPose,
    make_transform_source,
)

POSE = np.array([[0, 0, 1, 0.5], [-1, 0, 0, 0.1], [0, -1, 0, 0.4], [0, 0, 0, 1]], float)
GIVEN = {"camera_frame": "lens", "camera_pose": [0.5, 0.1, 0.4, -0.5, 0.5, -0.5, 0.5]}


def static(**parameters) -> StaticPose:
    with Bench({"arm": parameters}) as bench:
        return make_transform_source(bench.add(Node("arm")), "static")


def test_a_static_pose_is_the_one_that_was_given():
    source = static(**GIVEN)
    np.testing.assert_allclose(source.lookup("base", "lens", 0), POSE, atol=1e-12)
    with pytest.raises(TransformError, match="'other'.*'lens'"):
        source.lookup("base", "other", 0)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({}, "camera_frame"),
        ({"camera_frame": "lens"}, "camera_pose"),
        ({**GIVEN, "camera_frame": ""}, "camera_frame"),
        ({**GIVEN, "camera_pose": [0.0, 0.0, 1.0]}, "3 numbers"),
        ({**GIVEN, "camera_pose": [0.0] * 7}, "not a rigid transform"),
        ({**GIVEN, "camera_pose": [float("nan"), *GIVEN["camera_pose"][1:]]}, "not a rigid"),
    ],
)
def test_a_static_pose_is_never_guessed(parameters, words):
    with pytest.raises(TransformError, match=words):
        static(**parameters)


def test_an_unknown_source_is_refused():
    with Bench() as bench, pytest.raises(TransformError, match="auto, tf2, topic, static"):
        make_transform_source(bench.probe, "identity")


@pytest.mark.skipif(TF2_AVAILABLE, reason="tf2_ros is installed here")
def test_without_tf2_auto_is_the_topic_and_tf2_is_refused():
    with Bench() as bench:
        assert isinstance(make_transform_source(bench.probe, "auto"), CameraPoseTopic)
        with pytest.raises(TransformError, match="not installed"):
            make_transform_source(bench.probe, "tf2")


def test_the_topic_answers_only_for_frames_it_heard_of():
    with Bench() as bench:
        source = CameraPoseTopic(bench.probe)
        with pytest.raises(TransformError, match="known: none"):
            source.lookup("base", "lens", 0)
        publisher = bench.probe.create_publisher(TransformStamped, "camera_pose", qos.LATCHED)
        publisher.publish(transform_from_matrix(POSE, "base", "lens", 0))
        bench.until(lambda: source._poses, what="the pose")
        np.testing.assert_allclose(source.lookup("base", "lens", 0), POSE, atol=1e-12)
        with pytest.raises(TransformError, match="known.*lens"):
            source.lookup("lens", "base", 0)


@dataclass(frozen=True)
class Settings:
    """No parameters of its own."""


class Camera(Mu0LifecycleNode):
    """Tells its pose from the moment it is made."""

    def __init__(self) -> None:
        super().__init__("camera", Settings)

    def setup(self) -> None:
        self.pose = CameraPosePublisher(self)

    def start(self) -> None:
        self.pose.publish(POSE, "base", "lens", 1)  # publishers are not active yet


def test_a_pose_told_before_activation_is_told_again_and_a_known_one_is_not():
    with Bench() as bench:
        camera = bench.add(Camera())
        heard = bench.collect(TransformStamped, "camera_pose")
        for stamp_ns in (2, 3, 4):
            camera.pose.publish(POSE, "base", "lens", stamp_ns)
        bench.until(lambda: heard, what="the pose")
        moved = POSE.copy()
        moved[0, 3] += 0.1
        camera.pose.publish(moved, "base", "lens", 5)
        bench.until(lambda: len(heard) > 1, what="the new pose")
        bench.spin_for(0.2)
        assert [m.header.stamp.nanosec for m in heard] == [2, 5]
