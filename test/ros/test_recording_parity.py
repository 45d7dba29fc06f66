# SPDX-License-Identifier: Apache-2.0
"""What the real models said, recorded and read without ROS: the same values, the same answers."""

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mcap")
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.serialization import serialize_message
from sensor_msgs.msg import JointState
from unique_identifier_msgs.msg import UUID

from mu0_core.inference import runtime
from mu0_core.inference.runtime import DEFAULT_ACTION_EXPERT
from mu0_core.observation.rules import CameraRules
from mu0_core.recording import decode
from mu0_core.recording.definitions import definition
from mu0_core.recording.reader import Recording
from mu0_core.recording.replay import Models, replay_all
from mu0_core.recording.writer import RecordingLimits, RecordingWriter
from mu0_core.simulation.world import TableWorld
from mu0_core.types import RgbdFrame
from mu0_ros.conversions.action_chunk import chunk_from_msg, msg_from_chunk
from mu0_ros.conversions.camera import info_from_intrinsics
from mu0_ros.conversions.image import image_from_depth_m, image_from_rgb
from mu0_ros.conversions.joint_state import proprioception_from_joint_state
from mu0_ros.conversions.stamp import stamp_from_ns
from mu0_ros.conversions.trace import forecast_from_msg, msg_from_forecast
from mu0_ros.conversions.transform import matrix_from_transform, transform_from_matrix
from mu0_ros.diagnostics import SeedLog

TASK = UUID(uuid=np.arange(16, dtype=np.uint8))


@pytest.fixture(scope="module")
def stack():
    world = TableWorld()
    yield (
        Models(
            runtime.make_selector(),
            runtime.load_forecaster(),
            runtime.load_action_expert(DEFAULT_ACTION_EXPERT, world.robot),
            world.robot,
        ),
        world,
    )
    world.close()


def headed(message, stamp_ns, frame_id=""):
    message.header.stamp, message.header.frame_id = stamp_from_ns(stamp_ns), frame_id
    return message


def joint_state(state, robot):
    message = JointState(name=[*robot.arm_joints[::-1], robot.gripper.joint])
    finger = state.gripper_m / robot.gripper.opening_per_joint_m
    message.position = [*state.positions_rad[::-1].tolist(), finger]
    return headed(message, state.stamp_ns)


def said_by(stack, seed):
    """Return (topic, message) of one round, as the nodes would have said it."""
    models, world = stack
    world.reset(50_001)
    frame, state = world.render(), world.proprioception()
    query = models.selector.select(frame, 32)
    sentence = world.instructions()["press_button"]
    forecast = models.forecaster.forecast(frame, sentence, query, seed=seed, sequence=7)
    traces = msg_from_forecast(forecast, TASK)
    start_ns = frame.stamp_ns + 40_000_000
    chunk = models.expert.propose(
        forecast_from_msg(traces),
        proprioception_from_joint_state(joint_state(state, world.robot), world.robot),
        world.T_base_camera,
        start_ns=start_ns,
        sequence=3,
        seed=seed,
    )
    facts = {}
    SeedLog(facts).note(7, seed)
    told = DiagnosticStatus(name="/mu0/trace_forecaster")
    told.values = [KeyValue(key=k, value=v) for k, v in facts.items()]
    told_too = DiagnosticStatus(name="/mu0/action_expert")
    told_too.values = [KeyValue(key="seeds", value=f"2:1 3:{seed}")]
    base, camera = world.robot.base_frame, frame.frame_id
    chunk_message = msg_from_chunk(chunk, world.robot.gripper)
    chunk_message.task_id = TASK
    return [
        ("camera_pose", transform_from_matrix(world.T_base_camera, base, camera, 0)),
        ("color/camera_info", headed(info_from_intrinsics(frame.intrinsics), 0, camera)),
        ("color/image_raw", headed(image_from_rgb(frame.rgb), frame.stamp_ns, camera)),
        ("depth/image_raw", headed(image_from_depth_m(frame.depth_m), frame.stamp_ns, camera)),
        ("joint_states", joint_state(state, world.robot)),
        ("traces", traces),
        ("action_chunk", chunk_message),
        ("/diagnostics", DiagnosticArray(status=[told, told_too])),
    ]


