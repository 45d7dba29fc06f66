# SPDX-License-Identifier: Apache-2.0
"""The rules that choose topics, each on the names that real cameras use."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from mu0_core.errors import SourceError
from mu0_core.trace_extract.sources.bag_topics import (
    CAMERA_INFO,
    COMPRESSED,
    IMAGE,
    STRING,
    ImageTopic,
    choose_topics,
)

SIZE, OTHER = (640, 480), (848, 480)


def _choose(images, others=(), **named):
    topics = {i.name: (IMAGE if i.is_raw else COMPRESSED, i.count) for i in images}
    topics |= {name: (kind, 1) for name, kind in others}
    return choose_topics(Path("bag"), topics, images, named)


def _color(name, count=9, is_raw=True, **values):
    return ImageTopic(name, count, is_raw, is_depth=False, size=SIZE, **values)


def _depth(name, count=9, is_raw=True, size=SIZE):
    return ImageTopic(name, count, is_raw, is_depth=True, size=size)


def _assert_first_wins(images, role):
    """Whatever the order in which the bag lists them."""
    for order in itertools.permutations(images):
        others = [] if role == "color" else [_color("/camera/color/image_raw")]
        assert getattr(_choose([*others, *order]), role).name == images[0].name


@pytest.mark.parametrize(
    "images",
    [
        [_color("/camera/color/image_raw"), _color("/camera/infra1/image_rect_raw", is_grey=True)],
        [_color("/b/image"), _color("/a/image", is_grey=True)],
        [_color("/z/rgb/image"), _color("/a/fisheye/image")],
        [_color("/c/rgb/image_rect_color"), _color("/c/rgb/image_raw")],
        [_color("/c/color/image_raw"), _color("/c/color/jpeg", is_raw=False)],
        [_color("/front/color/image", 90), _color("/a/color/image", 9)],
        [_color("/a/image"), _color("/b/image"), _color("/c/image")],
        [_color("/a/image"), _color("/a/color/image", problem="colour encoding 'bayer'")],
    ],
)
def test_colour_of_several(images):
    _assert_first_wins(images, "color")


@pytest.mark.parametrize(
    "images",
    [
        [
            _depth("/camera/aligned_depth_to_color/image_raw"),
            _depth("/camera/depth/image_rect_raw", size=OTHER),
        ],
        [_depth("/camera/depth_registered/image"), _depth("/camera/depth/image")],
        [_depth("/camera/depth/image"), _depth("/other/aligned_depth_to_color/image_raw")],
        [_depth("/camera/d1/image"), _depth("/camera/d0/image", size=OTHER)],
        [_depth("/camera/d/image"), _depth("/camera/d/png", is_raw=False)],
    ],
)
def test_depth_of_several(images):
    _assert_first_wins(images, "depth")


def test_the_camera_info_beside_the_colour_is_taken_and_no_other():
    infos = [
        ("/cam/depth/camera_info", CAMERA_INFO),
        ("/cam/color/camera_info", CAMERA_INFO),
        ("/cam/camera_info", CAMERA_INFO),
        ("/cam2/color/camera_info", CAMERA_INFO),
    ]
    image = [_color("/cam/color/image_raw/compressed", is_raw=False)]
    assert _choose(image, infos).camera_info == "/cam/color/camera_info"
    assert _choose(image, infos[2:]).camera_info == "/cam/camera_info"
    assert _choose(image, infos[3:]).camera_info is None


def test_an_instruction_is_known_by_its_name():
    strings = [("/robot_description", STRING), ("/task", STRING), ("/x/instruction", STRING)]
    assert _choose([_color("/c")], strings).instruction == "/x/instruction"
    assert _choose([_color("/c")], strings[:2]).instruction == "/task"
    assert _choose([_color("/c")], strings[:1]).instruction is None


def test_named_topics_override_every_rule():
    images = [_color("/a/color"), _color("/b/color"), _depth("/a/d"), _depth("/b/d")]
    others = [("/b/info", CAMERA_INFO), ("/say", STRING)]
    chosen = _choose(
        images, others, color="/b/color", depth="/a/d", camera_info="/b/info", instruction="/say"
    )
    assert (chosen.color.name, chosen.depth.name) == ("/b/color", "/a/d")
    assert (chosen.camera_info, chosen.instruction) == ("/b/info", "/say")


@pytest.mark.parametrize(("role", "name"), [("color", "/none"), ("camera_info", "/a/color")])
def test_named_topics_must_be_there_and_of_that_type(role, name):
    with pytest.raises(SourceError, match=f"bag: no topic '{name}' with {role} messages"):
        _choose([_color("/a/color")], **{role: name})


def test_depth_that_is_not_registered_is_refused_with_advice():
    with pytest.raises(SourceError, match="/d has 848x480 pixels, /c 640x480.* aligned topic"):
        _choose([_color("/c"), _depth("/d", size=OTHER)])


def test_a_bag_without_usable_colour_says_what_it_has():
    with pytest.raises(SourceError, match=r"no colour images; topics: /d \(sensor_msgs/msg/Im"):
        _choose([_depth("/d")])
    with pytest.raises(SourceError, match="no colour images; /c: colour encoding 'bayer'"):
        _choose([_color("/c", problem="colour encoding 'bayer'")])
