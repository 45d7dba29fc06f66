# SPDX-License-Identifier: Apache-2.0
"""Messages to core values and back; broken messages are refused by name."""

import array

import numpy as np
import pytest

pytest.importorskip("rclpy")
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import CameraInfo, Image, JointState

from mu0_core.errors import (
    ObservationError,
    RequestError,
    ShapeError,
    TrajectoryError,
)
from mu0_core.geometry import se3
from mu0_core.observation.image_raster import depth_m_from_image, rgb_from_image
from mu0_core.robot.description import load_robot
from mu0_core.spline.basis import bezier_knots
from mu0_core.types import (
    ActionChunk,
    CameraIntrinsics,
    JointTrajectory,
    QueryPoints,
    TraceForecast,
)
from mu0_ros.conversions import image as images
from mu0_ros.conversions.action_chunk import chunk_from_msg, msg_from_chunk
from mu0_ros.conversions.camera import info_from_intrinsics, intrinsics_from_info
from mu0_ros.conversions.error_code import error_code, error_from
from mu0_ros.conversions.joint_state import proprioception_from_joint_state
from mu0_ros.conversions.query_points import msg_from_query, query_from_msg
from mu0_ros.conversions.stamp import (
    duration_from_s,
    ns_from_stamp,
    s_from_duration,
    stamp_from_ns,
)
from mu0_ros.conversions.trace import forecast_from_msg, msg_from_forecast
from mu0_ros.conversions.trajectory import msg_from_trajectory, trajectory_from_msg
from mu0_ros.conversions.transform import (
    matrix_from_transform,
    transform_from_matrix,
)

ROBOT = load_robot("fr3")


@given(st.integers(0, 2**31 * 10**9 - 1))
def test_stamps_keep_every_nanosecond(time_ns):
    assert ns_from_stamp(stamp_from_ns(time_ns)) == time_ns


@given(st.floats(0, 1e5))
def test_durations_round_to_nanoseconds(seconds):
    assert s_from_duration(duration_from_s(seconds)) == pytest.approx(seconds, abs=1e-9)


def test_negative_time_has_no_stamp():
    with pytest.raises(ObservationError, match="negative"):
        stamp_from_ns(-1)


# -- images --------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(
    st.integers(1, 9),
    st.integers(1, 7),
    st.integers(0, 5),
    st.sampled_from(["rgb8", "bgr8", "rgba8", "bgra8"]),
)
def test_colour_survives_any_padding_and_order(width, height, padding, encoding):
    rgb = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    channels = rgb[..., ::-1] if encoding.startswith("bgr") else rgb
    if encoding.endswith("a8"):
        channels = np.concatenate([channels, np.full((height, width, 1), 255, np.uint8)], axis=-1)
    row = channels.reshape(height, -1)
    rows = np.concatenate([row, np.full((height, padding), 7, np.uint8)], axis=1)
    message = Image(height=height, width=width, encoding=encoding, step=rows.shape[1])
    message.data = array.array("B", rows.tobytes())
    np.testing.assert_array_equal(rgb_from_image(message), rgb)


def test_our_own_images_round_trip():
    rgb = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    np.testing.assert_array_equal(rgb_from_image(images.image_from_rgb(rgb)), rgb)
    depth = np.array([[0.5, np.nan], [1.25, 2.0]], np.float32)
    np.testing.assert_array_equal(depth_m_from_image(images.image_from_depth_m(depth)), depth)


@pytest.mark.parametrize("big_endian", [False, True])
def test_millimetres_become_metres_and_zero_is_unknown(big_endian):
    raw = np.array([[0, 1500]], dtype=">u2" if big_endian else "<u2")
    message = Image(height=1, width=2, encoding="16UC1", step=4, is_bigendian=int(big_endian))
    message.data = array.array("B", raw.tobytes())
    depth = depth_m_from_image(message)
    assert np.isnan(depth[0, 0]) and depth[0, 1] == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (dict(encoding="bayer_rggb8"), "bayer_rggb8"),
        (dict(height=0), "0 pixels"),
        (dict(width=9000), "9000"),
        (dict(step=2), "shorter than a row"),
        (dict(data=array.array("B", b"abc")), "3 bytes"),
    ],
)
def test_row_18_broken_images_are_refused_by_name(change, text):
    message = images.image_from_rgb(np.zeros((4, 4, 3), np.uint8))
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(ObservationError, match=text):
        rgb_from_image(message)


