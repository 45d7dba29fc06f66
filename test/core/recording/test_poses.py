# SPDX-License-Identifier: Apache-2.0
"""Where the camera stood: chains of transforms, between two times, and what is not known."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

pytest.importorskip("mcap")
pytest.importorskip("rosbags")
from mu0_core.errors import TransformError
from mu0_core.geometry import se3
from mu0_core.recording.poses import RecordedPoses
from mu0_core.recording.reader import Recording
from mu0_core.recording.writer import RecordingLimits, RecordingWriter

_LINE = "=" * 80
STAMPED = f"""\
std_msgs/Header header
string child_frame_id
geometry_msgs/Transform transform
{_LINE}
MSG: std_msgs/Header
builtin_interfaces/Time stamp
string frame_id
{_LINE}
MSG: builtin_interfaces/Time
int32 sec
uint32 nanosec
{_LINE}
MSG: geometry_msgs/Transform
geometry_msgs/Vector3 translation
geometry_msgs/Quaternion rotation
{_LINE}
MSG: geometry_msgs/Vector3
float64 x
float64 y
float64 z
{_LINE}
MSG: geometry_msgs/Quaternion
float64 x
float64 y
float64 z
float64 w
"""
TF = f"geometry_msgs/TransformStamped[] transforms\n{_LINE}\nMSG: geometry_msgs/TransformStamped\n"


class Cdr:
    """The little of CDR that a transform needs."""

    def __init__(self) -> None:
        self.data = b""

    def put(self, code: str, value: float) -> None:
        size = struct.calcsize(code)
        self.data += b"\0" * (-len(self.data) % size) + struct.pack(f"<{code}", value)

    def text(self, value: str) -> None:
        self.put("I", len(value) + 1)
        self.data += value.encode() + b"\0"


def pose(x: float, yaw_rad: float = 0.0) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3] = Rotation.from_euler("z", yaw_rad).as_matrix()
    T[:3, 3] = (x, 2 * x, 0.5)
    return T


def put_transform(cdr: Cdr, parent: str, child: str, T: np.ndarray, sec: int) -> None:
    cdr.put("i", sec)
    cdr.put("I", 0)
    cdr.text(parent)
    cdr.text(child)
    for value in (*T[:3, 3], *Rotation.from_matrix(T[:3, :3]).as_quat()):
        cdr.put("d", value)


def recorded(path: Path, said: list[tuple[str, str, str, np.ndarray, int]]) -> Recording:
    """Record (topic, parent, child, transform, stamp in s), each logged a second later."""
    made = RecordingWriter(path, RecordingLimits(min_free_gb=0.0))
    for k, (topic, parent, child, T, sec) in enumerate(said, start=1):
        cdr, kind, text = Cdr(), "geometry_msgs/msg/TransformStamped", STAMPED
        if topic != "/mu0/camera_pose":
            kind, text = "tf2_msgs/msg/TFMessage", TF + STAMPED
            cdr.put("I", 1)
        put_transform(cdr, parent, child, T, sec)
        made.write(made.channel(topic, kind, text), b"\0\1\0\0" + cdr.data, k, k)
    made.close()
    return Recording(path)


def test_a_chain_is_followed_and_between_two_times_it_is_interpolated(tmp_path: Path) -> None:
    recording = recorded(
        tmp_path / "a.mcap",
        [
            ("/tf_static", "world", "base", pose(1.0, 0.3), 0),
            ("/tf_static", "hand", "camera", pose(0.1), 0),
            ("/tf", "base", "hand", pose(2.0), 10),
            ("/tf", "base", "hand", pose(4.0, 1.0), 20),
        ],
    )
    poses = RecordedPoses(recording, {})
    for sec, hand in ((10.0, pose(2.0)), (20.0, pose(4.0, 1.0)), (15.0, pose(3.0, 0.5))):
        found = poses.lookup("base", "camera", round(sec * 1e9), 99)
        np.testing.assert_allclose(found, hand @ pose(0.1), atol=1e-12)
        from_world = poses.lookup("world", "camera", round(sec * 1e9), 99)
        np.testing.assert_allclose(from_world, pose(1.0, 0.3) @ found, atol=1e-12)
        back = poses.lookup("camera", "base", round(sec * 1e9), 99)
        np.testing.assert_allclose(back, se3.inverse(found), atol=1e-12)


@pytest.mark.parametrize("sec", [9.0, 21.0])
def test_before_the_first_and_after_the_last_there_is_no_answer(
    tmp_path: Path, sec: float
) -> None:
    said = [("/tf", "base", "camera", pose(float(k)), k) for k in (10, 20)]
    poses = RecordedPoses(recorded(tmp_path / "a.mcap", said), {})
    with pytest.raises(TransformError, match="does not reach"):
        poses.lookup("base", "camera", round(sec * 1e9), 99)


def test_of_a_camera_that_was_moved_the_pose_of_that_time_counts(tmp_path: Path) -> None:
    said = [("/mu0/camera_pose", "base", "camera", pose(float(k)), 0) for k in (1, 2)]
    poses = RecordedPoses(recorded(tmp_path / "a.mcap", said), {})
    np.testing.assert_allclose(poses.lookup("base", "camera", 0, 1), pose(1.0), atol=1e-12)
    np.testing.assert_allclose(poses.lookup("base", "camera", 0, 2), pose(2.0), atol=1e-12)


def test_trees_that_do_not_meet_and_loops_are_named(tmp_path: Path) -> None:
    apart = [("/tf_static", "a", "base", pose(1), 0), ("/tf_static", "b", "camera", pose(1), 0)]
    poses = RecordedPoses(recorded(tmp_path / "a.mcap", apart), {})
    with pytest.raises(TransformError, match="'camera' hangs under 'b', 'base' under 'a'"):
        poses.lookup("base", "camera", 0, 99)
    ring = [("/tf_static", "b", "a", pose(1), 0), ("/tf_static", "a", "b", pose(1), 0)]
    with pytest.raises(TransformError, match="has a loop"):
        RecordedPoses(recorded(tmp_path / "b.mcap", ring), {}).lookup("a", "b", 0, 99)


def test_parameters_are_a_source_and_nothing_is_guessed(tmp_path: Path) -> None:
    recording = recorded(tmp_path / "a.mcap", [])
    given = {"transform_source": "static", "camera_frame": "camera"}
    given["camera_pose"] = [1.0, 2.0, 0.5, 0.0, 0.0, 0.0, 1.0]
    found = RecordedPoses(recording, given).lookup("base", "camera", 0, 0)
    np.testing.assert_allclose(found, pose(1.0), atol=1e-12)
    with pytest.raises(TransformError, match="no pose of 'camera' in 'base', and no tf"):
        RecordedPoses(recording, {}).lookup("base", "camera", 0, 99)