def recorded(path, messages):
    made = RecordingWriter(path, RecordingLimits(min_free_gb=0.0))
    for k, (name, message) in enumerate(messages):
        package, _, kind = type(message).__module__.split(".")[0], "msg", type(message).__name__
        type_name = f"{package}/msg/{kind}"
        topic = name if name.startswith("/") else f"/mu0/{name}"
        channel = made.channel(topic, type_name, definition(type_name))
        made.write(channel, serialize_message(message), k, k)
    made.close()
    return Recording(path)


@pytest.mark.parametrize("seed", [3, 4021])
def test_row_58_real_models_say_the_same_offline(stack, tmp_path, seed):
    recording = recorded(tmp_path / "a.mcap", said_by(stack, seed))
    result = replay_all(recording, stack[0])
    assert [c.stage for c in result.compared] == ["forecast", "chunk"], result
    assert [c.difference for c in result.compared] == [0.0, 0.0], result


def test_row_58_without_its_seed_a_forecast_differs(stack, tmp_path):
    messages = [m for m in said_by(stack, 4021) if m[0] != "/diagnostics"]
    forecast, chunk = replay_all(recorded(tmp_path / "a.mcap", messages), stack[0]).comparisons
    assert forecast.difference > 0.0 and chunk.difference > 0.0


@pytest.mark.parametrize(
    "lost, stage, why",
    [
        ("depth/image_raw", "forecast", "OBSERVATION_STALE: no colour, depth and camera_info"),
        ("camera_pose", "chunk", "TRANSFORM_UNAVAILABLE: the recording has no pose"),
        ("joint_states", "chunk", "OBSERVATION_STALE: no joint states before"),
    ],
)
def test_what_was_not_recorded_is_not_replayed_and_named(stack, tmp_path, lost, stage, why):
    messages = said_by(stack, 3)
    later = [(n, m) for n, m in messages if n == lost]
    for _, message in later:
        if lost != "camera_pose":
            message.header.stamp.sec += 1000
        else:
            message.child_frame_id = "elsewhere"
    result = replay_all(recorded(tmp_path / "a.mcap", messages), stack[0])
    (lost_one,) = [c for c in result.comparisons if c.difference is None]
    assert lost_one.stage == stage and why in lost_one.note, lost_one
    assert f"{stage:<8}" in lost_one.line() and "not replayed" in lost_one.line()
    assert len(result.compared) == 1


def test_decoding_without_ros_says_what_the_conversions_say(stack, tmp_path):
    models, world = stack
    messages = dict(said_by(stack, 3))
    recording = recorded(tmp_path / "a.mcap", messages.items())
    again = {
        name: recording.decode(next(recording.messages({recording.topic(name)})))
        for name in messages
    }
    gripper = models.robot.gripper
    pairs = [
        (decode.forecast_of(again["traces"]), forecast_from_msg(messages["traces"])),
        (
            decode.chunk_of(again["action_chunk"], gripper),
            chunk_from_msg(messages["action_chunk"], gripper),
        ),
        (
            decode.proprioception_of(again["joint_states"], models.robot),
            proprioception_from_joint_state(messages["joint_states"], models.robot),
        ),
    ]
    for one, other in pairs:
        for name in type(one).__slots__:
            if name != "query":
                np.testing.assert_array_equal(getattr(one, name), getattr(other, name), name)
    np.testing.assert_array_equal(
        decode.transform_of(again["camera_pose"]), matrix_from_transform(messages["camera_pose"])
    )
    frame = decode.frame_of(
        again["color/image_raw"],
        again["depth/image_raw"],
        again["color/camera_info"],
        CameraRules(),
    )
    assert isinstance(frame, RgbdFrame)
    np.testing.assert_array_equal(frame.rgb, world.render().rgb)
