# SPDX-License-Identifier: Apache-2.0
"""The values that cross a boundary: frames in, traces between, action chunks out.

Frozen dataclasses of numpy arrays, validated on construction. Each carries its frame and its
integer stamp, so that unit, frame and time never travel apart. Messages are a wire format of
these; `mu0_ros.conversions` is the only place that knows both.

Symbols: N query points, D control points, H samples, T chunk steps, A arm joints.
Pixels: u to the right, v down, integers at pixel centres (as in sensor_msgs/CameraInfo).
Camera frames are optical frames (REP 103): x right, y down, z forward.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from mu0_core.errors import ObservationError, ShapeError


class Role(IntEnum):
    """What a query point belongs to; values match ``msg/QueryPoints.msg``."""

    UNKNOWN = 0
    OBJECT = 1
    TOOL = 2
    END_EFFECTOR = 3
    HAND = 4
    CONTACT = 5
    BACKGROUND = 6


def _require_shape(name: str, array: np.ndarray, shape: tuple[int | None, ...]) -> None:
    actual = np.shape(array)
    if len(actual) != len(shape) or any(w is not None and w != a for w, a in zip(shape, actual)):
        raise ShapeError(f"{name} has shape {actual}, expected {shape} (None = any)")


@dataclass(frozen=True, slots=True)
class CameraIntrinsics:
    """Pinhole intrinsics of a rectified image; lengths in pixels."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        values = (self.fx, self.fy, self.cx, self.cy)
        if self.width <= 0 or self.height <= 0:
            raise ObservationError(f"image size {self.width}x{self.height} must be positive")
        if not np.all(np.isfinite(values)) or self.fx <= 0 or self.fy <= 0:
            raise ObservationError(
                f"camera is not calibrated: fx={self.fx} fy={self.fy} cx={self.cx} cy={self.cy}; "
                "fx and fy must be positive and all finite"
            )

    def scaled(self, width: int, height: int) -> CameraIntrinsics:
        """Return the intrinsics of the same view resampled to ``width`` x ``height``."""
        sx, sy = width / self.width, height / self.height
        return CameraIntrinsics(
            width,
            height,
            self.fx * sx,
            self.fy * sy,
            (self.cx + 0.5) * sx - 0.5,
            (self.cy + 0.5) * sy - 0.5,
        )


@dataclass(frozen=True, slots=True)
class RgbdFrame:
    """A colour image with registered depth.

    Attributes:
        rgb: (h, w, 3) uint8.
        depth_m: (h, w) float32 along the optical axis; NaN where unknown.
        intrinsics: of both images.
        frame_id: optical frame.
        stamp_ns: acquisition time.
    """

    rgb: np.ndarray
    depth_m: np.ndarray
    intrinsics: CameraIntrinsics
    frame_id: str
    stamp_ns: int

    def __post_init__(self) -> None:
        h, w = self.intrinsics.height, self.intrinsics.width
        _require_shape("rgb", self.rgb, (h, w, 3))
        _require_shape("depth_m", self.depth_m, (h, w))
        if self.rgb.dtype != np.uint8:
            raise ShapeError(f"rgb has dtype {self.rgb.dtype}, expected uint8")


@dataclass(frozen=True, slots=True)
class QueryPoints:
    """Image points whose future is asked for.

    Attributes:
        uv_px: (N, 2) float32 column, row.
        depth_m: (N,) float32; NaN where unknown.
        ids: (N,) uint32, unique.
        entity_ids: (N,) uint16; equal ids belong to one rigid entity.
        roles: (N,) uint8 `Role`.
        width, height: size in pixels of the image that uv_px refers to.
    """

    uv_px: np.ndarray
    depth_m: np.ndarray
    ids: np.ndarray
    entity_ids: np.ndarray
    roles: np.ndarray
    width: int
    height: int

    def __post_init__(self) -> None:
        n = len(self.ids)
        _require_shape("uv_px", self.uv_px, (n, 2))
        for name in ("depth_m", "entity_ids", "roles"):
            _require_shape(name, getattr(self, name), (n,))
        if len(np.unique(self.ids)) != n:
            raise ShapeError("query point ids must be unique")

    def __len__(self) -> int:
        return len(self.ids)

    def select(self, index: np.ndarray) -> QueryPoints:
        """Return the points at ``index`` (integers or mask), in that order."""
        return QueryPoints(
            self.uv_px[index],
            self.depth_m[index],
            self.ids[index],
            self.entity_ids[index],
            self.roles[index],
            self.width,
            self.height,
        )


