# SPDX-License-Identifier: Apache-2.0
"""Where the camera stood at a recorded time: from its topic, from tf, or from parameters.

Between two transforms of tf it is interpolated as tf2 does it (straight line and slerp); before
the first and after the last there is no answer.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from mu0_core.errors import DataError, TransformError
from mu0_core.geometry import se3
from mu0_core.recording.decode import time_ns, transform_of
from mu0_core.recording.reader import Recording

_TF, _TF_STATIC = "/tf", "/tf_static"


class RecordedPoses:
    """Answers ``T_base_camera`` from a recording.

    Args:
        recording: where camera_pose and tf are read from.
        parameters: of the action expert; with ``transform_source: static`` they have the pose.
    """

    def __init__(self, recording: Recording, parameters: dict[str, Any]) -> None:
        self._given: tuple[str, np.ndarray] | None = None
        self._told: dict[tuple[str, str], list[tuple[int, np.ndarray]]] = {}
        self._links: dict[str, tuple[str, list[tuple[int, np.ndarray]]]] = {}
        if parameters.get("transform_source") == "static":
            pose = np.array(parameters["camera_pose"], float)
            self._given = parameters["camera_frame"], se3.from_quat_xyzw(pose[:3], pose[3:])
        self._read(recording)

    def _read(self, recording: Recording) -> None:
        try:
            pose_topic = recording.topic("camera_pose")
        except DataError:
            pose_topic = ""
        for recorded in recording.messages({pose_topic, _TF, _TF_STATIC}):
            message = recording.decode(recorded)
            if recorded.topic == pose_topic:
                key = message.header.frame_id, message.child_frame_id
                self._told.setdefault(key, []).append((recorded.log_ns, transform_of(message)))
                continue
            for transform in message.transforms:
                is_static = recorded.topic == _TF_STATIC
                stamp_ns = -1 if is_static else time_ns(transform.header.stamp)
                link = self._links.setdefault(
                    transform.child_frame_id, (transform.header.frame_id, [])
                )
                link[1].append((stamp_ns, transform_of(transform)))
        for _, stamped in self._links.values():
            stamped.sort(key=lambda entry: entry[0])

    def lookup(self, base: str, camera: str, stamp_ns: int, log_ns: int) -> np.ndarray:
        """Return T_base_camera (4, 4).

        Args:
            base, camera: frames.
            stamp_ns: of the image, for tf.
            log_ns: when it was asked, for camera_pose, whose newest value counts.

        Raises:
            TransformError: it is not known at that time.
        """
        if self._given is not None and self._given[0] == camera:
            return self._given[1]
        told = [pose for t, pose in self._told.get((base, camera), []) if t <= log_ns]
        if told:
            return told[-1]
        if not self._links:
            raise TransformError(f"the recording has no pose of {camera!r} in {base!r}, and no tf")
        T_root_camera, camera_root = self._to_root(camera, stamp_ns)
        T_root_base, base_root = self._to_root(base, stamp_ns)
        if camera_root != base_root:
            raise TransformError(
                f"recorded tf: {camera!r} hangs under {camera_root!r}, {base!r} under "
                f"{base_root!r}"
            )
        return se3.inverse(T_root_base) @ T_root_camera

    def _to_root(self, frame: str, stamp_ns: int) -> tuple[np.ndarray, str]:
        T_root_frame = np.eye(4)
        for _ in range(len(self._links) + 1):
            if frame not in self._links:
                return T_root_frame, frame
            parent, stamped = self._links[frame]
            T_root_frame = _at(stamped, stamp_ns, frame) @ T_root_frame
            frame = parent
        raise TransformError(f"recorded tf has a loop through {frame!r}")


def _at(stamped: list[tuple[int, np.ndarray]], stamp_ns: int, frame: str) -> np.ndarray:
    """Return the transform at a time; a static one holds always."""
    times = [entry[0] for entry in stamped]
    if times[-1] < 0:
        return stamped[-1][1]
    after = bisect_left(times, stamp_ns)
    if after < len(times) and times[after] == stamp_ns:
        return stamped[after][1]
    if after in (0, len(times)):
        raise TransformError(f"recorded tf of {frame!r} does not reach {stamp_ns} ns")
    (t0, before), (t1, later) = stamped[after - 1], stamped[after]
    share = (stamp_ns - t0) / (t1 - t0)
    turned = Slerp([0.0, 1.0], Rotation.from_matrix([before[:3, :3], later[:3, :3]]))(share)
    between = np.eye(4)
    between[:3, :3] = turned.as_matrix()
    between[:3, 3] = (1 - share) * before[:3, 3] + share * later[:3, 3]
    return between