def test_depth_of_another_kind_is_refused():
    message = images.image_from_rgb(np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ObservationError, match="32FC1"):
        depth_m_from_image(message)


# -- camera, joints, transforms ------------------------------------------------------------------


def test_intrinsics_round_trip():
    camera = CameraIntrinsics(640, 480, 600.5, 601.5, 320.25, 239.75)
    assert intrinsics_from_info(info_from_intrinsics(camera)) == camera


def test_row_19_an_uncalibrated_camera_is_refused():
    with pytest.raises(ObservationError, match="not calibrated"):
        intrinsics_from_info(CameraInfo(width=640, height=480))


def joint_state(**changes):
    names = [*ROBOT.arm_joints, ROBOT.gripper.joint]
    message = JointState(name=names, position=[0.1 * k for k in range(8)], velocity=[0.0] * 8)
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def test_joints_are_read_by_name_in_any_order():
    straight = proprioception_from_joint_state(joint_state(), ROBOT)
    message = joint_state()
    message.name = message.name[::-1]
    message.position = message.position[::-1]
    turned = proprioception_from_joint_state(message, ROBOT)
    np.testing.assert_array_equal(straight.positions_rad, turned.positions_rad)
    assert straight.gripper_m == turned.gripper_m == pytest.approx(1.4)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (dict(name=["a"] * 8), "doubled"),
        (dict(name=[f"x{k}" for k in range(8)]), "lacks"),
        (dict(position=[0.0] * 7), "7 positions"),
        (dict(position=[float("nan")] * 8), "not finite"),
    ],
)
def test_row_04_broken_joint_states_are_refused(change, text):
    with pytest.raises(ObservationError, match=text):
        proprioception_from_joint_state(joint_state(**change), ROBOT)


def test_transforms_round_trip_with_frames():
    T_a_b = se3.from_rpy(np.array([0.1, -0.2, 0.3]), np.array([0.4, 0.5, -0.6]))
    message = transform_from_matrix(T_a_b, "a", "b", 17)
    assert (message.header.frame_id, message.child_frame_id) == ("a", "b")
    np.testing.assert_allclose(matrix_from_transform(message), T_a_b, atol=1e-12)


def test_a_zero_quaternion_is_not_identity():
    message = transform_from_matrix(np.eye(4), "a", "b", 0)
    message.transform.rotation.w = 0.0
    with pytest.raises(ShapeError):
        matrix_from_transform(message)


# -- traces, query points, chunks, trajectories --------------------------------------------------


def some_forecast(points=3, spread=True):
    rng = np.random.default_rng(points)
    query = QueryPoints(
        rng.uniform(0, 100, (points, 2)).astype(np.float32),
        np.ones(points, np.float32),
        np.arange(points, dtype=np.uint32) * 7,
        np.zeros(points, np.uint16),
        np.ones(points, np.uint8),
        640,
        480,
    )
    return TraceForecast(
        rng.normal(size=(points, 10, 3)).astype(np.float32),
        bezier_knots(10),
        3,
        np.full(points, 0.5, np.float32),
        rng.random((points, 10)).astype(np.float32) if spread else None,
        query,
        "put it there",
        "m",
        "camera_optical_frame",
        123456789,
        5,
        0.25,
    )


