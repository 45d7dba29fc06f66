# SPDX-License-Identifier: Apache-2.0
"""The motion of a segment in words. Directions are those of the picture, not the robot's own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mu0_core.trace_extract.captioning.segment_motion import SegmentMotion

_PICTURE = "in the picture"
_LITTLE, _FAR = 0.06, 0.3  # in image widths, or shares of the depth
_PART = 0.4  # of the whole motion that a direction must have to be named
_HARDLY_PX = 5.0
_CLEAR_TURN_RAD = np.pi / 6


@dataclass(frozen=True, slots=True)
class MotionWords:
    """A verb in three forms and what follows it, which may be nothing.

    Attributes:
        base, third, gerund: ``move``, ``moves``, ``moving``.
        phrase: e.g. ``a little to the left in the picture``.
    """

    base: str
    third: str
    gerund: str
    phrase: str

    def after(self, verb: str) -> str:
        """Return ``verb`` followed by the phrase."""
        return f"{verb} {self.phrase}".strip()


def motion_words(motion: SegmentMotion | None) -> MotionWords:
    """Return words for a motion; without a direction where none is known or worth naming."""
    if motion is None:
        return MotionWords("move", "moves", "moving", "")
    net = np.array([motion.right, motion.down, motion.away])
    size = float(np.linalg.norm(net))
    turns = np.isfinite(motion.turn_rad) and abs(motion.turn_rad) >= _CLEAR_TURN_RAD
    side = ("clockwise" if motion.turn_rad > 0 else "anticlockwise") if turns else ""
    if turns and size < _LITTLE:
        return MotionWords("turn", "turns", "turning", f"{side} {_PICTURE}")
    if motion.comes_back:
        phrase = "there and back"
    elif size < _LITTLE and motion.way_px < _HARDLY_PX:
        phrase = "a little"
    else:
        phrase = " ".join(filter(None, (_size(size), _direction(net))))
    if turns:
        phrase += f" while turning {side}"
    return MotionWords("move", "moves", "moving", phrase)


def _size(size: float) -> str:
    return "a little" if size < _LITTLE else "a long way" if size > _FAR else ""


def _direction(net: np.ndarray) -> str:
    """Return at most two directions, the larger first."""
    names = (("to the right", "to the left"), ("down", "up"))
    flat = [
        (abs(part), name[int(part < 0)])
        for part, name in zip(net[:2], names)
        if abs(part) >= _PART * np.linalg.norm(net)
    ]
    flat.sort(reverse=True)
    words = []
    if flat:
        words.append((flat[0][0], f"{' and '.join(name for _, name in flat)} {_PICTURE}"))
    if abs(net[2]) >= _PART * np.linalg.norm(net):
        depth = "towards the camera" if net[2] < 0 else "away from the camera"
        words.append((abs(net[2]), depth))
    words.sort(reverse=True)
    return " and ".join(name for _, name in words)
