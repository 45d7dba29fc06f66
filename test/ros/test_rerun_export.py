# SPDX-License-Identifier: Apache-2.0
"""A recording for the Rerun viewer holds what was recorded, where it belongs in space."""

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("mcap")
pytest.importorskip("rerun")
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped
from mu0.msg import ActionChunk
from rclpy.serialization import serialize_message
from rerun.recording import load_recording
from sensor_msgs.msg import JointState

from mu0_core.errors import ConfigError, DataError
from mu0_core.recording.definitions import definition
from mu0_core.recording.reader import Recording
from mu0_core.recording.rerun_export import CAMERA, IMAGE, export
from mu0_core.recording.writer import RecordingLimits, RecordingWriter
from mu0_core.robot.description import load_robot
from mu0_core.robot.kinematics import Kinematics
from mu0_core.testing.fakes import FakeExpert, FakeForecaster, FakeSelector
from mu0_core.types import Proprioception, RgbdFrame
from mu0_ros.conversions.action_chunk import msg_from_chunk
from mu0_ros.conversions.camera import info_from_intrinsics
from mu0_ros.conversions.image import image_from_depth_m, image_from_rgb
from mu0_ros.conversions.trace import msg_from_forecast
from mu0_ros.conversions.transform import transform_from_matrix
from mu0_ros.flat_table import CAMERA_FRAME, INTRINSICS, T_BASE_CAMERA, flat_table

ROBOT = load_robot("fr3")


def messages() -> list[tuple[str, object]]:
    rgb, depth_m = flat_table()
    frame = RgbdFrame(rgb, depth_m, INTRINSICS, CAMERA_FRAME, 10**9)
    query = FakeSelector().select(frame, 9)
    forecast = FakeForecaster().forecast(frame, "push the block", query, sequence=1)
    state = Proprioception(ROBOT.home_rad, None, 0.04, 10**9)
    chunk = FakeExpert(ROBOT).propose(forecast, state, T_BASE_CAMERA, start_ns=10**9, sequence=1)
    joints = JointState(name=[*ROBOT.arm_joints], position=ROBOT.home_rad.tolist())
    colour, depth = image_from_rgb(rgb), image_from_depth_m(depth_m)
    for image in (colour, depth):
        image.header.stamp, image.header.frame_id = Time(sec=1), CAMERA_FRAME
    pose = transform_from_matrix(T_BASE_CAMERA, ROBOT.base_frame, CAMERA_FRAME, 0)
    return [
        ("camera_pose", pose),
        ("color/camera_info", info_from_intrinsics(INTRINSICS)),
        ("color/image_raw", colour),
        ("depth/image_raw", depth),
        ("traces", msg_from_forecast(forecast)),
        ("action_chunk", msg_from_chunk(chunk, ROBOT.gripper)),
        ("joint_states", joints),
    ]


def recorded(path, said, robot="fr3") -> Recording:
    made = RecordingWriter(path, RecordingLimits(min_free_gb=0.0))
    if robot:
        made.note("mu0", {"robot": robot})
    for k, (name, message) in enumerate(said, start=1):
        kind = f"{type(message).__module__.split('.')[0]}/msg/{type(message).__name__}"
        channel = made.channel(f"/mu0/{name}", kind, definition(kind))
        made.write(channel, serialize_message(message), k * 10**9, k * 10**9)
    made.close()
    return Recording(path)


def column(chunks, path: str, name: str) -> np.ndarray:
    """Return the one value of a component that an entity has."""
    batches = [c.to_record_batch() for c in chunks if c.entity_path == f"/{path}"]
    values = [v for b in batches if name in b.schema.names for v in b.column(name).to_pylist()]
    (value,) = [v for v in values if v is not None]
    return np.array(value)


def test_what_was_recorded_is_there_and_where_it_belongs(tmp_path):
    recording = recorded(tmp_path / "a.mcap", messages())
    counts = export(recording, tmp_path / "out" / "a.rrd")
    assert counts == {
        "cameras": 1,
        "images": 1,
        "forecasts": 1,
        "depth images": 1,
        "chunks": 1,
        "joint states": 1,
    }
    chunks = list(load_recording(tmp_path / "out" / "a.rrd").chunks())
    paths = {chunk.entity_path.strip("/") for chunk in chunks}
    assert {
        CAMERA,
        IMAGE,
        f"{IMAGE}/depth",
        f"{CAMERA}/traces",
        "base/chunk",
        f"joints/{ROBOT.arm_joints[0]}",
    } <= paths
    strips = column(chunks, f"{CAMERA}/traces", "LineStrips3D:strips")
    assert strips.shape == (9, 33, 3)
    np.testing.assert_allclose(strips[:, -1, 0] - strips[:, 0, 0], 0.1, atol=1e-6)
    tips = column(chunks, "base/chunk", "LineStrips3D:strips")[0]
    home = Kinematics(ROBOT).tip(ROBOT.home_rad)[:3, 3]
    assert np.linalg.norm(tips[0] - home) < 0.03 and len(tips) == 16


def test_what_is_missing_is_left_out(tmp_path):
    said = [m for m in messages() if m[0] in ("traces", "joint_states")]
    counts = export(recorded(tmp_path / "a.mcap", said), tmp_path / "a.rrd")
    assert counts == {"forecasts": 1, "joint states": 1}


def test_nothing_to_show_and_no_robot_are_told(tmp_path):
    only = [("camera_pose", TransformStamped())]
    only[0][1].transform.rotation.w = 1.0
    with pytest.raises(DataError, match="nothing in it that can be shown"):
        export(recorded(tmp_path / "a.mcap", only), tmp_path / "a.rrd")
    with pytest.raises(ConfigError, match="names no robot: say --robot"):
        export(recorded(tmp_path / "b.mcap", only, robot=""), tmp_path / "b.rrd")


def test_a_chunk_of_another_arm_is_not_drawn(tmp_path):
    said = [m for m in messages() if m[0] in ("traces", "action_chunk")]
    said[1][1].joint_names = [f"other_{k}" for k in range(7)]
    assert isinstance(said[1][1], ActionChunk)
    counts = export(recorded(tmp_path / "a.mcap", said), tmp_path / "a.rrd")
    assert counts == {"forecasts": 1}
