# SPDX-License-Identifier: Apache-2.0
"""Video files through PyAV, whose wheels bring ffmpeg with H.264, HEVC, VP9 and AV1.

Beside ``NAME.mp4`` may lie ``NAME.txt`` (else ``description.txt`` or ``task.txt`` in the folder)
with a sentence about the whole clip, and ``NAME.json`` with fx, fy, cx, cy of the upright picture.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mu0_core.errors import SourceError
from mu0_core.trace_extract.records import Clip
from mu0_core.trace_extract.sources.file_hash import hash_files
from mu0_core.trace_extract.sources.frame_store import FrameStore
from mu0_core.trace_extract.sources.reading import (
    ClipRef,
    FrameThinning,
    Reader,
    ReadSettings,
    import_extra,
    kept_texts,
)
from mu0_core.trace_extract.sources.sidecar import FOLDER_TEXTS, read_camera, read_text

if TYPE_CHECKING:
    import av

_LOG = logging.getLogger(__name__)
SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".mpg", ".mpeg")
# A damaged file is used when at least this much of it could be decoded.
_LEAST_FRAMES = 2
# A file that ends before this share of what its headers say was cut short.
_WHOLE_SHARE = 0.9
# Workers share the cores already; more threads per decoder cost memory and bring little.
_DECODER_THREADS = 2


def read(ref: ClipRef, settings: ReadSettings, scratch: Path) -> Clip:
    """Read a video file.

    Raises:
        SourceError: no video stream, fewer than two frames of a damaged file, a bad sidecar file.
    """
    text, camera = _text_file(ref.path), ref.path.with_suffix(".json")
    camera_file = read_camera(camera) if camera.exists() else None
    with FrameStore(scratch, ref.name, ref.path, settings) as store:
        stamps = store_frames(ref.path, settings, store)
        width, height = store.source_size
        intrinsics = (
            camera_file.intrinsics(width, height)
            if camera_file
            else settings.stated_intrinsics(width, height)
        )
        rgb, _ = store.finish()
        texts = [(0, np.inf, read_text(text))] if text else []
        files = [ref.path, *([text] if text else []), *([camera] if camera_file else [])]
        return Clip(
            name=ref.name,
            source=str(ref.path),
            source_hash=hash_files(ref.path.parent, files),
            rgb=rgb,
            depth_m=None,
            intrinsics=store.fit(intrinsics),
            stamps_s=stamps - stamps[0],
            texts=kept_texts(texts, np.arange(len(rgb))),
        )


def store_frames(
    path: Path,
    settings: ReadSettings,
    store: FrameStore,
    begin_s: float = 0.0,
    end_s: float = np.inf,
) -> np.ndarray:
    """Append the frames to keep of ``begin_s <= t < end_s`` and return their times (T,) in s.

    Raises:
        SourceError: not a video, no frame in that time, or too little of a damaged file.
    """
    if path.exists() and not path.stat().st_size:
        raise SourceError(f"{path}: is empty (0 bytes), expected a video")
    error_type = import_extra("av").error.FFmpegError
    thinning, stamps, decoded, damage = FrameThinning(settings), [], 0, None
    try:
        for stamp_s, frame in _decode(path, begin_s):
            if stamp_s >= end_s or thinning.is_full:
                break
            decoded += 1
            if thinning.keep(stamp_s):
                store.add(_upright(frame))
                stamps.append(stamp_s)
    except (error_type, OSError) as error:  # PyAV's own errors are partly OSErrors
        damage = getattr(error, "strerror", None) or str(error)
    if damage and decoded < _LEAST_FRAMES:
        raise SourceError(
            f"{path}: no video could be decoded ({damage}); allowed: {', '.join(SUFFIXES)} with "
            f"at least {_LEAST_FRAMES} whole frames"
        )
    if damage:
        _LOG.warning("%s: damaged after %d frames (%s); those are used", path, decoded, damage)
    if not stamps:
        raise SourceError(f"{path}: no frames")
    return np.array(stamps)


def _decode(path: Path, begin_s: float) -> Iterator[tuple[float, av.VideoFrame]]:
    """Yield time in s and frame from ``begin_s`` on, times strictly increasing."""
    av = import_extra("av")
    with av.open(str(path)) as container:
        if not container.streams.video:
            raise SourceError(f"{path}: holds no video stream")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = _DECODER_THREADS
        if begin_s > 0:
            container.seek(int(begin_s / stream.time_base), stream=stream, backward=True)
        clock, last_s, repeated = _Clock(path, stream.average_rate), -np.inf, 0
        for frame in container.decode(stream):
            stamp_s = clock.time_s(frame)
            if stamp_s <= last_s:
                repeated += 1
            elif stamp_s >= begin_s:
                yield stamp_s, frame
            last_s = max(last_s, stamp_s)
        if repeated:
            _LOG.warning("%s: left out %d frames whose time does not rise", path, repeated)
        promised_s = _promised_s(container, stream)
        period_s = float(1 / stream.average_rate) if stream.average_rate else 0.0
        if last_s + period_s < _WHOLE_SHARE * promised_s:
            _LOG.warning("%s: ends at %.1f s, it promises %.1f s", path, last_s, promised_s)


def _promised_s(container: av.container.InputContainer, stream: av.VideoStream) -> float:
    """Return when the headers say that the stream ends, in its own time; 0 = they do not."""
    if stream.duration:
        return float(((stream.start_time or 0) + stream.duration) * stream.time_base)
    return ((container.start_time or 0) + (container.duration or 0)) / 1e6


class _Clock:
    """The time of each frame by the stream's own stamps.

    Frames carry a presentation and a decoding stamp. Some writers forget that B-frames change
    the order and leave presentation stamps that jump back; the kind that did so less often counts.
    """

    def __init__(self, path: Path, average_rate: Fraction | None) -> None:
        self._path, self._average_rate = path, average_rate
        self._last: dict[str, int | None] = {"pts": None, "dts": None}
        self._jumps = {"pts": 0, "dts": 0}
        self._time_s: float | None = None

    def time_s(self, frame: av.VideoFrame) -> float:
        """Return the time of the next frame, or one period of the stated rate after the last.

        Raises:
            SourceError: there is neither a stamp nor a rate.
        """
        for kind, last in self._last.items():
            stamp = getattr(frame, kind)
            self._jumps[kind] += stamp is not None and last is not None and stamp <= last
            self._last[kind] = stamp if stamp is not None else last
        usable = [kind for kind in self._last if getattr(frame, kind) is not None]
        if usable:
            kind = min(usable, key=self._jumps.__getitem__)
            self._time_s = float(getattr(frame, kind) * frame.time_base)
        elif self._average_rate:
            last_s = self._time_s
            self._time_s = 0.0 if last_s is None else last_s + float(1 / self._average_rate)
        else:
            raise SourceError(f"{self._path}: a frame has no time and the stream states no rate")
        return self._time_s


def _upright(frame: av.VideoFrame) -> np.ndarray:
    """Return rgb (h, w, 3) uint8, turned as the file asks for."""
    return np.rot90(frame.to_ndarray(format="rgb24"), k=round(frame.rotation / 90) % 4)


def _text_file(path: Path) -> Path | None:
    candidates = [path.with_suffix(".txt"), *(path.parent / name for name in FOLDER_TEXTS)]
    return next((text for text in candidates if text.is_file()), None)


READER = Reader(
    matches=lambda path: path.is_file() and path.suffix.lower() in SUFFIXES,
    clips=lambda path, settings: [(path.stem, 0)],
    read=read,
)
