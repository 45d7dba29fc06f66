# SPDX-License-Identifier: Apache-2.0
"""Real video files: right colours, right times, right way up, and clear words when broken."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import struct
from itertools import pairwise

import av
import numpy as np
import pytest

from mu0_core.errors import SourceError
from mu0_core.trace_extract.records import TextSpan
from mu0_core.trace_extract.sources import video
from mu0_core.trace_extract.sources.reading import ClipRef, ReadSettings


def _read(path, tmp_path, **settings):
    ref = ClipRef("video", path, "clip")
    return video.read(ref, ReadSettings(**settings), tmp_path / "scratch")


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [
        ("libx264", ".mp4"),
        ("libsvtav1", ".mp4"),
        ("libvpx-vp9", ".webm"),
        ("mpeg4", ".avi"),
        ("libx264", ".mov"),
        ("ffv1", ".mkv"),
        ("mpeg1video", ".mpg"),
        ("mpeg2video", ".mpeg"),
    ],
)
def test_every_third_of_thirty_frames_a_second_is_kept(tmp_path, tiny, codec, suffix):
    path = tiny.video(tmp_path / f"v{suffix}", codec=codec)
    clip = _read(path, tmp_path)
    assert [tiny.number_of(rgb) for rgb in clip.rgb] == list(range(0, 30, 3))
    assert all(tiny.has_right_colours(rgb) for rgb in clip.rgb)
    np.testing.assert_allclose(clip.stamps_s, np.arange(10) / 10, atol=0.002)
    assert clip.depth_m is None and clip.intrinsics is None and clip.texts == ()


def test_times_are_the_streams_own(tmp_path, tiny):
    stamps_ms = [0, 40, 300, 310, 900, 2000]
    path = tiny.video(tmp_path / "v.mkv", count=6, codec="ffv1", stamps_ms=stamps_ms)
    clip = _read(path, tmp_path)
    np.testing.assert_allclose(clip.stamps_s, [0, 0.3, 0.9, 2.0])
    assert [tiny.number_of(rgb) for rgb in clip.rgb] == [0, 2, 4, 5]


def test_times_that_forget_reordering_are_replaced_by_those_of_decoding(tmp_path, tiny):
    """Some writers stamp packets in the order of coding, so presentation times jump back."""
    path = tiny.video(tmp_path / "good.mp4")
    with av.open(str(path)) as source, av.open(str(tmp_path / "bad.mp4"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        packets = [p for p in source.demux(video=0) if p.pts is not None]
        assert any(b.pts < a.pts for a, b in pairwise(packets))  # it has B-frames
        for number, packet in enumerate(packets):
            packet.pts = packet.dts = number * 512
            packet.stream = stream
            target.mux(packet)
    clip = _read(tmp_path / "bad.mp4", tmp_path, fps=30)
    numbers = [tiny.number_of(rgb) for rgb in clip.rgb]
    assert numbers == sorted(numbers) and len(clip) >= 28
    assert np.diff(clip.stamps_s)[1:].max() < 0.05


def test_only_the_first_frames_are_decoded_when_few_are_wanted(tmp_path, tiny):
    clip = _read(tiny.video(tmp_path / "v.mp4"), tmp_path, max_frames=2, fps=30)
    assert [tiny.number_of(rgb) for rgb in clip.rgb] == [0, 1]


def _turn(path, matrix):
    """Overwrite the display matrix in the track header of an mp4."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    data[at : at + 36] = struct.pack(">9i", *matrix)
    path.write_bytes(data)


def test_a_phone_held_upright_gives_upright_frames(tmp_path, tiny):
    path = tiny.video(tmp_path / "v.mp4", count=4)
    plain = _read(path, tmp_path / "a").rgb
    one = 1 << 16
    _turn(path, (0, one, 0, -one, 0, 0, 48 * one, 0, 1 << 30))  # a quarter turn clockwise
    turned = _read(path, tmp_path / "b").rgb
    assert turned.shape[1:] == (64, 48, 3)
    np.testing.assert_array_equal(turned[0], np.rot90(plain[0], -1))
    assert np.abs(turned[0, 20, 40].astype(int) - (10, 200, 10)).max() < 12  # top went right


def test_files_beside_it_say_what_is_done_and_how_the_camera_sees(tmp_path, tiny):
    path = tiny.video(tmp_path / "v.mp4")
    (tmp_path / "v.txt").write_text("Put the cup\n on the plate.\n")
    (tmp_path / "description.txt").write_text("not this one")
    (tmp_path / "v.json").write_text(json.dumps({"fx": 60, "fy": 61, "cx": 31.5, "cy": 23.5}))
    clip = _read(path, tmp_path, max_width=32, hfov_deg=90)
    assert clip.texts == (TextSpan(0, 9, "Put the cup on the plate."),)
    assert clip.rgb.shape == (10, 24, 32, 3)
    assert (clip.intrinsics.fx, clip.intrinsics.fy) == (30, 30.5)
    assert (clip.intrinsics.cx, clip.intrinsics.cy) == (15.5, 11.5)


