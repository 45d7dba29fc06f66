# SPDX-License-Identifier: Apache-2.0
"""Pair colour and depth images by time stamp. No ROS: stamps are integers."""

from __future__ import annotations

from collections import deque
from typing import Any

_KEPT = 6


class FrameSync:
    """Keeps the last few images of both kinds and finds the newest pair within ``slop_ns``."""

    def __init__(self, slop_ns: int) -> None:
        self._slop_ns = slop_ns
        self._colour: deque[tuple[int, Any]] = deque(maxlen=_KEPT)
        self._depth: deque[tuple[int, Any]] = deque(maxlen=_KEPT)
        self.dropped = 0

    def add_colour(self, stamp_ns: int, image: Any) -> None:
        """Take a colour image in; one that is older than the last clears the buffers."""
        self._add(self._colour, stamp_ns, image)

    def add_depth(self, stamp_ns: int, image: Any) -> None:
        """Take a depth image in."""
        self._add(self._depth, stamp_ns, image)

    def _add(self, buffer: deque, stamp_ns: int, image: Any) -> None:
        if buffer and stamp_ns < buffer[-1][0]:  # time jumped back: what we hold is the future
            self.clear()
        if buffer and stamp_ns == buffer[-1][0]:
            self.dropped += 1  # a frozen camera repeats its stamp
            return
        buffer.append((stamp_ns, image))

    def clear(self) -> None:
        """Forget everything."""
        self._colour.clear()
        self._depth.clear()

    def newest(self) -> tuple[int, Any, Any] | None:
        """Return (stamp of the colour image, colour, depth) of the newest pair, or None.

        The depth image is the nearest in time, not the newest: with a generous slop the newest may
        already belong to the next colour image.
        """
        if not self._depth:
            return None
        for colour_ns, colour in reversed(self._colour):
            depth_ns, depth = min(self._depth, key=lambda entry: abs(entry[0] - colour_ns))
            if abs(depth_ns - colour_ns) <= self._slop_ns:
                return colour_ns, colour, depth
        return None
