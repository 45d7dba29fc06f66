# SPDX-License-Identifier: Apache-2.0
"""What a camera says is checked before it is used: calibration, registration, scale of depth."""

from __future__ import annotations

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from mu0.srv import PredictTraces
from sensor_msgs.msg import CameraInfo, Image

from mu0_core.cli.doctor import Check
from mu0_core.errors import ObservationError
from mu0_core.observation.rules import CameraRules
from mu0_core.types import CameraIntrinsics
from mu0_ros import qos
from mu0_ros.camera_check import check_camera
from mu0_ros.camera_stream import CameraStream
from mu0_ros.conversions.camera import info_from_intrinsics, model_from_info
from mu0_ros.conversions.image import image_from_depth_m, image_from_rgb
from mu0_ros.conversions.transform import transform_from_matrix
from mu0_ros.nodes.trace_forecaster_node import TraceForecasterNode
from mu0_ros.testing.bench import Bench
from mu0_ros.testing.mock_robot import MockRobot
from mu0_ros.tf import parents_from_yaml

CAMERA = CameraIntrinsics(160, 120, 130.0, 130.0, 79.5, 59.5)


def boxes():
    """A table with boxes, each of another colour."""
    rng = np.random.default_rng(4)
    rgb, depth = np.full((120, 160, 3), 110, np.uint8), np.full((120, 160), 1.0, np.float32)
    for x, y in ((20, 20), (70, 15), (115, 30), (30, 75), (85, 80)):
        w, h = rng.integers(18, 30, 2)
        rgb[y : y + h, x : x + w], depth[y : y + h, x : x + w] = rng.integers(0, 255, 3), 0.8
    return rgb, depth


class Driver:
    """Publishes one pair with a new stamp whenever it is asked."""

    def __init__(self, bench):
        node, self.bench, self.stamp = bench.probe, bench, 0
        self.colour = node.create_publisher(Image, "color/image_raw", qos.SENSOR)
        self.depth = node.create_publisher(Image, "depth/image_raw", qos.SENSOR)
        self.info = node.create_publisher(CameraInfo, "color/camera_info", qos.SENSOR)

    def send(self, rgb, depth_m, info=None):
        self.stamp += 1
        messages = (image_from_rgb(rgb), image_from_depth_m(depth_m))
        for message in (*messages, info := info or info_from_intrinsics(CAMERA)):
            message.header.frame_id, message.header.stamp.sec = "lens", self.stamp
        self.info.publish(info)
        for publisher, message in zip((self.colour, self.depth), messages):
            publisher.publish(message)


@pytest.fixture
def make_stream():
    with Bench() as bench:
        streams, driver = [], Driver(bench)

        def make(rules=None):
            streams.append(CameraStream(bench.probe, 0.02, rules))
            bench.until(
                lambda: driver.depth.get_subscription_count() == len(streams), what="a camera"
            )
            bench.until(
                lambda: driver.info.get_subscription_count() == len(streams), what="a camera"
            )
            return streams[-1], driver

        yield make
        for stream in streams:
            stream.close()


def answer(stream, driver, rgb, depth_m, info=None):
    """Send until the stream has the pair; return its frame."""

    def arrived():
        return stream.newest_stamp_ns() == driver.stamp * 10**9 and stream._info is not None

    driver.send(rgb, depth_m, info)
    driver.bench.until(arrived, what="the pair")
    return stream.newest_frame()


def test_depth_that_lies_beside_its_colour_is_refused_until_it_lies_on_it(make_stream):
    stream, driver = make_stream()
    rgb, depth = boxes()
    with pytest.raises(ObservationError, match=r"depth lies \d+ px to the right.*allowed 3 px"):
        answer(stream, driver, rgb, np.roll(depth, 9, axis=1))
    assert answer(stream, driver, rgb, depth) is not None
    assert stream.registration.found.fits
    unchecked, driver = make_stream(CameraRules(check_registration=False))
    assert answer(unchecked, driver, rgb, np.roll(depth, 9, axis=1)) is not None


