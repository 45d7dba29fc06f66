# SPDX-License-Identifier: Apache-2.0
"""Stage 8, hierarchical captions: each motion segment, pairs, triples, and all of them.

A captioner sees the first and last frame of a segment (one from the middle too when it is long
and moves), where it moves, what the source says about it, and how it moved. Longer windows are
merged from the captions of their segments, not looked at again (μ0 paper).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mu0_core.data.captions import CaptionEntry, Captions
from mu0_core.errors import ConfigError, DataError, ShapeError
from mu0_core.trace_extract.captioning.captioner import (
    Caption,
    Captioner,
    CaptionRequest,
    without_stop,
)
from mu0_core.trace_extract.captioning.segment_motion import (
    SegmentMotion,
    moves_in_segment,
    segment_motion,
)
from mu0_core.trace_extract.captioning.segment_view import motion_picture, shown_frames
from mu0_core.trace_extract.records import MotionSegments, TextSpan


@dataclass(frozen=True, slots=True)
class CaptionSettings:
    """What a captioner is shown and told.

    Attributes:
        middle_frames, middle_px: a segment at least this long, with at least this much motion,
            is shown with a frame from its middle (paper: 30 and 5).
        covers: share of a segment that a sentence must span to be about all of it.
        belongs: share of a shorter sentence's span that must lie in a segment to be part of it;
            also of a segment in the span of a sentence, where no other says more.
        windows: numbers of consecutive segments that are merged, besides all of them.
    """

    middle_frames: int = 30
    middle_px: float = 5.0
    covers: float = 0.75
    belongs: float = 0.5
    windows: tuple[int, ...] = (2, 3)

    def __post_init__(self) -> None:
        if not (0 < self.covers <= 1 and 0 < self.belongs <= 1):
            raise ConfigError(
                f"covers {self.covers} and belongs {self.belongs} must be above 0, at most 1"
            )
        if any(count < 2 for count in self.windows) or self.middle_frames < 3:
            raise ConfigError(
                f"windows {self.windows} must be 2 or more, middle_frames {self.middle_frames} "
                "3 or more"
            )


_DEFAULT = CaptionSettings()


@dataclass(frozen=True, slots=True)
class MovingPoints:
    """The moving points of a clip of T frames, twice.

    Attributes:
        uvz: (P, T, 3) x px, y px, z m in one camera that stands still, as for stage 7.
        uv_px: (P, T, 2) pixels in the camera of each frame; the same where the camera rests.
        valid: (P, T) bool; the others are ignored.
    """

    uvz: np.ndarray
    uv_px: np.ndarray
    valid: np.ndarray

    def __post_init__(self) -> None:
        shape = np.shape(self.valid)
        if len(shape) != 2 or self.uvz.shape != (*shape, 3) or self.uv_px.shape != (*shape, 2):
            raise ShapeError(
                f"uvz {self.uvz.shape}, uv_px {self.uv_px.shape}, valid {shape}: expected "
                "(P, T, 3), (P, T, 2) and (P, T)"
            )


def caption_segments(
    rgb: np.ndarray,
    texts: Sequence[TextSpan],
    segments: MotionSegments,
    points: MovingPoints,
    captioner: Captioner,
    settings: CaptionSettings = _DEFAULT,
) -> Captions:
    """Return an entry for each segment and each merged window; none without segments.

    Args:
        rgb: (T, h, w, 3) uint8; may be memory-mapped.
        texts: what the source says about which frames.
        segments: of stage 7.
        points: moving points of the same frames.
        captioner: writes the sentences.
        settings: of the paper by default.

    Raises:
        ShapeError: the numbers of frames disagree.
        DataError: a text or segment is about frames that the clip does not have.
        InferenceError: the captioner fails.
    """
    _check_frames(len(rgb), texts, points)
    bounds = [(int(first), int(last)) for first, last in segments.bounds]
    said = [
        captioner.describe(_request(rgb, texts, points, first, last, settings))
        for first, last in bounds
    ]
    chunks = [
        _entry(span, caption.instructions, [caption], captioner.name, False)
        for span, caption in zip(bounds, said, strict=True)
    ]
    merged = []
    for start, stop in merge_windows(len(bounds), settings.windows):
        inside = said[start:stop]
        span = (bounds[start][0], bounds[stop - 1][1])
        merged.append(_entry(span, captioner.merge(inside), inside, captioner.name, True))
    return Captions((*chunks, *merged))


def merge_windows(count: int, windows: Sequence[int]) -> list[tuple[int, int]]:
    """Return (first, behind the last) segment of each window to merge, short windows first.

    Windows of each given size, and all segments together, each once; one segment is no window.
    """
    sizes = sorted({size for size in (*windows, count) if 2 <= size <= count})
    return [(k, k + size) for size in sizes for k in range(count - size + 1)]


def texts_about(
    texts: Sequence[TextSpan], first: int, last: int, settings: CaptionSettings = _DEFAULT
) -> tuple[str, ...]:
    """Return the sentences about frames ``first``..``last``, the most specific first.

    Sentences that span most of the frames count as they are, the shortest span first. Shorter
    ones that belong here are joined in the order of time, one for each span, because none tells
    all of it.
    """
    length, whole, parts, rest = last - first + 1, [], {}, []
    for text in sorted(texts, key=lambda text: (text.first, text.last)):
        shared = min(last, text.last) - max(first, text.first) + 1
        if shared >= settings.covers * length:
            whole.append(text)
        elif shared >= settings.belongs * (text.last - text.first + 1):
            parts.setdefault((text.first, text.last), without_stop(text.text.strip()))
        elif shared >= settings.belongs * length:
            rest.append(text)
    if not whole and not parts:
        whole = rest
    whole.sort(key=lambda text: text.last - text.first)
    joined = ", then ".join(dict.fromkeys(parts.values()))
    return tuple(dict.fromkeys(filter(None, (joined, *(text.text.strip() for text in whole)))))


def _check_frames(frames: int, texts: Sequence[TextSpan], points: MovingPoints) -> None:
    if points.valid.shape[1] != frames:
        raise ShapeError(f"points of {points.valid.shape[1]} frames, clip of {frames}")
    for text in texts:
        if text.last >= frames:
            raise DataError(
                f"text {text.text!r} is about frames {text.first}..{text.last}; the clip has "
                f"0..{frames - 1}"
            )


def _request(
    rgb: np.ndarray,
    texts: Sequence[TextSpan],
    points: MovingPoints,
    first: int,
    last: int,
    settings: CaptionSettings,
) -> CaptionRequest:
    if not 0 <= first <= last < len(rgb):
        raise DataError(f"segment {first}..{last}: the clip has frames 0..{len(rgb) - 1}")
    where = (points.uvz, points.valid, first, last, rgb.shape[2])
    motion, moves = segment_motion(*where), moves_in_segment(*where)
    inside = slice(first, last + 1)
    shown = shown_frames(first, last, _shows_middle(motion, last - first + 1, settings))
    return CaptionRequest(
        frames=tuple(np.array(rgb[k]) for k in shown),
        motion_picture=motion_picture(
            np.array(rgb[first]), points.uv_px[moves, inside], points.valid[moves, inside]
        ),
        texts=texts_about(texts, first, last, settings),
        motion=motion,
    )


def _shows_middle(motion: SegmentMotion | None, length: int, settings: CaptionSettings) -> bool:
    moves = motion is not None and motion.way_px >= settings.middle_px
    return moves and length >= settings.middle_frames


def _entry(
    span: tuple[int, int],
    instructions: tuple[str, ...],
    captions: Sequence[Caption],
    captioner: str,
    is_merged: bool,
) -> CaptionEntry:
    """Return an entry with the labels of all captions in order, each once."""
    skills = dict.fromkeys(label for caption in captions for label in caption.skill_labels)
    objects = dict.fromkeys(label for caption in captions for label in caption.objects)
    return CaptionEntry(*span, instructions, tuple(skills), tuple(objects), captioner, is_merged)
