# SPDX-License-Identifier: Apache-2.0
"""The observations that a recording has for a forecast or a chunk: what the nodes saw then."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection
from typing import Any

from mu0_core.errors import StaleObservationError
from mu0_core.observation.rules import CameraRules
from mu0_core.recording.decode import frame_of, proprioception_of, time_ns
from mu0_core.recording.reader import Recorded, Recording
from mu0_core.robot.description import RobotDescription
from mu0_core.types import Proprioception, RgbdFrame

_SLOP_S = 0.02


class RecordedImages:
    """The pairs of colour and depth that belong to some stamps.

    Args:
        recording: where they come from; gone through twice, so that few images are kept.
        stamps_ns: of the colour images that will be asked for.
        parameters: of the forecaster: how far apart a pair may be, how depth is corrected.
    """

    def __init__(
        self, recording: Recording, stamps_ns: Collection[int], parameters: dict[str, Any]
    ) -> None:
        self._recording = recording
        self._rules = CameraRules(
            depth_scale=parameters.get("depth_scale", 1.0),
            depth_offset_m=parameters.get("depth_offset_m", 0.0),
            rectified=parameters.get("rectified", False),
            check_registration=False,
        )
        slop_ns = round(parameters.get("sync_slop_s", _SLOP_S) * 1e9)
        names = {name: recording.topic(name) for name in ("color/image_raw", "depth/image_raw")}
        info = recording.topic("color/camera_info")
        self._infos = list(recording.messages({info}))
        times: dict[str, list[int]] = {topic: [] for topic in names.values()}
        for message in recording.messages(times):
            times[message.topic].append(message.header_ns())
        colour, depth = names["color/image_raw"], names["depth/image_raw"]
        self._pairs: dict[int, int] = {}
        for stamp_ns in sorted(set(stamps_ns) & set(times[colour])):
            nearest = min(times[depth], key=lambda t: abs(t - stamp_ns), default=None)
            if nearest is not None and abs(nearest - stamp_ns) <= slop_ns:
                self._pairs[stamp_ns] = nearest
        self._colours = self._kept(colour, set(self._pairs))
        self._depths = self._kept(depth, set(self._pairs.values()))

    def _kept(self, topic: str, stamps_ns: set[int]) -> dict[int, Recorded]:
        messages = self._recording.messages({topic})
        return {m.header_ns(): m for m in messages if m.header_ns() in stamps_ns}

    def frame(self, stamp_ns: int) -> RgbdFrame:
        """Return the frame of a stamp.

        Raises:
            StaleObservationError: the recording lacks its images or its camera_info.
            ObservationError: they cannot be used.
        """
        if stamp_ns not in self._pairs or not self._infos:
            raise StaleObservationError(
                f"no colour, depth and camera_info of stamp {stamp_ns} ns in the recording"
            )
        colour = self._colours[stamp_ns]
        before = [info for info in self._infos if info.log_ns <= colour.log_ns]
        messages = colour, self._depths[self._pairs[stamp_ns]], (before or self._infos[:1])[-1]
        return frame_of(*map(self._recording.decode, messages), self._rules)


class RecordedStates:
    """Joint states by their stamps."""

    def __init__(self, recording: Recording, robot: RobotDescription) -> None:
        topic = recording.topic("joint_states")
        messages = [recording.decode(m) for m in recording.messages({topic})]
        stamped = sorted(((time_ns(m.header.stamp), m) for m in messages), key=lambda e: e[0])
        self._times, self._messages = [t for t, _ in stamped], [m for _, m in stamped]
        self._robot = robot

    def before(self, time_ns: int) -> Proprioception:
        """Return the newest state that is not later than a time.

        Raises:
            StaleObservationError: there is none.
            ObservationError: it lacks joints.
        """
        index = bisect_right(self._times, time_ns) - 1
        if index < 0:
            raise StaleObservationError(f"no joint states before {time_ns} ns in the recording")
        return proprioception_of(self._messages[index], self._robot)
