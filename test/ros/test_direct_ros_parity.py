# SPDX-License-Identifier: Apache-2.0
"""The direct loop and the nodes give the same actions from the same observations.

Everything that the nodes put between camera and chunk (images, camera info, traces, joint states,
the camera's pose) goes over its message here and must change nothing.
"""

import numpy as np
import pytest

pytest.importorskip("rclpy")
from sensor_msgs.msg import JointState

from mu0_core.inference import runtime
from mu0_core.observation.image_raster import depth_m_from_image, rgb_from_image
from mu0_core.simulation.world import TableWorld
from mu0_core.types import RgbdFrame
from mu0_ros.conversions.action_chunk import chunk_from_msg, msg_from_chunk
from mu0_ros.conversions.camera import info_from_intrinsics, intrinsics_from_info
from mu0_ros.conversions.image import image_from_depth_m, image_from_rgb
from mu0_ros.conversions.joint_state import proprioception_from_joint_state
from mu0_ros.conversions.stamp import stamp_from_ns
from mu0_ros.conversions.trace import forecast_from_msg, msg_from_forecast
from mu0_ros.conversions.transform import (
    matrix_from_transform,
    transform_from_matrix,
)


@pytest.fixture(scope="module")
def stack():
    world = TableWorld()
    yield (
        world,
        runtime.make_selector(),
        runtime.load_forecaster(),
        runtime.load_action_expert(runtime.DEFAULT_ACTION_EXPERT, world.robot),
    )
    world.close()


@pytest.mark.parametrize("seed", [50_001, 50_002])
def test_messages_change_no_action(stack, seed):
    world, selector, forecaster, expert = stack
    world.reset(seed)
    instruction = world.instructions()["press_button"]
    frame, state, T_base_camera = world.render(), world.proprioception(), world.T_base_camera

    direct_forecast = forecaster.forecast(frame, instruction, selector.select(frame, 32), seed=3)
    direct = expert.propose(direct_forecast, state, T_base_camera, start_ns=0, seed=3)

    over = RgbdFrame(
        rgb_from_image(image_from_rgb(frame.rgb)),
        depth_m_from_image(image_from_depth_m(frame.depth_m)),
        intrinsics_from_info(info_from_intrinsics(frame.intrinsics)),
        frame.frame_id,
        frame.stamp_ns,
    )
    joints = JointState(name=[*world.robot.arm_joints, world.robot.gripper.joint])
    finger = state.gripper_m / world.robot.gripper.opening_per_joint_m
    joints.position = [*state.positions_rad.tolist(), finger]
    joints.header.stamp = stamp_from_ns(state.stamp_ns)
    pose = transform_from_matrix(T_base_camera, "fr3_link0", frame.frame_id, frame.stamp_ns)
    forecast = forecaster.forecast(over, instruction, selector.select(over, 32), seed=3)
    proposed = expert.propose(
        forecast_from_msg(msg_from_forecast(forecast)),
        proprioception_from_joint_state(joints, world.robot),
        matrix_from_transform(pose),
        start_ns=0,
        seed=3,
    )
    received = chunk_from_msg(msg_from_chunk(proposed, world.robot.gripper), world.robot.gripper)
    np.testing.assert_allclose(received.positions_rad, direct.positions_rad, atol=2e-4)
    np.testing.assert_allclose(received.gripper_m, direct.gripper_m, atol=1e-9)


def test_row_58_the_same_observation_twice_gives_the_same_bits(stack):
    world, selector, forecaster, expert = stack
    world.reset(50_002)
    sentence, frame, state = (
        world.instructions()["press_button"],
        world.render(),
        world.proprioception(),
    )
    made = []
    for _ in range(2):
        query = selector.select(frame, 32)
        forecast = forecaster.forecast(frame, sentence, query, seed=3)
        chunk = expert.propose(forecast, state, world.T_base_camera, start_ns=0, seed=3)
        made.append(
            (query.uv_px, forecast.control_points, forecast.valid_until)
            + (chunk.positions_rad, chunk.gripper_m)
        )
    for one, other in zip(*made, strict=True):
        np.testing.assert_array_equal(one, other)


def test_another_sentence_gives_another_forecast(stack):
    world, selector, forecaster, _ = stack
    world.reset(50_001)
    frame = world.render()
    query = selector.select(frame, 32)
    one, other = (
        forecaster.forecast(frame, world.instructions()[task], query, seed=3).control_points
        for task in ("press_button", "cube_in_bowl")
    )
    assert np.abs(one - other).max() > 0.01
