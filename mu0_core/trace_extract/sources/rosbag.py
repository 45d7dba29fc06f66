# SPDX-License-Identifier: Apache-2.0
"""rosbag2 recordings: one clip of one camera, with depth, intrinsics and instruction if recorded.

A bag is gone through twice: for the times of all images, which say what to keep and which depth
belongs to which colour image, and for the images to keep. Times are the images' header stamps;
when a driver left those at zero, the times of recording. Which topics are taken: `bag_topics`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from mu0_core.errors import ObservationError, SourceError
from mu0_core.trace_extract.records import Clip
from mu0_core.trace_extract.sources.bag_file import (
    METADATA_FILE,
    SUFFIXES,
    BagFile,
    BagMessage,
    bag_files,
    open_bag,
)
from mu0_core.trace_extract.sources.bag_topics import (
    COMPRESSED,
    IMAGE,
    ChosenTopics,
    ImageTopic,
    choose_topics,
)
from mu0_core.trace_extract.sources.file_hash import hash_files
from mu0_core.trace_extract.sources.frame_store import FrameStore
from mu0_core.trace_extract.sources.image_message import depth_m_of, is_depth, rgb_of
from mu0_core.trace_extract.sources.nearest import nearest_within
from mu0_core.trace_extract.sources.reading import (
    ClipRef,
    Reader,
    ReadSettings,
    kept_frames,
    kept_texts,
)
from mu0_core.types import CameraIntrinsics

_LOG = logging.getLogger(__name__)


def read(ref: ClipRef, settings: ReadSettings, scratch: Path) -> Clip:
    """Read a bag.

    Raises:
        SourceError: damaged, no colour images, uncalibrated camera, depth of another size or
            another time.
    """
    with open_bag(ref.path) as bag, FrameStore(scratch, ref.name, ref.path, settings) as store:
        images = [_image_topic(bag, *item) for item in bag.topics.items() if _is_image(item[1])]
        chosen = choose_topics(ref.path, bag.topics, images, settings.topics)
        _LOG.info("%s: %s", ref.path, _describe(chosen))
        timeline = _Timeline(bag, chosen)
        kept = kept_frames(timeline.color_s, settings)
        depth_of = timeline.depth_messages(kept, settings)
        _store_images(bag, chosen, timeline.color_messages[kept], depth_of, store)
        if chosen.depth and store.frames_without_depth:
            _LOG.warning(
                "%s: %d of %d frames have no depth within half a frame period on %s",
                ref.path,
                store.frames_without_depth,
                len(kept),
                chosen.depth.name,
            )
        intrinsics = _intrinsics(bag, chosen, settings)
        rgb, depth_m = store.finish()
        return Clip(
            name=ref.name,
            source=str(ref.path),
            source_hash=hash_files(
                ref.path if ref.path.is_dir() else ref.path.parent, bag_files(ref.path)
            ),
            rgb=rgb,
            depth_m=depth_m,
            intrinsics=store.fit(intrinsics),
            stamps_s=timeline.color_s[kept] - timeline.color_s[0],
            texts=kept_texts(_instructions(bag, chosen), timeline.color_log_ns[kept]),
        )


class _Timeline:
    """When the images of a bag were taken.

    Attributes:
        color_s: (T,) time of each colour image in s from the first, increasing.
        color_log_ns: (T,) when each was recorded.
        color_messages: (T,) which message of the colour topic each is.
    """

    def __init__(self, bag: BagFile, chosen: ChosenTopics) -> None:
        self._path = bag.path
        self._depth_name = chosen.depth.name if chosen.depth else ""
        names = [chosen.color.name] + ([self._depth_name] if self._depth_name else [])
        times: dict[str, list[tuple[int, int]]] = {name: [] for name in names}
        for message in bag.messages(names):
            times[message.topic].append((message.header_ns(), message.log_ns))
        both = {name: np.array(rows, np.int64).reshape(-1, 2) for name, rows in times.items()}
        column = 0 if all(rows[:, 0].all() for rows in both.values()) else 1
        color = both[chosen.color.name]
        if not len(color):
            raise SourceError(f"{bag.path}: no frames on {chosen.color.name}")
        if column:
            _LOG.warning("%s: header stamps are zero, recording times are used", bag.path)
        self.color_messages = _rising(color[:, column])
        if len(self.color_messages) < len(color):
            _LOG.warning(
                "%s: left out %d colour images whose time does not rise",
                bag.path,
                len(color) - len(self.color_messages),
            )
        start = color[0, column]
        self.color_s = (color[self.color_messages, column] - start) / 1e9
        self.color_log_ns = color[self.color_messages, 1]
        self._depth_s = (both[self._depth_name][:, column] - start) / 1e9 if chosen.depth else None

    def depth_messages(self, kept: np.ndarray, settings: ReadSettings) -> np.ndarray:
        """Return (K,) which message of the depth topic belongs to each kept image, -1 = none.

        Raises:
            SourceError: there is depth, but never at the time of a colour image.
        """
        if self._depth_s is None:
            return np.full(len(kept), -1)
        many = len(self.color_s) > 1
        period = float(np.median(np.diff(self.color_s))) if many else 1 / settings.fps
        order = np.argsort(self._depth_s, kind="stable")
        nearest = nearest_within(self.color_s[kept], self._depth_s[order], period / 2)
        if (nearest < 0).all():
            raise SourceError(
                f"{self._path}: no image on {self._depth_name} lies within {period / 2:.3f} s of "
                "a colour image; are their clocks the same?"
            )
        return np.where(nearest >= 0, order[nearest], -1)


def _rising(times_ns: np.ndarray) -> np.ndarray:
    """Return the indices of the times that are later than all before them."""
    before = np.maximum.accumulate(times_ns)
    return np.flatnonzero(np.diff(before, prepend=before[0] - 1) > 0)


def _store_images(
    bag: BagFile,
    chosen: ChosenTopics,
    color_messages: np.ndarray,
    depth_messages: np.ndarray,
    store: FrameStore,
) -> None:
    """Decode the images to keep; colour comes in order, depth whenever it was recorded."""
    color_name = chosen.color.name
    depth_name = chosen.depth.name if chosen.depth else ""
    is_kept = set(color_messages.tolist())
    frames_of: dict[int, list[int]] = {}
    for frame, message in enumerate(depth_messages.tolist()):
        frames_of.setdefault(message, []).append(frame)
    seen = {color_name: -1, depth_name: -1}
    for message in bag.messages([name for name in (color_name, depth_name) if name]):
        seen[message.topic] += 1
        ordinal = seen[message.topic]
        if message.topic == color_name and ordinal in is_kept:
            store.add(_pixels(bag, message, rgb_of))
        elif message.topic == depth_name and ordinal in frames_of:
            depth_m = _pixels(bag, message, depth_m_of)
            for frame in frames_of[ordinal]:
                store.set_depth(frame, depth_m)


def _pixels(
    bag: BagFile, message: BagMessage, convert: Callable[[object], np.ndarray]
) -> np.ndarray:
    try:
        return convert(bag.decode(message))
    except SourceError as error:
        raise SourceError(f"{bag.path}: {message.topic}: {error}") from error


def _is_image(topic: tuple[str, int]) -> bool:
    return topic[0] in (IMAGE, COMPRESSED)


def _image_topic(bag: BagFile, name: str, topic: tuple[str, int]) -> ImageTopic:
    """Look at the first message of an image topic."""
    kind, count = topic
    message = bag.decode(bag.first(name))
    depth, grey = is_depth(message), getattr(message, "encoding", "") == "mono8"
    try:
        height, width = (depth_m_of if depth else rgb_of)(message).shape[:2]
    except SourceError as error:
        return ImageTopic(name, count, kind == IMAGE, depth, grey, problem=str(error))
    return ImageTopic(name, count, kind == IMAGE, depth, grey, (width, height))


def _intrinsics(
    bag: BagFile, chosen: ChosenTopics, settings: ReadSettings
) -> CameraIntrinsics | None:
    """Return what the camera says about itself, else what the settings state, or None."""
    if chosen.camera_info is None:
        return settings.stated_intrinsics(*chosen.color.size)
    info = bag.decode(bag.first(chosen.camera_info))
    stated = settings.stated_intrinsics(*chosen.color.size)
    if stated is not None and not info.k.any():  # it says nothing
        return stated
    # A rectified image is described by P, a raw one by K; drivers may leave P at zero.
    use_p = "rect" in chosen.color.name and info.p.any()
    numbers = info.p[[0, 5, 2, 6]] if use_p else info.k[[0, 4, 2, 5]]  # fx fy cx cy
    if not use_p and info.d.any():
        _LOG.warning(
            "%s: %s is not rectified; its distortion is ignored", bag.path, chosen.color.name
        )
    try:
        return CameraIntrinsics(info.width, info.height, *map(float, numbers))
    except ObservationError as error:
        raise SourceError(f"{bag.path}: {chosen.camera_info}: {error}") from error


def _instructions(bag: BagFile, chosen: ChosenTopics) -> list[tuple[float, float, str]]:
    """Return each sentence with the recording times from its message to before the next."""
    if chosen.instruction is None:
        return []
    said: list[tuple[int, str]] = []
    for message in bag.messages([chosen.instruction]):
        text = bag.decode(message).data
        if not said or said[-1][1] != text:  # a latched or repeated sentence counts once
            said.append((message.log_ns, text))
    ends: list[float] = [log_ns - 1 for log_ns, _ in said[1:]] + [np.inf]
    return [(log_ns, end, text) for (log_ns, text), end in zip(said, ends)]


def _describe(chosen: ChosenTopics) -> str:
    roles: Mapping[str, str | None] = {
        "colour": chosen.color.name,
        "depth": chosen.depth and chosen.depth.name,
        "camera info": chosen.camera_info,
        "instruction": chosen.instruction,
    }
    return ", ".join(f"{role} {name or 'none'}" for role, name in roles.items())


READER = Reader(
    matches=lambda path: (
        (path.is_dir() and (path / METADATA_FILE).is_file() and len(bag_files(path)) > 1)
        or (path.is_file() and path.suffix.lower() in SUFFIXES)
    ),
    clips=lambda path, settings: [(path.name if path.is_dir() else path.stem, 0)],
    read=read,
)
