# SPDX-License-Identifier: Apache-2.0
"""May the arm move at all? What must be there, healthy and fresh before any chunk is judged."""

from __future__ import annotations

import numpy as np

from mu0_core.control.chunk_checks import ChunkRejected
from mu0_core.control.gate_settings import GateSettings


class Readiness:
    """Keeps what speaks against motion.

    Attributes:
        hindrances: name -> (code, message) of what the surroundings say against motion, such as
            a controller that is not there; the first one refuses every chunk.
    """

    def __init__(self, settings: GateSettings) -> None:
        self.hindrances: dict[str, tuple[str, str]] = {}
        self._settings = settings
        self._healthy_since_ns: int | None = None
        self._points_ns: int | None = None

    def good_states(self, now_ns: int) -> None:
        """Note joint states that make sense."""
        if self._healthy_since_ns is None:
            self._healthy_since_ns = now_ns

    def bad_states(self) -> None:
        """Note that joint states stopped coming or made no sense: arming starts anew."""
        self._healthy_since_ns = None

    def points_seen(self, stamp_ns: int) -> None:
        """Note when the points of the scene were measured."""
        self._points_ns = stamp_ns

    def restart_clock(self) -> None:
        """Forget all times."""
        self._healthy_since_ns = self._points_ns = None

    def check(self, positions_rad: np.ndarray | None, now_ns: int) -> None:
        """Refuse motion while something is missing.

        Raises:
            ChunkRejected: NOT_READY, OBSERVATION_INVALID, OBSERVATION_STALE or the code of a
                hindrance.
        """
        for code, message in self.hindrances.values():
            raise ChunkRejected(code, message)
        if positions_rad is None:
            raise ChunkRejected("NOT_READY", "no joint states yet")
        if not np.all(np.isfinite(positions_rad)):
            raise ChunkRejected("OBSERVATION_INVALID", "joint states are not finite")
        since_ns = now_ns if self._healthy_since_ns is None else self._healthy_since_ns
        healthy_s, arming_s = (now_ns - since_ns) * 1e-9, self._settings.arming_s
        if healthy_s < arming_s:
            raise ChunkRejected(
                "NOT_READY", f"arming: healthy for {healthy_s:.2f} of {arming_s} s"
            )
        self._check_points(now_ns)

    def _check_points(self, now_ns: int) -> None:
        if not self._settings.require_points:
            return
        if self._points_ns is None:
            raise ChunkRejected("NOT_READY", "no points of the scene yet, and they are required")
        age_s, limit_s = (now_ns - self._points_ns) * 1e-9, self._settings.max_points_age_s
        if not -limit_s <= age_s <= limit_s:
            raise ChunkRejected(
                "OBSERVATION_STALE",
                f"points of the scene are {age_s:.3f} s old, allowed 0..{limit_s}",
            )
