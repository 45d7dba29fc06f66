# SPDX-License-Identifier: Apache-2.0
"""Small deterministic stand-ins for selector, forecaster and action expert; no torch, no weights.

``fault`` injects one: "delay" (0.5 s), "exception", "out_of_memory", "nan", "hang" (until the
process ends), "jump" (expert only: the chunk starts 0.5 rad away); a count may follow, as in
"nan:3", after which the fake behaves again. An instruction with the word "stay" forecasts no
motion, so its task ends well.
"""

from __future__ import annotations

import threading
import time

import numpy as np

from mu0_core.errors import ConfigError, InferenceError, NoQueryPointsError
from mu0_core.robot.description import RobotDescription
from mu0_core.spline.basis import bezier_knots
from mu0_core.types import ActionChunk, Proprioception, QueryPoints, RgbdFrame, TraceForecast

_FAULTS = ("", "none", "delay", "exception", "out_of_memory", "nan", "hang", "jump")
_DELAY_S = 0.5


class _Fault:
    """Counts calls and says whether this one is to fail."""

    def __init__(self, fault: str) -> None:
        self.kind, _, count = fault.partition(":")
        if self.kind not in _FAULTS:
            raise ConfigError(f"fake fault {fault!r}: allowed are {', '.join(_FAULTS[1:])}")
        self._left = int(count) if count else None

    def strike(self) -> str:
        """Return the fault of this call after waiting or raising where that is the fault."""
        if self.kind in ("", "none") or self._left == 0:
            return ""
        if self._left is not None:
            self._left -= 1
        if self.kind == "delay":
            time.sleep(_DELAY_S)
        elif self.kind == "exception":
            raise InferenceError("injected fault")
        elif self.kind == "out_of_memory":
            raise MemoryError("injected fault")
        elif self.kind == "hang":
            threading.Event().wait()
        return self.kind


class FakeSelector:
    """Takes a regular grid of pixels that have depth."""

    def select(self, frame: RgbdFrame, max_points: int) -> QueryPoints:
        """Return up to ``max_points`` grid pixels; raises `NoQueryPointsError` without depth."""
        side = max(1, int(np.sqrt(max_points)))
        u, v = np.meshgrid(
            np.linspace(0.2, 0.8, side) * frame.intrinsics.width,
            np.linspace(0.2, 0.8, side) * frame.intrinsics.height,
        )
        uv = np.stack([u.ravel(), v.ravel()], axis=-1).astype(int)
        depth = frame.depth_m[uv[:, 1], uv[:, 0]]
        uv, depth = uv[np.isfinite(depth)], depth[np.isfinite(depth)]
        n = len(uv)
        if n == 0:
            raise NoQueryPointsError("no grid pixel has depth")
        return QueryPoints(
            uv.astype(np.float32),
            depth.astype(np.float32),
            np.arange(n, dtype=np.uint32),
            np.zeros(n, np.uint16),
            np.zeros(n, np.uint8),
            frame.intrinsics.width,
            frame.intrinsics.height,
        )


class FakeForecaster:
    """Forecasts that every point moves 10 cm to the right of the image."""

    model_id = "fake-world-model"

    def __init__(self, fault: str = "") -> None:
        self._fault = _Fault(fault)

    def forecast(
        self,
        frame: RgbdFrame,
        instruction: str,
        query: QueryPoints,
        *,
        num_samples: int = 1,
        seed: int = 0,
        sequence: int = 0,
    ) -> TraceForecast:
        """Return straight lines."""
        fault = self._fault.strike()
        n = len(query)
        control = np.zeros((n, 10, 3), np.float32)
        control[..., 0] = np.linspace(0.0, 0.0 if "stay" in instruction.split() else 0.1, 10)
        control[..., 2] = query.depth_m[:, None]
        if fault == "nan":
            control[0, 3, 1] = np.nan
        spread = np.full((n, 10), 0.01, np.float32) if num_samples > 1 else None
        return TraceForecast(
            control,
            bezier_knots(10),
            3,
            np.ones(n, np.float32),
            spread,
            query,
            instruction,
            self.model_id,
            frame.frame_id,
            frame.stamp_ns,
            sequence,
        )


class FakeExpert:
    """Moves the first joint by 0.16 rad to and fro; the gripper stays open."""

    model_id = "fake-action-expert"

    def __init__(self, robot: RobotDescription, fault: str = "") -> None:
        self._robot, self._fault = robot, _Fault(fault)

    def propose(
        self,
        forecast: TraceForecast,
        proprioception: Proprioception,
        T_base_camera: np.ndarray,
        *,
        start_ns: int,
        sequence: int = 0,
        seed: int = 0,
    ) -> ActionChunk:
        """Return 16 steps of which 8 are to be run."""
        fault = self._fault.strike()
        here = proprioception.positions_rad
        direction = -1.0 if here[0] > 0 else 1.0
        positions = np.tile(here, (16, 1))
        positions[:, 0] += direction * 0.02 * np.arange(1, 17)
        if fault == "nan":
            positions[4, 2] = np.nan
        elif fault == "jump":
            positions[:, 0] += direction * 0.5
        return ActionChunk(
            self._robot.arm_joints,
            positions,
            np.full(16, self._robot.gripper.open_m),
            0.1,
            min(forecast.stamp_ns, proprioception.stamp_ns),
            start_ns,
            sequence,
            forecast.sequence,
            8,
            self.model_id,
        )
