# SPDX-License-Identifier: Apache-2.0
"""The rules of one task: how it may end, and that it ends once. No ROS; times are steady seconds.

A task perceives until its first forecast, executes, and holds while something is wrong that may
clear. Its end is decided first and closed when the arm is at rest, so nobody hears of an end
before that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from mu0_core.errors import RequestError

REST_TIMEOUT_S = 2.0  # close a decided end even if the gate says nothing more
# Inference that fails on a valid input; several in a row end a task. Other faults may clear.
FAILURES = frozenset(
    {
        "INFERENCE_FAILED",
        "INFERENCE_TIMEOUT",
        "OUT_OF_MEMORY",
        "NON_FINITE_OUTPUT",
        "NO_IK_SOLUTION",
    }
)


def refusal(code: str, message: str) -> RequestError:
    """Return an error with another code than that of its class."""
    error = RequestError(message)
    error.code = code
    return error


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
    max_failures: int

    @classmethod
    def from_request(
        cls,
        duration_s: float,
        speed_scale: float,
        default_duration_s: float,
        inference_timeout_s: float,
        max_rejected_chunks: int,
        max_failures: int = 3,
    ) -> TaskLimits:
        """Check what a client asked for; 0 means the node's default.

        Raises:
            RequestError: negative or endless duration, or a speed scale outside (0, 1].
        """
        if not 0 <= duration_s <= 86_400:
            raise RequestError(f"max_duration {duration_s} s is outside 0..86400 (0 = default)")
        if not math.isfinite(speed_scale) or not 0 <= speed_scale <= 1:
            raise RequestError(f"speed_scale {speed_scale} is outside 0..1 (0 = default)")
        return cls(
            duration_s or default_duration_s,
            speed_scale or 1.0,
            inference_timeout_s,
            max_rejected_chunks,
            max_failures,
        )


@dataclass(frozen=True, slots=True)
class End:
    """How a task ended: SUCCEEDED, CANCELED or ABORTED, with a code of ``msg/ErrorCode.msg``."""

    state: str
    code: str
    message: str
    elapsed_s: float


class TaskRun:
    """One task from its acceptance to its single end.

    Attributes:
        end: how it ends, once that is decided.
        closed: the arm is at rest after the end; nothing changes any more.
        fault: (code, message) of what is wrong now and may clear, or None.
    """

    def __init__(
        self, instruction: str, task_id: bytes, limits: TaskLimits, now_s: float, counts: Counts
    ) -> None:
        self.instruction, self.task_id, self.limits = instruction, task_id, limits
        self.started_s = now_s
        self.end: End | None = None
        self.closed = False
        self.fault: tuple[str, str] | None = None
        self.executed = self.rejected = 0
        self._last = counts
        self._forecasts = self._failures = self._rejected_in_a_row = 0
        self._lively_s = self._decided_s = now_s

    @property
    def phase(self) -> str:
        """Name of the state in ``msg/TaskStatus.msg``, without its prefix."""
        if self.end is not None:
            return self.end.state if self.closed else "STOPPING"
        if self.fault is not None:
            return "HOLDING"
        return "EXECUTING" if self._forecasts else "PERCEIVING"

    def finish(self, state: str, code: str, message: str, now_s: float) -> None:
        """Decide the end; only the first one counts."""
        if self.end is None:
            self.end = End(state, code, message, now_s - self.started_s)
            self._decided_s = now_s

    def close_at_rest(self, queue_s: float, heard_s: float, now_s: float) -> None:
        """Close a decided end when the gate, heard since then, has no motion left.

        Args:
            queue_s: motion left in the gate's last status.
            heard_s: when that status came.
            now_s: now.
        """
        if self.end is not None and not self.closed:
            rests = heard_s > self._decided_s and queue_s <= 0.0
            self.closed = rests or now_s - self._decided_s > REST_TIMEOUT_S

    def saw_forecast(self, now_s: float) -> None:
        """Note a forecast of this task: what was wrong has cleared."""
        self._forecasts += 1
        self._lively_s, self.fault = now_s, None

    def saw_chunk(self, now_s: float) -> None:
        """Note a chunk of this task."""
        self._lively_s, self._failures = now_s, 0

    def saw_fault(self, code: str, message: str, now_s: float) -> None:
        """Note what a node could not do; failures in a row end the task, the rest may clear."""
        self.fault = (code, message)
        self._failures += code in FAILURES
        if self._failures >= self.limits.max_failures:
            self.finish("ABORTED", code, f"{self._failures} failures in a row: {message}", now_s)

    def saw_gate(
        self, counts: Counts, latched: bool, cause: tuple[str, str], moving: bool, now_s: float
    ) -> None:
        """Take the gate's counters and state in; ``cause`` is its code and message."""
        if counts.passed < self._last.passed or counts.rejected < self._last.rejected:
            self._last = Counts()  # the gate was restarted
        passed = counts.passed - self._last.passed
        rejected = counts.rejected - self._last.rejected
        self._last = counts
        self.executed += passed
        if cause[0] == "SUCCESS":  # a gate that finds nothing wrong turned away another's chunk
            rejected = 0
        self.rejected += rejected
        self._rejected_in_a_row = rejected + (0 if passed else self._rejected_in_a_row)
        if rejected:
            self.fault = cause
        if moving:
            self._lively_s = now_s
        if latched:
            self.finish("ABORTED", cause[0], f"the safety gate latched: {cause[1]}", now_s)
        elif self._rejected_in_a_row >= self.limits.max_rejected_chunks:
            message = f"{self._rejected_in_a_row} chunks rejected in a row: {cause[1]}"
            self.finish("ABORTED", cause[0], message, now_s)

    def check_time(self, now_s: float) -> None:
        """End the task when it is out of time or inference has gone quiet."""
        silent = now_s - self._lively_s
        if now_s - self.started_s > self.limits.max_duration_s:
            message = f"not over after {self.limits.max_duration_s} s"
            self.finish("ABORTED", "TIMEOUT", message, now_s)
        elif silent > self.limits.inference_timeout_s:
            code, message = self.fault or ("INFERENCE_TIMEOUT", "no cause is known")
            message = f"no forecast, chunk or motion for {silent:.1f} s: {message}"
            self.finish("ABORTED", code, message, now_s)
