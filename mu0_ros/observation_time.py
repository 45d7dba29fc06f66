# SPDX-License-Identifier: Apache-2.0
"""Is a stamp one that may be acted on? Ages, not rates. No ROS: times are integer nanoseconds."""

from __future__ import annotations

from mu0_core.errors import ObservationError, StaleObservationError

FUTURE_TOLERANCE_S = 0.1
_OTHER_CLOCK_S = 3600.0


def check_age(what: str, stamp_ns: int, now_ns: int, allowed_s: float) -> float:
    """Return the age in seconds of something stamped on the node's clock.

    Raises:
        ObservationError: the stamp is zero, in the future, or of another clock by its age.
        StaleObservationError: older than ``allowed_s``.
    """
    age_s = (now_ns - stamp_ns) * 1e-9
    clocks = f"stamp {stamp_ns * 1e-9:.3f} s, node clock {now_ns * 1e-9:.3f} s"
    if stamp_ns <= 0:
        raise ObservationError(f"{what}: the stamp is zero ({clocks})")
    if age_s < -FUTURE_TOLERANCE_S or age_s > max(_OTHER_CLOCK_S, allowed_s):
        raise ObservationError(
            f"{what}: stamped by another clock ({clocks}); is use_sim_time the same everywhere?"
        )
    if age_s > allowed_s:
        raise StaleObservationError(f"{what}: {age_s:.3f} s old, allowed {allowed_s} ({clocks})")
    return age_s
