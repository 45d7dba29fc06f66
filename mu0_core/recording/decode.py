# SPDX-License-Identifier: Apache-2.0
"""Recorded messages as the values that cross our boundaries, without ROS.

The messages are anything with the fields of the ROS types. `mu0_ros.conversions` does the same for
live messages; a test holds the two against each other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mu0_core.errors import DataError, ObservationError
from mu0_core.geometry import se3
from mu0_core.observation.camera_checks import CameraModel, checked
from mu0_core.observation.depth_checks import check_same_raster
from mu0_core.observation.image_raster import depth_m_from_image, rgb_from_image
from mu0_core.observation.rules import CameraRules
from mu0_core.robot.description import Gripper, RobotDescription
from mu0_core.types import ActionChunk, Proprioception, QueryPoints, RgbdFrame, TraceForecast

_SECOND_NS = 1_000_000_000


def time_ns(stamp: Any) -> int:
    """Return the nanoseconds of a Time or Duration."""
    return int(stamp.sec) * _SECOND_NS + int(stamp.nanosec)


def frame_of(colour: Any, depth: Any, info: Any, rules: CameraRules) -> RgbdFrame:
    """Return the frame of a pair of sensor_msgs/Image and a CameraInfo.

    Raises:
        ObservationError: they do not fit each other or cannot be used.
    """
    rgb, depth_m = rgb_from_image(colour), depth_m_from_image(depth)
    model = CameraModel(
        int(info.width),
        int(info.height),
        tuple(map(float, info.k)),
        tuple(map(float, info.d)),
        info.distortion_model,
        tuple(map(float, info.p)),
        (int(info.binning_x), int(info.binning_y)),
    )
    camera = checked(model, rules.rectified)
    check_same_raster(
        (colour.header.frame_id, *rgb.shape[1::-1]),
        (depth.header.frame_id, *depth_m.shape[1::-1]),
        camera,
    )
    stamp_ns = time_ns(colour.header.stamp)
    return RgbdFrame(rgb, rules.corrected(depth_m), camera, colour.header.frame_id, stamp_ns)


def query_of(message: Any) -> QueryPoints:
    """Return the points of mu0/msg/QueryPoints; empty optional arrays get their defaults."""
    n = len(message.ids)

    def column(values: Any, default: float, dtype: type) -> np.ndarray:
        return np.asarray(values if len(values) else np.full(n, default), dtype=dtype)

    return QueryPoints(
        np.stack([message.u, message.v], axis=-1).astype(np.float32).reshape(n, 2),
        column(message.depth, np.nan, np.float32),
        np.asarray(message.ids, np.uint32),
        column(message.entity_ids, 0, np.uint16),
        column(message.roles, 0, np.uint8),
        int(message.image_width),
        int(message.image_height),
    )


def forecast_of(message: Any) -> TraceForecast:
    """Return the forecast of mu0/msg/TraceArray; pixels are not in it and come as NaN.

    Raises:
        ShapeError: lengths disagree.
    """
    n, d = len(message.ids), int(message.num_control_points)
    control = np.array(message.control_points, np.float32).reshape(n, d, 3)
    spread = message.control_point_stddev
    query = QueryPoints(
        np.full((n, 2), np.nan, np.float32),
        control[:, 0, 2].copy(),
        np.asarray(message.ids, np.uint32),
        np.asarray(message.entity_ids, np.uint16),
        np.asarray(message.roles, np.uint8),
        0,
        0,
    )
    return TraceForecast(
        control_points=control,
        knots=np.array(message.knots, np.float64),
        degree=int(message.degree),
        valid_until=np.array(message.valid_until, np.float32),
        spread_m=np.array(spread, np.float32).reshape(n, d) if len(spread) else None,
        query=query,
        instruction=message.instruction,
        model_id=message.model_id,
        frame_id=message.header.frame_id,
        stamp_ns=time_ns(message.header.stamp),
        sequence=int(message.sequence),
        inference_s=time_ns(message.inference_time) * 1e-9,
    )


def chunk_of(message: Any, gripper: Gripper) -> ActionChunk:
    """Return the chunk of mu0/msg/ActionChunk.

    Raises:
        DataError: lengths disagree.
    """
    steps, dims = int(message.num_steps), int(message.num_dims)
    values, opening = np.array(message.values, np.float64), None
    if values.size != steps * dims:
        raise DataError(f"chunk has {values.size} values, expected {steps} x {dims}")
    if len(message.gripper_positions):
        opening = np.array(message.gripper_positions, np.float64) * gripper.opening_per_joint_m
    return ActionChunk(
        joint_names=tuple(message.joint_names),
        positions_rad=values.reshape(steps, dims),
        gripper_m=opening,
        step_period_s=time_ns(message.step_period) * 1e-9,
        observation_ns=time_ns(message.observation_stamp),
        start_ns=time_ns(message.header.stamp),
        sequence=int(message.sequence),
        trace_sequence=int(message.trace_sequence),
        execute_steps=int(message.execute_steps),
        model_id=message.model_id,
        task_id=task_key(message),
    )


def task_key(message: Any) -> bytes:
    """Return the 16 bytes of a message's task id."""
    return bytes(bytearray(message.task_id.uuid))


def proprioception_of(message: Any, robot: RobotDescription) -> Proprioception:
    """Return what the arm of a robot said in a sensor_msgs/JointState, by name.

    Raises:
        ObservationError: a joint is missing or not finite.
    """
    names = list(message.name)
    wanted = [*robot.arm_joints, robot.gripper.joint]
    if missing := [name for name in wanted if name not in names]:
        raise ObservationError(f"joint_states lacks {missing}")
    index = [names.index(name) for name in wanted]
    positions = np.asarray(message.position, np.float64)[index]
    if not np.all(np.isfinite(positions)):
        raise ObservationError("joint_states: positions are not finite")
    velocities = None
    if len(message.velocity) == len(names):
        velocities = np.asarray(message.velocity, np.float64)[index[:-1]]
    return Proprioception(
        positions[:-1],
        velocities,
        float(positions[-1] * robot.gripper.opening_per_joint_m),
        time_ns(message.header.stamp),
    )


def transform_of(message: Any) -> np.ndarray:
    """Return T_frame_child (4, 4) of a geometry_msgs/TransformStamped."""
    t, q = message.transform.translation, message.transform.rotation
    return se3.from_quat_xyzw(np.array([t.x, t.y, t.z]), np.array([q.x, q.y, q.z, q.w]))
