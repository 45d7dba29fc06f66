# SPDX-License-Identifier: Apache-2.0
"""Which topics of a bag are taken, by their types and by rules that depend on nothing else.

A topic that `ReadSettings.topics` names is always taken. Otherwise:

- ``color``: an image that holds no depth. Of several the one with colour before grey, then with
  "color" or "rgb" in its name, rectified, raw rather than compressed, with more messages, with the
  shorter name, then by the alphabet.
- ``depth``: an image that states to hold depth. Of several the one that shares more of its name
  with the colour topic, then says that it is aligned or registered to colour, has the colour's
  size, is raw, has more messages, the shorter name, then by the alphabet.
- ``camera_info``: the one beside the colour topic (or further up in its name), never another.
- ``instruction``: a string whose name says instruction, task, prompt or language, in this order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mu0_core.errors import SourceError

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
STRING = "std_msgs/msg/String"
_ROLE_TYPES = {
    "color": (IMAGE, COMPRESSED),
    "depth": (IMAGE, COMPRESSED),
    "camera_info": (CAMERA_INFO,),
    "instruction": (STRING,),
}
_COLOR_WORDS = ("color", "colour", "rgb")
_ALIGNED_WORDS = ("aligned", "registered", "to_color", "to_rgb")
_INSTRUCTION_WORDS = ("instruction", "task", "prompt", "language")


@dataclass(frozen=True, slots=True)
class ImageTopic:
    """An image topic and what its first message tells.

    Attributes:
        name: topic.
        count: messages.
        is_raw: sensor_msgs/Image, not compressed.
        is_depth: states to hold depth.
        is_grey: mono8.
        size: width and height in pixels, or None when the message could not be decoded.
        problem: why it could not, or "".
    """

    name: str
    count: int
    is_raw: bool
    is_depth: bool
    is_grey: bool = False
    size: tuple[int, int] | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ChosenTopics:
    """The topic of each role; None = the bag has none."""

    color: ImageTopic
    depth: ImageTopic | None
    camera_info: str | None
    instruction: str | None


def choose_topics(
    path: Path,
    topics: Mapping[str, tuple[str, int]],
    images: Sequence[ImageTopic],
    named: Mapping[str, str],
) -> ChosenTopics:
    """Choose by the rules above.

    Args:
        path: of the bag, for errors.
        topics: topic -> type name and count, all of the bag.
        images: its image topics.
        named: role -> topic that the user asks for.

    Raises:
        SourceError: a named topic is missing or of another type, there is no usable colour, or
            depth is of another size than colour.
    """
    _check_named(path, topics, named)
    by_name = {image.name: image for image in images}
    color = by_name[named["color"]] if "color" in named else _color(images)
    if color is None or color.problem:
        held = ", ".join(f"{name} ({kind})" for name, (kind, _) in sorted(topics.items()))
        why = f"; {color.name}: {color.problem}" if color else ""
        raise SourceError(f"{path}: no colour images{why}; topics: {held or 'none'}")
    depth = by_name[named["depth"]] if "depth" in named else _depth(images, color)
    if depth is not None:
        _check_depth(path, color, depth)
    return ChosenTopics(
        color,
        depth,
        named.get("camera_info") or _camera_info(topics, color.name),
        named.get("instruction") or _instruction(topics),
    )


def _check_named(
    path: Path, topics: Mapping[str, tuple[str, int]], named: Mapping[str, str]
) -> None:
    for role, topic in named.items():
        allowed = sorted(name for name, (kind, _) in topics.items() if kind in _ROLE_TYPES[role])
        if topic not in allowed:
            raise SourceError(
                f"{path}: no topic {topic!r} with {role} messages, there are: "
                f"{', '.join(allowed) or 'none'}"
            )


def _color(images: Sequence[ImageTopic]) -> ImageTopic | None:
    def rank(image: ImageTopic) -> tuple:
        return (
            bool(image.problem),
            image.is_grey,
            not _has(image.name, _COLOR_WORDS),
            "rect" not in image.name,
            not image.is_raw,
            -image.count,
            len(image.name),
            image.name,
        )

    return min((image for image in images if not image.is_depth), key=rank, default=None)


def _depth(images: Sequence[ImageTopic], color: ImageTopic) -> ImageTopic | None:
    def rank(image: ImageTopic) -> tuple:
        return (
            bool(image.problem),
            -_shared_parts(image.name, color.name),
            not _has(image.name, _ALIGNED_WORDS),
            image.size != color.size,
            not image.is_raw,
            -image.count,
            len(image.name),
            image.name,
        )

    return min((image for image in images if image.is_depth), key=rank, default=None)


def _check_depth(path: Path, color: ImageTopic, depth: ImageTopic) -> None:
    if depth.problem:
        raise SourceError(f"{path}: {depth.name}: {depth.problem}")
    if depth.size != color.size:
        raise SourceError(
            f"{path}: {depth.name} has {'x'.join(map(str, depth.size))} pixels, {color.name} "
            f"{'x'.join(map(str, color.size))}; depth must be registered to colour: record and "
            "name the aligned topic, e.g. aligned_depth_to_color/image_raw"
        )


def _camera_info(topics: Mapping[str, tuple[str, int]], color: str) -> str | None:
    beside = [
        name
        for name, (kind, _) in topics.items()
        if kind == CAMERA_INFO and color.startswith(name.rpartition("/")[0] + "/")
    ]
    return max(beside, key=lambda name: (name.count("/"), name), default=None)


def _instruction(topics: Mapping[str, tuple[str, int]]) -> str | None:
    strings = sorted(name for name, (kind, _) in topics.items() if kind == STRING)
    return next(
        (name for word in _INSTRUCTION_WORDS for name in strings if word in name.lower()), None
    )


def _has(name: str, words: Sequence[str]) -> bool:
    return any(word in name.lower() for word in words)


def _shared_parts(name: str, other: str) -> int:
    shared = 0
    for a, b in zip(name.split("/"), other.split("/")):
        if a != b:
            break
        shared += 1
    return shared
