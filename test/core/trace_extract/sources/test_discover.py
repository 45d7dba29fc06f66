# SPDX-License-Identifier: Apache-2.0
"""Paths become clips with names of their own; what cannot be used is listed and stops nothing."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys

import cv2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mu0_core.errors import SourceError
from mu0_core.trace_extract.sources.discover import READERS, _own_name, find_clips, read_clip
from mu0_core.trace_extract.sources.natural_order import in_natural_order
from mu0_core.trace_extract.sources.reading import ClipRef, ReadSettings

SETTINGS = ReadSettings()


def _touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_every_kind_is_recognised_and_read(tmp_path, tiny, bags, image_folder):
    image_folder("d_rgbd")
    video = tiny.video(tmp_path / "c.MP4")
    bags.write(tmp_path / "b_bag", [("/image", 1, bags.image(1, tiny.picture(), "rgb8"))])
    refs, unusable = find_clips([tmp_path], SETTINGS)
    assert [(ref.kind, ref.name) for ref in refs] == [
        ("rosbag", "b_bag"),
        ("video", "c"),
        ("rgbd_folder", "d_rgbd"),
    ]
    assert unusable == []
    for ref in refs:
        clip = read_clip(pickle.loads(pickle.dumps(ref)), SETTINGS, tmp_path / "scratch")
        assert clip.name == ref.name and tiny.has_right_colours(clip.rgb[0])
    assert refs[1].path == video


def test_folders_are_searched_in_natural_order(tmp_path):
    names = ["take_10.mp4", "take_9.mp4", "Take_1.avi", "more/x.mcap", "take_2/a.mov"]
    _touch(*(tmp_path / name for name in names), tmp_path / ".hidden.mp4", tmp_path / "notes.txt")
    refs, unusable = find_clips([tmp_path], SETTINGS)
    order = ["more/x.mcap", "Take_1.avi", "take_2/a.mov", "take_9.mp4", "take_10.mp4"]
    assert [ref.path for ref in refs] == [tmp_path / name for name in order]
    assert unusable == []


def test_names_are_unique_legal_and_the_same_every_time(tmp_path):
    names = ["a/clip.mp4", "b/clip.mp4", "b/clip-2.mp4", "c/Clip.avi", "d/été ☀.mp4", "d/☀.mp4"]
    _touch(*(tmp_path / name for name in names))
    first = [ref.name for ref in find_clips([tmp_path], SETTINGS)[0]]
    assert first == [ref.name for ref in find_clips([tmp_path], SETTINGS)[0]]
    assert first == ["clip", "clip-2", "clip-3", "Clip-4", "t", "clip-5"]


@given(st.lists(st.text(max_size=200), max_size=12))
def test_any_names_become_legal_and_differ(names):
    taken = set()
    own = [_own_name(name, taken) for name in names]
    assert len({name.lower() for name in own}) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,130}", name) for name in own)


def test_a_path_given_twice_counts_once(tmp_path):
    _touch(tmp_path / "a.mp4")
    (tmp_path / "again").symlink_to(tmp_path)  # a folder in itself ends too
    refs, unusable = find_clips([tmp_path / "a.mp4", tmp_path, str(tmp_path)], SETTINGS)
    assert [ref.name for ref in refs] == ["a"] and unusable == []


def test_what_cannot_be_used_is_listed_and_the_others_go_on(tmp_path):
    good, bad = tmp_path / "a.mp4", tmp_path / "b.wmv"
    _touch(good, bad, tmp_path / "set/meta/episodes.jsonl", tmp_path / "set/data/x.parquet")
    (tmp_path / "nothing").mkdir()
    paths = [tmp_path / "gone.mp4", bad, tmp_path / "set", tmp_path / "nothing", good]
    refs, unusable = find_clips(paths, SETTINGS)
    assert [ref.path for ref in refs] == [good]
    assert [path for path, _ in unusable] == paths[:4]
    reasons = [reason for _, reason in unusable]
    assert "gone.mp4: does not exist, allowed: a video (.mp4" in reasons[0]
    assert "b.wmv: unknown suffix '.wmv', allowed: a video" in reasons[1]
    assert "meta/info.json: missing" in reasons[2]
    assert "nothing: nothing to read in it, allowed:" in reasons[3]
    assert not any("\n" in reason for reason in reasons)


def test_unknown_files_of_a_folder_are_one_line(tmp_path):
    _touch(*(tmp_path / f"{i}.wmv" for i in range(5)), tmp_path / "a.mp4", tmp_path / "a.json")
    refs, unusable = find_clips([tmp_path], SETTINGS)
    assert len(refs) == 1 and len(unusable) == 1
    assert "5 unknown files (0.wmv, 1.wmv, 2.wmv) in it" in unusable[0][1]


def test_pictures_beside_clips_are_no_clip(tmp_path, tiny, image_folder):
    image_folder("takes/one", depth=None)
    for folder in ("takes", "videos"):
        (tmp_path / folder).mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / folder / "preview.png"), tiny.picture())
    _touch(tmp_path / "videos/a.mp4")
    refs, unusable = find_clips([tmp_path / "takes", tmp_path / "videos"], SETTINGS)
    assert [(ref.kind, ref.name) for ref in refs] == [("rgbd_folder", "one"), ("video", "a")]
    assert unusable == []


def test_an_unknown_kind_is_named(tmp_path):
    ref = ClipRef("tape", tmp_path, "a")
    with pytest.raises(SourceError, match=f"source 'tape', allowed: {', '.join(READERS)}"):
        read_clip(ref, SETTINGS, tmp_path)


def test_natural_order_compares_numbers_as_numbers(tmp_path):
    names = ["b", "a10", "a9b", "A9a", "a09c", "10", "9"]
    ordered = [path.name for path in in_natural_order(tmp_path / name for name in names)]
    assert ordered == ["9", "10", "A9a", "a9b", "a09c", "a10", "b"]


def test_listing_needs_none_of_the_optional_packages():
    code = (
        "import sys, mu0_core.trace_extract.sources.discover as d, pathlib;"
        "d.find_clips([pathlib.Path('x.mp4')], d.ReadSettings());"
        "sys.exit(any(m in sys.modules for m in ('av', 'rosbags', 'pyarrow', 'torch', 'rclpy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    fails = code.replace("sys.exit", "import av; sys.exit")  # and it would notice
    assert subprocess.run([sys.executable, "-c", fails], check=False).returncode == 1