@pytest.mark.parametrize("spread", [True, False])
@pytest.mark.parametrize("points", [0, 1, 17])
def test_forecasts_round_trip(points, spread):
    forecast = some_forecast(points, spread)
    back = forecast_from_msg(msg_from_forecast(forecast))
    np.testing.assert_array_equal(back.control_points, forecast.control_points)
    np.testing.assert_array_equal(back.knots, forecast.knots)
    np.testing.assert_array_equal(back.query.ids, forecast.query.ids)
    assert (back.spread_m is None) == (not spread) or points == 0
    for name in ("degree", "instruction", "model_id", "frame_id", "stamp_ns", "sequence"):
        assert getattr(back, name) == getattr(forecast, name)


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("control_points", [float("nan")] * 90, "not finite"),
        ("control_points", [0.0] * 89, "control_points has 89"),
        ("knots", [float(k) for k in range(14, 0, -1)], "must not decrease"),
        ("knots", [0.0] * 5, "knots has 5"),
        ("num_control_points", 3, "expected"),
        ("space", 1, "space 1"),
        ("parameterization", 0, "parameterization 0"),
    ],
)
def test_row_02_broken_traces_are_refused(field, value, text):
    message = msg_from_forecast(some_forecast(3))
    setattr(message, field, value)
    with pytest.raises(ShapeError, match=text):
        forecast_from_msg(message)


def test_query_points_round_trip_and_optional_arrays_may_be_empty():
    query = some_forecast(4).query
    message = msg_from_query(query)
    np.testing.assert_array_equal(query_from_msg(message).uv_px, query.uv_px)
    message.depth, message.roles, message.entity_ids = [], [], []
    assert np.isnan(query_from_msg(message).depth_m).all()


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [("u", [1.0], "values of u"), ("u", [1e4] * 4, "outside"), ("ids", [1] * 4, "repeat")],
)
def test_row_48_broken_query_points_are_refused(field, value, text):
    message = msg_from_query(some_forecast(4).query)
    setattr(message, field, value)
    with pytest.raises(RequestError, match=text):
        query_from_msg(message)


def some_chunk():
    return ActionChunk(
        ROBOT.arm_joints,
        np.random.default_rng(0).normal(size=(4, 7)),
        np.full(4, 0.04),
        0.1,
        10**9,
        2 * 10**9,
        3,
        5,
        2,
        "m",
        bytes(range(16)),
    )


def test_chunks_round_trip_in_metres_of_opening():
    chunk = some_chunk()
    message = msg_from_chunk(chunk, ROBOT.gripper)
    assert message.gripper_positions[0] == pytest.approx(0.02)
    back = chunk_from_msg(message, ROBOT.gripper)
    np.testing.assert_array_equal(back.positions_rad, chunk.positions_rad)
    np.testing.assert_allclose(back.gripper_m, chunk.gripper_m)
    assert (back.task_id, back.execute_steps, back.sequence) == (chunk.task_id, 2, 3)


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("action_space", 3, "action space 3"),
        ("values", [0.0] * 5, "5 values"),
        ("gripper_joint_names", ["other"], "other"),
        ("gripper_positions", [0.0], "1 gripper positions"),
    ],
)
def test_row_05_broken_chunks_are_refused(field, value, text):
    message = msg_from_chunk(some_chunk(), ROBOT.gripper)
    setattr(message, field, value)
    with pytest.raises(RequestError, match=text):
        chunk_from_msg(message, ROBOT.gripper)


def test_trajectories_round_trip():
    path = JointTrajectory(("a", "b"), np.array([0.1, 0.2]), np.ones((2, 2)), np.zeros((2, 2)))
    back = trajectory_from_msg(msg_from_trajectory(path))
    np.testing.assert_allclose(back.times_s, path.times_s)
    np.testing.assert_array_equal(back.velocities, path.velocities)
    assert back.accelerations is None


def test_points_of_different_length_are_refused():
    message = msg_from_trajectory(
        JointTrajectory(("a", "b"), np.array([0.1, 0.2]), np.ones((2, 2)))
    )
    message.points[1].positions = [1.0]
    with pytest.raises(TrajectoryError, match="lengths"):
        trajectory_from_msg(message)


def test_error_codes_carry_name_text_and_source():
    message = error_from(ObservationError("too dark"), "/mu0/node")
    assert (message.value, message.message, message.source) == (-21, "too dark", "/mu0/node")
    assert error_code().value == 0
    assert error_from(ZeroDivisionError()).value == -1