@dataclass(frozen=True, slots=True)
class TraceForecast:
    """Forecast 3D traces of N query points as clamped B-splines in the optical frame.

    The parameter 0..1 orders the path and is shared by all points; it is a phase, not a time
    (μ0 paper: supervision is resampled by arc length).

    Attributes:
        control_points: (N, D, 3) float32 metres in ``frame_id``.
        knots: (D + degree + 1,) float64.
        degree: spline degree.
        valid_until: (N,) float32 phase beyond which the forecast is not to be used.
        spread_m: (N, D) float32 isotropic 1-sigma of each control point over samples, or None.
        query: the query points that were asked.
        instruction: the sentence that was asked.
        model_id: which model answered.
        frame_id, stamp_ns: of the image.
        sequence: counts forecasts.
    """

    control_points: np.ndarray
    knots: np.ndarray
    degree: int
    valid_until: np.ndarray
    spread_m: np.ndarray | None
    query: QueryPoints
    instruction: str
    model_id: str
    frame_id: str
    stamp_ns: int
    sequence: int = 0
    inference_s: float = 0.0

    def __post_init__(self) -> None:
        n, d = len(self.query), len(self.knots) - self.degree - 1
        _require_shape("control_points", self.control_points, (n, d, 3))
        _require_shape("valid_until", self.valid_until, (n,))
        if self.spread_m is not None:
            _require_shape("spread_m", self.spread_m, (n, d))
        if np.any(np.diff(self.knots) < 0):
            raise ShapeError(f"knots must not decrease: {self.knots}")


@dataclass(frozen=True, slots=True)
class Proprioception:
    """What the arm reports: joints in the order of the robot description, gripper opening.

    Attributes:
        positions_rad: (A,) arm joint positions.
        velocities_rad_s: (A,) or None when not reported.
        gripper_m: opening between the fingers.
        stamp_ns: measurement time.
    """

    positions_rad: np.ndarray
    velocities_rad_s: np.ndarray | None
    gripper_m: float
    stamp_ns: int


@dataclass(frozen=True, slots=True)
class ActionChunk:
    """Future joint commands PROPOSED by an action expert; only the safety gate may pass them on.

    Attributes:
        joint_names: (A,) column order of ``positions_rad``.
        positions_rad: (T, A) float64; step k is meant for ``start_ns + (k + 1) * step_period``.
        gripper_m: (T,) float64 finger opening, or None = leave the gripper alone.
        step_period_s: seconds between steps.
        observation_ns: stamp of the oldest observation used.
        start_ns: time that the chunk starts from.
        sequence: counts chunks of one expert; a lower one never overrides a higher one.
        trace_sequence: `TraceForecast.sequence` it was conditioned on; 0 = none.
        execute_steps: leading steps meant to run before the next chunk; 0 = all.
        task_id: 16 bytes; empty outside a task.
    """

    joint_names: tuple[str, ...]
    positions_rad: np.ndarray
    gripper_m: np.ndarray | None
    step_period_s: float
    observation_ns: int
    start_ns: int
    sequence: int
    trace_sequence: int = 0
    execute_steps: int = 0
    model_id: str = ""
    task_id: bytes = b""


@dataclass(frozen=True, slots=True)
class JointTrajectory:
    """A timed joint path for a trajectory controller.

    Attributes:
        joint_names: (A,).
        times_s: (K,) strictly increasing, from the start of the trajectory.
        positions: (K, A) rad or m.
        velocities: (K, A) rad/s or m/s, or None.
        start_ns: when time 0 is; 0 = now.
    """

    joint_names: tuple[str, ...]
    times_s: np.ndarray
    positions: np.ndarray
    velocities: np.ndarray | None = None
    accelerations: np.ndarray | None = None
    start_ns: int = 0
    metadata: dict[str, str] = field(default_factory=dict)
