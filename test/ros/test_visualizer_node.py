# SPDX-License-Identifier: Apache-2.0
"""The visualizer works for whoever looks and for nobody else."""

import numpy as np
import pytest
from mu0.msg import TraceArray
from sensor_msgs.msg import Image, PointCloud2
from visualization_msgs.msg import Marker, MarkerArray

from mu0_core.observation.image_raster import rgb_from_image
from mu0_core.spline.basis import bezier_knots
from mu0_core.types import QueryPoints, TraceForecast
from mu0_ros import qos
from mu0_ros.conversions.stamp import ns_from_stamp
from mu0_ros.conversions.trace import msg_from_forecast
from mu0_ros.markers import trace_cloud, trace_markers
from mu0_ros.nodes.visualizer_node import VisualizerNode
from mu0_ros.testing.bench import Bench
from mu0_ros.testing.mock_robot import CAMERA_FRAME, MockRobot


def make_forecast(stamp_ns: int, valid_until: float = 1.0, spread: bool = False) -> TraceForecast:
    query = QueryPoints(
        np.zeros((3, 2), np.float32),
        np.ones(3, np.float32),
        np.array([4, 7, 9], np.uint32),
        np.zeros(3, np.uint16),
        np.zeros(3, np.uint8),
        160,
        120,
    )
    control = np.zeros((3, 10, 3), np.float32)
    control[..., 0] = np.linspace(0.0, 0.3, 10)
    control[..., 1] = np.array([-0.2, 0.0, 0.2])[:, None]
    control[..., 2] = 1.0
    return TraceForecast(
        control,
        bezier_knots(10),
        3,
        np.full(3, valid_until, np.float32),
        np.full((3, 10), 0.02, np.float32) if spread else None,
        query,
        "push",
        "fake",
        CAMERA_FRAME,
        stamp_ns,
        1,
    )


def make_message(stamp_ns: int, **arguments: object) -> TraceArray:
    return msg_from_forecast(make_forecast(stamp_ns, **arguments))


def test_markers_are_one_strip_per_trace_in_the_frame_of_the_image():
    message = make_message(12_000_000_000)
    markers = trace_markers(make_forecast(12_000_000_000), message.header, 24).markers
    assert markers[0].action == Marker.DELETEALL
    strips = [m for m in markers if m.type == Marker.LINE_STRIP and m.action == Marker.ADD]
    assert len(strips) == 3 and all(len(m.points) == len(m.colors) == 24 for m in strips)
    assert {m.header.frame_id for m in markers} == {CAMERA_FRAME}
    assert len({(m.ns, m.id) for m in markers[1:]}) == len(markers) - 1
    first, last = strips[0].colors[0], strips[0].colors[-1]
    assert first.b > first.r and last.r > last.b, "blue is now, red is the end"
    assert (strips[0].points[-1].x, strips[0].points[0].x) == pytest.approx((0.3, 0.0), abs=1e-6)


def test_strips_end_where_the_forecast_stops_being_valid():
    half = make_forecast(1, valid_until=0.5)
    markers = trace_markers(half, make_message(1).header, 24).markers
    assert all(len(m.points) == 12 for m in markers if m.type == Marker.LINE_STRIP and m.points)


def test_the_cloud_holds_position_phase_id_and_spread():
    cloud = trace_cloud(make_forecast(1, spread=True), make_message(1).header, 8)
    assert [f.name for f in cloud.fields] == ["x", "y", "z", "t", "id", "stddev"]
    values = np.frombuffer(cloud.data, np.float32).reshape(-1, 6)
    assert len(values) == cloud.width == 24
    assert set(values[:, 4]) == {4.0, 7.0, 9.0}
    assert np.allclose(values[:, 5], 0.02) and np.allclose(values[:, 2], 1.0)
    unknown = trace_cloud(make_forecast(1), cloud.header, 8)
    assert np.isnan(np.frombuffer(unknown.data, np.float32)[5])


def test_nobody_looking_means_no_work_and_no_image_subscription():
    with Bench() as bench:
        node = bench.add(VisualizerNode())
        publisher = bench.probe.create_publisher(TraceArray, "traces", qos.NEWEST)
        images = bench.probe.create_publisher(Image, "color/image_raw", qos.SENSOR)
        bench.until(publisher.get_subscription_count, what="the node listens")
        publisher.publish(make_message(1))
        bench.spin_for(0.4)
        assert images.get_subscription_count() == 0 and node._shown_s < 0
        seen = bench.collect(Image, "traces/overlay", qos.NEWEST)
        bench.until(images.get_subscription_count, what="the overlay is watched now")
        bench.probe.destroy_subscription(
            next(s for s in bench.probe.subscriptions if s.topic_name.endswith("traces/overlay"))
        )
        bench.until(lambda: images.get_subscription_count() == 0, what="nobody watches any more")
        assert seen == []


def test_markers_cloud_and_overlay_come_with_the_stamp_of_the_image():
    with Bench() as bench:
        bench.add(MockRobot())
        node = bench.add(VisualizerNode())
        markers = bench.collect(MarkerArray, "traces/markers", qos.NEWEST)
        clouds = bench.collect(PointCloud2, "traces/points", qos.NEWEST)
        overlays = bench.collect(Image, "traces/overlay", qos.NEWEST)
        publisher = bench.probe.create_publisher(TraceArray, "traces", qos.NEWEST)
        bench.until(lambda: node._images and node._camera, what="an image was kept")
        bench.until(publisher.get_subscription_count, what="the node listens")
        stamp_ns = next(iter(node._images))
        publisher.publish(make_message(stamp_ns))
        bench.until(lambda: markers and clouds and overlays, what="all three")
        for message in (clouds[0], overlays[0], markers[0].markers[1]):
            assert ns_from_stamp(message.header.stamp) == stamp_ns
            assert message.header.frame_id == CAMERA_FRAME
        drawn, plain = rgb_from_image(overlays[0]), rgb_from_image(node._images[stamp_ns])
        assert drawn.shape == plain.shape and np.any(drawn != plain)


def test_a_forecast_whose_image_is_gone_gives_no_overlay_but_markers():
    with Bench() as bench:
        bench.add(MockRobot())
        node = bench.add(VisualizerNode())
        markers = bench.collect(MarkerArray, "traces/markers", qos.NEWEST)
        overlays = bench.collect(Image, "traces/overlay", qos.NEWEST)
        publisher = bench.probe.create_publisher(TraceArray, "traces", qos.NEWEST)
        bench.until(lambda: node._images and node._camera, what="an image was kept")
        bench.until(publisher.get_subscription_count, what="the node listens")
        publisher.publish(make_message(5))
        bench.until(lambda: markers, what="markers")
        bench.spin_for(0.1)
        assert overlays == [] and any("OBSERVATION_INVALID" in k for k in node.counters)
