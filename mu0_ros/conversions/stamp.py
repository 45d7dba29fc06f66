# SPDX-License-Identifier: Apache-2.0
"""Times and durations: integer nanoseconds in the core."""

from __future__ import annotations

from builtin_interfaces.msg import Duration, Time

from mu0_core.errors import ObservationError

_SECOND_NS = 1_000_000_000


def ns_from_stamp(stamp: Time | Duration) -> int:
    """Return integer nanoseconds."""
    return stamp.sec * _SECOND_NS + stamp.nanosec


def stamp_from_ns(time_ns: int) -> Time:
    """Return a Time message.

    Raises:
        ObservationError: negative, which the message cannot hold.
    """
    if time_ns < 0:
        raise ObservationError(f"time {time_ns} ns is negative")
    return Time(sec=time_ns // _SECOND_NS, nanosec=time_ns % _SECOND_NS)


def duration_from_s(seconds: float) -> Duration:
    """Return a Duration message, rounded to nanoseconds."""
    total = round(seconds * 1e9)
    return Duration(sec=total // _SECOND_NS, nanosec=total % _SECOND_NS)


def s_from_duration(duration: Duration) -> float:
    """Return seconds."""
    return duration.sec + duration.nanosec * 1e-9
