# SPDX-License-Identifier: Apache-2.0
"""The rules of one task: how it may end, and that it ends once. No ROS; times are steady seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mu0_core.errors import RequestError


@dataclass(frozen=True, slots=True)
class Counts:
    """Chunks that the gate has passed and rejected since it started."""

    passed: int = 0
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class TaskLimits:
    """What a task may use."""

    max_duration_s: float
    speed_scale: float
    inference_timeout_s: float
    max_rejected_chunks: int

    @classmethod
    def from_request(
        cls, duration_s: float, speed_scale: float, default_duration_s: float,
        inference_timeout_s: float, max_rejected_chunks: int,
    ) -> TaskLimits:
        """Check what a client asked for; 0 means the node's default.

        Raises:
            RequestError: negative or endless duration, or a speed scale outside (0, 1].
        """
        if duration_s < 0 or duration_s > 86_400:
            raise RequestError(f"max_duration {duration_s} s is outside 0..86400 (0 = default)")
        if not math.isfinite(speed_scale) or not 0 <= speed_scale <= 1:
            raise RequestError(f"speed_scale {speed_scale} is outside 0..1 (0 = default)")
        return cls(
            duration_s or default_duration_s, speed_scale or 1.0, inference_timeout_s,
            max_rejected_chunks,
        )


@dataclass(frozen=True, slots=True)
class End:
    """How a task ended: SUCCEEDED, CANCELED or ABORTED, with a code of ``msg/ErrorCode.msg``."""

    state: str
    code: str
    message: str
    elapsed_s: float


class TaskRun:
    """One task from its acceptance to its single end."""

    def __init__(
        self, instruction: str, task_id: bytes, limits: TaskLimits, now_s: float, counts: Counts
    ) -> None:
        self.instruction, self.task_id, self.limits = instruction, task_id, limits
        self.started_s = now_s
        self.end: End | None = None
        self._at_start = self._last = counts
        self._rejected_in_a_row = 0
        self._last_inference_s = now_s

    @property
    def executed(self) -> int:
        """Chunks passed by the gate during this task."""
        return max(0, self._last.passed - self._at_start.passed)

    @property
    def rejected(self) -> int:
        """Chunks rejected during this task."""
        return max(0, self._last.rejected - self._at_start.rejected)

    def finish(self, state: str, code: str, message: str, now_s: float) -> None:
        """End the task; only the first end counts."""
        if self.end is None:
            self.end = End(state, code, message, now_s - self.started_s)

    def saw_inference(self, now_s: float) -> None:
        """Note a forecast or a chunk of this task."""
        self._last_inference_s = now_s

    def saw_gate(
        self, counts: Counts, latched: bool, cause: tuple[int, str], moving: bool, now_s: float
    ) -> None:
        """Take the gate's counters and state in."""
        if counts.passed < self._last.passed or counts.rejected < self._last.rejected:
            self._at_start = self._last = Counts()  # the gate was restarted
        if counts.passed > self._last.passed:
            self._rejected_in_a_row = 0
        self._rejected_in_a_row += counts.rejected - self._last.rejected
        self._last = counts
        if moving:
            self._last_inference_s = now_s
        if latched:
            self.finish("ABORTED", "LIMIT_VIOLATION", f"the safety gate latched: {cause[1]}", now_s)
        elif self._rejected_in_a_row >= self.limits.max_rejected_chunks:
            self.finish(
                "ABORTED", "LIMIT_VIOLATION",
                f"{self._rejected_in_a_row} chunks rejected in a row: {cause[1]}", now_s,
            )

    def check_time(self, now_s: float) -> None:
        """End the task when it is out of time or inference has gone quiet."""
        silent = now_s - self._last_inference_s
        if now_s - self.started_s > self.limits.max_duration_s:
            self.finish("ABORTED", "TIMEOUT", f"not over after {self.limits.max_duration_s} s", now_s)
        elif silent > self.limits.inference_timeout_s:
            self.finish("ABORTED", "INFERENCE_TIMEOUT", f"no forecast or chunk for {silent:.1f} s", now_s)