def test_depth_is_scaled_before_anybody_sees_it(make_stream):
    stream, driver = make_stream(CameraRules(depth_scale=1.1, depth_offset_m=-0.05))
    rgb, depth = boxes()
    frame = answer(stream, driver, rgb, depth)
    np.testing.assert_allclose(frame.depth_m, 1.1 * depth - 0.05, atol=1e-6)


@pytest.mark.parametrize(
    ("field", "values", "words"),
    [
        ("k", [0.0] * 9, "not calibrated"),
        ("k", [260.0, 0.0, 159.5, 0.0, 260.0, 119.5, 0.0, 0.0, 1.0], "another resolution"),
        ("d", [0.4, 0.0, 0.0, 0.0, 0.0], "set rectified: true"),
        ("binning_x", 2, "binning"),
    ],
)
def test_a_camera_info_that_cannot_be_true_is_refused(make_stream, field, values, words):
    stream, driver = make_stream()
    info = info_from_intrinsics(CAMERA)
    setattr(info, field, values)
    with pytest.raises(ObservationError, match=words):
        answer(stream, driver, *boxes(), info)
    assert answer(stream, driver, *boxes()) is not None


def test_a_rectified_image_is_seen_with_the_projection_matrix(make_stream):
    stream, driver = make_stream(CameraRules(rectified=True))
    info = info_from_intrinsics(CAMERA)
    info.d = [0.4, 0.0, 0.0, 0.0, 0.0]
    info.p[0] = 120.0
    assert model_from_info(info).p[0] == 120.0
    assert answer(stream, driver, *boxes(), info).intrinsics.fx == 120.0


def test_the_forecaster_applies_its_depth_parameters():
    settings = {"backend": "fake", "depth_scale": 1.25, "depth_offset_m": -0.1}
    with Bench({"trace_forecaster": settings}) as bench:
        bench.add(MockRobot())  # a table at 1 m with a block at 0.95 m
        node = bench.add(TraceForecasterNode())
        bench.until(lambda: node._camera.newest_frame() is not None, what="images")
        request = PredictTraces.Request(instruction="push")
        traces = bench.call(PredictTraces, "predict_traces", request).hypotheses[0]
        first = np.array(traces.control_points).reshape(len(traces.ids), -1, 3)[:, 0, 2]
        assert np.abs(first[:, None] - [1.15, 1.0875]).min(axis=1).max() < 1e-5


def test_the_check_for_doctor_finds_a_good_camera_and_its_place():
    with Bench() as bench:
        robot = bench.add(MockRobot())
        found = looked_at(bench, robot.robot.base_frame)
        assert [f.ok for f in found] == [True] * 4
        assert found[1].found == "160x120, fx 130.0, depth 0.95 to 1.00 m"
        assert found[3].found == f"(0.500, 0.000, 1.000) m in {robot.robot.base_frame}"
        robot.faults.depth_scale = 1000.0
        assert "are the units wrong by 1000" in looked_at(bench, "base")[-1].found


def test_the_check_for_doctor_names_what_is_missing(make_stream):
    _, driver = make_stream()
    silent = looked_at(driver.bench, "base")
    assert [f.ok for f in silent] == [False]
    assert "/mu0/color/image_raw 1, /mu0/depth/image_raw 1" in silent[0].found
    timer = driver.bench.probe.create_timer(0.05, lambda: driver.send(*boxes()))
    pose = driver.bench.probe.create_publisher(TransformStamped, "camera_pose", qos.LATCHED)
    pose.publish(transform_from_matrix(np.eye(4), "base", "other lens", 0))
    found = looked_at(driver.bench, "base")
    timer.cancel()
    assert [f.ok for f in found] == [True, True, True, False]
    assert "'lens' in 'base'" in found[3].found and "other lens" in found[3].found


def looked_at(bench, base):
    """Return the findings; the bench turns the node that is asked with."""
    return [Check(**f) for f in check_camera(bench.probe, base, 1.0, bench.spin_for)]


def test_frames_of_tf2_are_read_from_its_yaml():
    text = "lens: \n  parent: 'camera_link'\n  broadcaster: 'x'\n  rate: 10000.000\n"
    assert parents_from_yaml(text) == {"lens": "camera_link"}
    assert parents_from_yaml("[]") == parents_from_yaml("") == {}