@pytest.mark.parametrize("name", ["description.txt", "task.txt"])
def test_a_text_of_the_folder_counts_for_its_videos(tmp_path, tiny, name):
    (tmp_path / name).write_text("stack the cubes")
    clip = _read(tiny.video(tmp_path / "v.mp4"), tmp_path)
    assert clip.texts[0].text == "stack the cubes"


def test_stated_intrinsics_are_for_videos_that_do_not_say(tmp_path, tiny):
    clip = _read(tiny.video(tmp_path / "v.mp4"), tmp_path, intrinsics=(50, 51, 32, 24))
    assert (clip.intrinsics.fx, clip.intrinsics.width) == (50, 64)


def test_the_hash_follows_every_byte_that_was_read(tmp_path, tiny):
    path = tiny.video(tmp_path / "v.mp4", count=3)
    plain = _read(path, tmp_path).source_hash
    assert plain == hashlib.sha256(path.read_bytes()).hexdigest()
    (tmp_path / "v.txt").write_text("lift")
    assert _read(path, tmp_path).source_hash != plain


def test_intrinsics_of_another_size_are_refused(tmp_path, tiny):
    path = tiny.video(tmp_path / "v.mp4", count=3)
    values = {"fx": 60, "fy": 60, "cx": 32, "cy": 24, "width": 1280, "height": 960}
    (tmp_path / "v.json").write_text(json.dumps(values))
    with pytest.raises(SourceError, match="v.json: is for 1280x960 pixels, frames have 64x48"):
        _read(path, tmp_path)


def test_a_file_that_is_no_video_is_named(tmp_path):
    path = tmp_path / "v.mp4"
    path.write_text("no video at all\n" * 100)
    with pytest.raises(SourceError, match=r"v.mp4: no video could be decoded .* allowed: .mp4"):
        _read(path, tmp_path)


def test_an_empty_file_is_named(tmp_path):
    (tmp_path / "v.mp4").touch()
    with pytest.raises(SourceError, match=r"v.mp4: is empty \(0 bytes\)"):
        _read(tmp_path / "v.mp4", tmp_path)


def test_an_mp4_that_was_cut_short_before_its_index_is_an_error(tmp_path, tiny):
    path = tiny.video(tmp_path / "v.mp4")
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"moov")])
    with pytest.raises(SourceError, match="v.mp4: no video could be decoded"):
        _read(path, tmp_path)
    assert not list((tmp_path / "scratch").glob("*"))


def _damage(path, start):
    """Zero the picture data from a share of the file on, index and all else left whole."""
    data = bytearray(path.read_bytes())
    begin = data.index(b"mdat") + 4
    end = data.index(b"moov") if data.index(b"moov") > begin else len(data)
    first = begin + int((end - begin) * start)
    data[first:end] = bytes(end - first)
    path.write_bytes(data)


def test_the_whole_part_of_a_damaged_video_is_used_with_a_warning(tmp_path, tiny, caplog):
    path = tiny.video(tmp_path / "v.mp4", codec="mjpeg")
    _damage(path, 0.5)
    with caplog.at_level(logging.WARNING):
        clip = _read(path, tmp_path)
    assert 3 <= len(clip) < 10
    assert [tiny.number_of(rgb) for rgb in clip.rgb] == list(range(0, 3 * len(clip), 3))
    assert "v.mp4: damaged after" in caplog.text


def test_less_than_two_whole_frames_are_an_error(tmp_path, tiny):
    path = tiny.video(tmp_path / "v.mp4", codec="mjpeg")
    _damage(path, 0.01)
    with pytest.raises(SourceError, match="no video could be decoded .* at least 2 whole frames"):
        _read(path, tmp_path)


@pytest.mark.parametrize(("codec", "suffix"), [("mpeg4", ".avi"), ("libvpx-vp9", ".webm")])
def test_a_missing_end_is_warned_of(tmp_path, tiny, caplog, codec, suffix):
    path = tmp_path / f"v{suffix}"
    for count in (1, 2, 30):
        _read(tiny.video(path, codec=codec, count=count), tmp_path)
    assert caplog.text == ""
    data = path.read_bytes()
    start = data.index(b"movi") if suffix == ".avi" else 0
    path.write_bytes(data[: start + (len(data) - start) // 2])
    assert 2 <= len(_read(path, tmp_path)) < 10
    assert re.search(rf"v{suffix}: ends at 0.\d s, it promises", caplog.text)


def test_sound_alone_is_no_video(tmp_path):
    path = tmp_path / "v.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        samples = np.zeros((1, 16000), np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(SourceError, match="v.mp4: holds no video stream"):
        _read(path, tmp_path)


def test_a_text_that_is_not_utf8_is_named(tmp_path, tiny):
    path = tiny.video(tmp_path / "v.mp4", count=3)
    (tmp_path / "v.txt").write_bytes(b"caf\xe9")
    with pytest.raises(SourceError, match="v.txt: is no UTF-8 text"):
        _read(path, tmp_path)
