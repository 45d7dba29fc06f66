# SPDX-License-Identifier: Apache-2.0
"""A recording for the Rerun viewer: pictures, traces in space, tip paths of chunks, joints.

Rerun reads MCAP itself, but knows neither our messages nor what they mean in space.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from mu0_core.errors import ConfigError, DataError, Mu0Error, TransformError
from mu0_core.observation.image_raster import rgb_from_image
from mu0_core.recording.decode import chunk_of, forecast_of
from mu0_core.recording.observations import RecordedImages
from mu0_core.recording.poses import RecordedPoses
from mu0_core.recording.reader import Recorded, Recording
from mu0_core.robot.description import RobotDescription, load_robot
from mu0_core.robot.kinematics import Kinematics
from mu0_core.spline.basis import design_matrix
from mu0_core.types import TraceForecast

CAMERA, IMAGE = "base/camera", "base/camera/image"
_TIMELINE = "recorded"
_SAMPLES = 33
_JPEG_QUALITY = 80
_BLUE, _RED = np.array([40, 60, 255]), np.array([255, 60, 40])


def export(recording: Recording, out: Path, robot: str = "") -> dict[str, int]:
    """Write an .rrd file; return what was written -> how many.

    Raises:
        ConfigError: rerun-sdk is not installed, or no robot is named.
        DataError: there is nothing in the recording that can be shown, or out cannot be written.
    """
    try:
        import rerun
    except ImportError as error:
        raise ConfigError("--rerun needs: pip install 'mu0-ros[viz]'") from error
    parameters = recording.parameters("action_expert")
    name = robot or parameters.get("robot") or recording.notes.get("mu0", {}).get("robot", "")
    if not name:
        raise ConfigError(f"{recording.path} names no robot: say --robot")
    exporter = _Exporter(rerun, recording, load_robot(name), parameters)
    counts = exporter.write(out)
    if not counts:
        raise DataError(f"{recording.path}: nothing in it that can be shown")
    return counts


class _Exporter:
    def __init__(
        self,
        rerun: ModuleType,
        recording: Recording,
        robot: RobotDescription,
        parameters: dict[str, Any],
    ) -> None:
        self._rerun, self._recording, self._robot = rerun, recording, robot
        self._kinematics = Kinematics(robot)
        self._base = parameters.get("frame_prefix", "") + robot.base_frame
        self._poses = RecordedPoses(recording, parameters)
        self._counts: Counter[str] = Counter()
        self._said: dict[str, str] = {}
        self._shown: dict[str, Callable[[Recorded, Any], None]] = {}
        for role, show in (
            ("color/image_raw", self._colour),
            ("color/camera_info", self._info),
            ("traces", self._traces),
            ("action_chunk", self._chunk),
            ("joint_states", self._joints),
            ("task_status", self._task),
            ("safety_status", self._gate),
        ):
            try:
                self._shown[recording.topic(role)] = show
            except DataError:
                continue  # a recording of fewer topics
        self._images = self._depth_of_forecasts()

    def _depth_of_forecasts(self) -> RecordedImages | None:
        try:
            stamps = self._stamps({self._recording.topic("traces")})
            return RecordedImages(
                self._recording, stamps, self._recording.parameters("trace_forecaster")
            )
        except DataError:
            return None

    def _stamps(self, topics: Collection[str]) -> list[int]:
        return [message.header_ns() for message in self._recording.messages(topics)]

    def write(self, out: Path) -> dict[str, int]:
        out.parent.mkdir(parents=True, exist_ok=True)
        self._stream = self._rerun.RecordingStream("mu0", recording_id=self._recording.path.stem)
        try:
            self._stream.save(out)
        except Exception as error:  # the library has no error of its own for this
            raise DataError(f"cannot write {out}: {error}") from error
        coordinates = self._rerun.ViewCoordinates.RIGHT_HAND_Z_UP
        self._stream.log("base", coordinates, static=True)
        for recorded in self._recording.messages(self._shown):
            self._stream.set_time(_TIMELINE, timestamp=recorded.log_ns * 1e-9)
            self._shown[recorded.topic](recorded, self._recording.decode(recorded))
        self._stream.flush()
        self._stream.disconnect()
        return dict(self._counts)

    def _log(self, what: str, path: str, *entities: Any) -> None:
        self._stream.log(path, *entities)
        self._counts[what] += 1

    def _colour(self, recorded: Recorded, message: Any) -> None:
        picture = self._rerun.Image(np.ascontiguousarray(rgb_from_image(message)))
        self._log("images", IMAGE, picture.compress(jpeg_quality=_JPEG_QUALITY))

    def _info(self, recorded: Recorded, message: Any) -> None:
        if self._counts["cameras"]:
            return
        k = np.asarray(message.k, float).reshape(3, 3)
        size = [int(message.width), int(message.height)]
        self._log("cameras", IMAGE, self._rerun.Pinhole(image_from_camera=k, resolution=size))

    def _traces(self, recorded: Recorded, message: Any) -> None:
        forecast = forecast_of(message)
        self._place(forecast, recorded.log_ns)
        basis = design_matrix(forecast.knots, forecast.degree, np.linspace(0, 1, _SAMPLES))
        paths = np.einsum("hd,ndx->nhx", basis, forecast.control_points)
        length = np.linalg.norm(np.diff(paths, axis=1), axis=-1).sum(axis=1)
        share = (length / max(float(length.max(initial=0.0)), 1e-9))[:, None]
        colours = (_BLUE * (1 - share) + _RED * share).astype(np.uint8)
        strips = self._rerun.LineStrips3D(list(paths), colors=colours, radii=0.002)
        self._log("forecasts", f"{CAMERA}/traces", strips)
        starts = self._rerun.Points3D(paths[:, 0], colors=colours, radii=0.004)
        self._stream.log(f"{CAMERA}/query_points", starts)
        self._stream.log("sentence", self._rerun.TextLog(forecast.instruction))
        try:
            depth_m = self._images.frame(forecast.stamp_ns).depth_m if self._images else None
        except Mu0Error:
            depth_m = None  # the image was not recorded; the traces were
        if depth_m is not None:
            picture = self._rerun.DepthImage(np.nan_to_num(depth_m), meter=1.0)
            self._log("depth images", f"{IMAGE}/depth", picture)

    def _place(self, forecast: TraceForecast, log_ns: int) -> None:
        try:
            pose = self._poses.lookup(self._base, forecast.frame_id, forecast.stamp_ns, log_ns)
        except TransformError:
            return  # shown in the camera's frame alone
        self._stream.log(
            CAMERA, self._rerun.Transform3D(translation=pose[:3, 3], mat3x3=pose[:3, :3])
        )

    def _chunk(self, recorded: Recorded, message: Any) -> None:
        chunk = chunk_of(message, self._robot.gripper)
        if chunk.joint_names != self._robot.arm_joints:
            return
        tips = np.array([self._kinematics.tip(q)[:3, 3] for q in chunk.positions_rad])
        path = self._rerun.LineStrips3D([tips], colors=[[255, 160, 0]], radii=0.003)
        self._log("chunks", "base/chunk", path)

    def _joints(self, recorded: Recorded, message: Any) -> None:
        positions = dict(zip(message.name, message.position))
        for name in (*self._robot.arm_joints, self._robot.gripper.joint):
            if name in positions:
                value = self._rerun.Scalars(float(positions[name]))
                self._stream.log(f"joints/{name}", value)
        self._counts["joint states"] += 1

    def _task(self, recorded: Recorded, message: Any) -> None:
        text = f"state {message.state} {message.error.message}".strip()
        self._say("task", text)
        self._stream.log("latency/inference_s", self._rerun.Scalars(message.inference_time))

    def _gate(self, recorded: Recorded, message: Any) -> None:
        self._say("gate", f"state {message.state} {message.cause.message}".strip())
        self._stream.log("latency/at_gate_s", self._rerun.Scalars(message.observation_age))

    def _say(self, who: str, text: str) -> None:
        """Log a state once, when it begins."""
        if self._said.get(who) != text:
            self._said[who] = text
            self._log(f"{who} states", who, self._rerun.TextLog(text))
