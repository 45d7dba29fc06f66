# SPDX-License-Identifier: Apache-2.0
"""When to forecast next. No ROS: stamps are integers (data clock), times are steady seconds."""

from __future__ import annotations


class ReplanRule:
    """One forecast per motion: the next one needs an image taken after the last motion ended.

    Args:
        lead_s: forecast when this much motion is left (0 = at rest).
        settle_s: age of rest that an image needs.
        answer_timeout_s: forecast again if the gate did not judge a chunk within this time.
        retry_s: pause after a forecast or a chunk that failed.
    """

    def __init__(
        self, lead_s: float, settle_s: float, answer_timeout_s: float, retry_s: float = 0.5
    ) -> None:
        self._lead_s, self._settle_s = lead_s, settle_s
        self._answer_timeout_s, self._retry_s = answer_timeout_s, retry_s
        self.reset()

    def reset(self) -> None:
        """Start a new task: the next image will do."""
        self._judged: int | None = None
        self._judged_at_forecast = 0
        self._status_ns = 0
        self._motion_end_ns = 0
        self._waiting_since_s: float | None = None
        self._not_before_s = float("-inf")

    def on_gate(self, stamp_ns: int, queue_s: float, judged: int) -> None:
        """Take a gate status in: motion left and the number of chunks judged so far."""
        if stamp_ns < self._status_ns:
            self._motion_end_ns = 0  # the data clock went back: ends noted before mean nothing
        if self._judged is not None and judged < self._judged:  # the gate was restarted
            self._judged_at_forecast = 0
            self._waiting_since_s = None  # a chunk on its way may have died with the old one
        self._status_ns, self._judged = stamp_ns, judged
        answered = self._waiting_since_s is not None and judged > self._judged_at_forecast
        if queue_s > self._lead_s:
            self._motion_end_ns = stamp_ns + round((queue_s - self._lead_s) * 1e9)
        elif answered:
            self._motion_end_ns = max(self._motion_end_ns, stamp_ns)
        if answered:
            self._waiting_since_s = None

    def on_forecast(self, steady_s: float) -> None:
        """Note that a forecast has begun and that a chunk is awaited."""
        self._judged_at_forecast = self._judged or 0
        self._waiting_since_s = steady_s

    def on_failure(self, steady_s: float) -> None:
        """Note that no chunk will come of the last forecast."""
        self._waiting_since_s = None
        self._not_before_s = steady_s + self._retry_s

    def on_camera_moved(self, stamp_ns: int) -> None:
        """Note that images of before a time (data clock) show another view."""
        self._motion_end_ns = max(self._motion_end_ns, stamp_ns)
        self._waiting_since_s = None

    def ready(self, image_ns: int, steady_s: float) -> bool:
        """Say whether an image is good for the next forecast."""
        if self._judged is None or steady_s < self._not_before_s:
            return False  # the gate has not spoken yet, or something just failed
        waited = self._waiting_since_s
        if waited is not None and steady_s - waited < self._answer_timeout_s:
            return False
        return image_ns >= self._motion_end_ns + round(self._settle_s * 1e9)
