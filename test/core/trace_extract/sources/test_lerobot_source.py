# SPDX-License-Identifier: Apache-2.0
"""Tiny LeRobot data sets of both versions, as their own writer lays them out."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mu0_core.errors import SourceError
from mu0_core.trace_extract.records import TextSpan
from mu0_core.trace_extract.sources import lerobot
from mu0_core.trace_extract.sources.reading import ClipRef, ReadSettings

FPS, LENGTHS = 30, (12, 9, 6)
TOP, WRIST = "observation.images.top", "observation.images.wrist"
TASKS = {0: "pick the cup", 1: "place the cup"}


def _info(root, version, cameras=(TOP, WRIST), dtype="video"):
    one_each = version == "v2.1"
    data, video = (
        (
            "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
            "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
        )
        if one_each
        else (
            "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
            "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        )
    )
    features = {key: {"dtype": dtype, "shape": [48, 64, 3]} for key in cameras}
    features["observation.images.depth"] = {"dtype": "video", "info": {"is_depth_map": True}}
    features["action"] = {"dtype": "float32", "shape": [6]}
    info = {"codebase_version": version, "fps": FPS, "chunks_size": 1000, "features": features}
    (root / "meta").mkdir(parents=True)
    (root / "meta/info.json").write_text(
        json.dumps({**info, "data_path": data, "video_path": video})
    )


def _rows(episode, length):
    """The last third of every episode has the second task."""
    return {
        "timestamp": (np.arange(length) / FPS).astype(np.float32).tolist(),
        "frame_index": list(range(length)),
        "episode_index": [episode] * length,
        "task_index": [int(index >= length * 2 // 3) for index in range(length)],
    }


def _write_table(path, columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


def _write_v21(root, tiny):
    _info(root, "v2.1")
    lines = [
        {"episode_index": e, "tasks": list(TASKS.values()), "length": n}
        for e, n in enumerate(LENGTHS)
    ]
    (root / "meta/episodes.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    tasks = [json.dumps({"task_index": i, "task": text}) for i, text in TASKS.items()]
    (root / "meta/tasks.jsonl").write_text("\n".join(tasks))
    for episode, length in enumerate(LENGTHS):
        name = f"episode_{episode:06d}"
        _write_table(root / f"data/chunk-000/{name}.parquet", _rows(episode, length))
        for camera, first in ((TOP, 0), (WRIST, 20)):
            folder = root / f"videos/chunk-000/{camera}"
            folder.mkdir(parents=True, exist_ok=True)
            tiny.video(folder / f"{name}.mp4", length, FPS, first=first + episode)
    return root


def _write_v3(root, tiny, sentence_column="__index_level_0__"):
    """Episodes 0 and 1 share the first files, episode 2 has the second ones."""
    _info(root, "v3.0")
    _write_table(
        root / "meta/tasks.parquet",
        {"task_index": list(TASKS), sentence_column: list(TASKS.values())},
    )
    rows, begin = [], 0.0
    for episode, length in enumerate(LENGTHS):
        file, begin = (1, 0.0) if episode == 2 else (0, begin)
        row = {"episode_index": episode, "length": length, "tasks": list(TASKS.values())}
        row |= {"data/chunk_index": 0, "data/file_index": file}
        for camera in (TOP, WRIST):
            row |= {f"videos/{camera}/chunk_index": 0, f"videos/{camera}/file_index": file}
            # written times are rounded, so frames do not lie exactly on them
            row[f"videos/{camera}/from_timestamp"] = begin + 1e-3
            row[f"videos/{camera}/to_timestamp"] = begin + length / FPS + 1e-3
        begin += length / FPS
        rows.append({**row, "stats/action/mean": [0.0]})
    _write_table(
        root / "meta/episodes/chunk-000/file-000.parquet",
        {key: [row[key] for row in rows] for key in rows[0]},
    )
    for file, episodes in ((0, (0, 1)), (1, (2,))):
        parts = [_rows(e, LENGTHS[e]) for e in episodes]
        columns = {key: [v for part in parts for v in part[key]] for key in parts[0]}
        _write_table(root / f"data/chunk-000/file-{file:03d}.parquet", columns)
        for camera, first in ((TOP, 0), (WRIST, 5)):
            folder = root / f"videos/{camera}/chunk-000"
            folder.mkdir(parents=True, exist_ok=True)
            count = sum(LENGTHS[e] for e in episodes)
            tiny.video(folder / f"file-{file:03d}.mp4", count, FPS, first=first)
    return root


def _read(root, tmp_path, episode=0, **settings):
    ref = ClipRef("lerobot", root, f"clip{episode}", episode)
    return lerobot.read(ref, ReadSettings(**settings), tmp_path / "scratch")


def _numbers(clip, tiny):
    return [tiny.number_of(rgb) for rgb in clip.rgb]


def test_an_episode_of_v21_is_its_own_video(tmp_path, tiny):
    root = _write_v21(tmp_path / "set", tiny)
    assert lerobot.READER.matches(root)
    names = [(f"set_episode_00000{index}", index) for index in range(3)]
    assert lerobot.READER.clips(root, ReadSettings()) == names
    clip = _read(root, tmp_path, 1)
    assert _numbers(clip, tiny) == [1, 4, 7]
    assert all(tiny.has_right_colours(rgb) for rgb in clip.rgb)
    np.testing.assert_allclose(clip.stamps_s, [0, 0.1, 0.2], atol=1e-3)
    assert clip.texts == (TextSpan(0, 1, "pick the cup"), TextSpan(2, 2, "place the cup"))
    assert clip.source == f"{root}#episode_1/{TOP}"


def test_an_episode_of_v3_is_a_part_of_a_shared_video(tmp_path, tiny, caplog):
    root = _write_v3(tmp_path / "set", tiny)
    assert [index for _, index in lerobot.READER.clips(root, ReadSettings())] == [0, 1, 2]
    assert _numbers(_read(root, tmp_path, 0, fps=30), tiny) == list(range(12))
    clip = _read(root, tmp_path, 1, fps=30)
    assert _numbers(clip, tiny) == list(range(12, 21))
    np.testing.assert_allclose(clip.stamps_s, np.arange(9) / 30, atol=1e-3)
    assert clip.texts == (TextSpan(0, 5, "pick the cup"), TextSpan(6, 8, "place the cup"))
    assert _numbers(_read(root, tmp_path, 2, fps=30), tiny) == list(range(6))
    assert caplog.text == ""


def test_newer_files_name_the_column_of_the_sentence(tmp_path, tiny):
    root = _write_v3(tmp_path / "set", tiny, sentence_column="task")
    assert _read(root, tmp_path).texts[0].text == "pick the cup"


@pytest.mark.parametrize("write", [_write_v21, _write_v3])
def test_the_camera_is_the_one_asked_for_else_the_first_by_name(tmp_path, tiny, write):
    root = write(tmp_path / "set", tiny)
    numbers = [_numbers(_read(root, tmp_path, camera=c), tiny)[0] for c in ("", TOP, WRIST)]
    assert numbers[0] == numbers[1] == 0 and numbers[2] in (5, 20)
    with pytest.raises(SourceError, match=f"no camera 'side', there are: {TOP}, {WRIST}"):
        lerobot.READER.clips(root, ReadSettings(camera="side"))


def test_pictures_inside_the_table_are_read_too(tmp_path, tiny):
    root = tmp_path / "set"
    _info(root, "v2.1", dtype="image")
    (root / "meta/episodes.jsonl").write_text('{"episode_index": 0, "length": 6}')
    (root / "meta/tasks.jsonl").write_text('{"task_index": 0, "task": "a"}\n')
    pictures = [
        {"bytes": cv2.imencode(".png", tiny.picture(i)[..., ::-1])[1].tobytes(), "path": None}
        for i in range(6)
    ]
    rows = {**_rows(0, 6), "task_index": [0] * 6}
    path = root / "data/chunk-000/episode_000000.parquet"
    _write_table(path, {**rows, TOP: pictures})
    clip = _read(root, tmp_path, camera=TOP)
    assert _numbers(clip, tiny) == [0, 3] and tiny.has_right_colours(clip.rgb[0], 0)
    np.testing.assert_allclose(clip.stamps_s, [0, 0.1], atol=1e-6)
    _write_table(path, {**rows, TOP: [{"bytes": b"x", "path": None}] * 6})
    with pytest.raises(SourceError, match=f"row 0 of episode 0 has no image in {TOP}"):
        _read(root, tmp_path, camera=TOP)


def test_every_episode_has_a_hash_of_its_own_even_of_shared_files(tmp_path, tiny):
    root = _write_v3(tmp_path / "set", tiny)
    hashes = [_read(root, tmp_path, e, camera=c).source_hash for e in (0, 1) for c in (TOP, WRIST)]
    assert len(set(hashes)) == 4
    assert _read(root, tmp_path, 0, camera=TOP).source_hash == hashes[0]
    other = root / f"videos/{TOP}/chunk-000/file-001.mp4"
    other.write_bytes(other.read_bytes() + b"x")  # of episode 2 only
    assert _read(root, tmp_path, 0, camera=TOP).source_hash == hashes[0]


def test_fewer_frames_than_rows_are_warned_of(tmp_path, tiny, caplog):
    root = _write_v21(tmp_path / "set", tiny)
    tiny.video(root / f"videos/chunk-000/{TOP}/episode_000000.mp4", 6, FPS)
    assert len(_read(root, tmp_path)) == 2
    assert "episode 0 has 2 frames at 10 fps, its table says 4" in caplog.text


@pytest.mark.parametrize("version", ["v2.0", "v1.6", "v4.0", None])
def test_other_versions_are_refused_with_those_allowed(tmp_path, version):
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta/info.json").write_text(json.dumps({"codebase_version": version}))
    with pytest.raises(SourceError, match=f"version {version!r}, allowed: v2.1, v3.0"):
        lerobot.READER.clips(tmp_path, ReadSettings())


def test_a_data_set_without_its_info_is_recognised_and_named(tmp_path, tiny):
    root = _write_v21(tmp_path / "set", tiny)
    (root / "meta/info.json").unlink()
    assert lerobot.READER.matches(root)
    with pytest.raises(SourceError, match=r"meta/info.json: missing; .* \(v2.1, v3.0\)"):
        lerobot.READER.clips(root, ReadSettings())


@pytest.mark.parametrize(
    ("write", "file"),
    [
        (_write_v21, f"videos/chunk-000/{TOP}/episode_000000.mp4"),
        (_write_v21, "data/chunk-000/episode_000000.parquet"),
        (_write_v3, f"videos/{TOP}/chunk-000/file-000.mp4"),
        (_write_v3, "data/chunk-000/file-000.parquet"),
    ],
)
def test_a_missing_file_is_named_and_the_others_go_on(tmp_path, tiny, write, file):
    root = write(tmp_path / "set", tiny)
    (root / file).unlink()
    with pytest.raises(SourceError, match=f"{file}: missing, episode 0 is in it"):
        _read(root, tmp_path)
    assert len(_read(root, tmp_path, 2)) == 2


@pytest.mark.parametrize(
    ("write", "file", "content", "message"),
    [
        (_write_v21, "meta/info.json", "{", "is no JSON"),
        (_write_v21, "meta/info.json", '{"codebase_version": "v2.1"}', "needs features and a pos"),
        (_write_v21, "meta/episodes.jsonl", '{"episode_index": 0}\n{', "line 2 is no JSON"),
        (_write_v21, "meta/episodes.jsonl", "[1]", "line 1 is no JSON object"),
        (_write_v21, "meta/episodes.jsonl", "", "no episodes"),
        (_write_v21, "meta/tasks.jsonl", '{"task": "a"}', "expected task_index and task"),
        (_write_v21, "meta/tasks.jsonl", '{"task_index": 7, "task": "a"}', "no sentence for task"),
        (_write_v21, "data/chunk-000/episode_000000.parquet", "x", "cannot be read as parquet"),
        (_write_v3, "meta/tasks.parquet", "x", "cannot be read as parquet"),
        (_write_v3, "meta/episodes/chunk-000/file-000.parquet", "", "cannot be read as parquet"),
        (_write_v21, f"videos/chunk-000/{TOP}/episode_000000.mp4", "x", "no video could be dec"),
    ],
)
def test_a_broken_file_is_named(tmp_path, tiny, write, file, content, message):
    root = write(tmp_path / "set", tiny)
    (root / file).write_text(content)
    with pytest.raises(SourceError, match=message) as error:
        lerobot.READER.clips(root, ReadSettings())
        _read(root, tmp_path)
    assert "\n" not in str(error.value)


def test_a_table_without_a_column_is_named(tmp_path, tiny):
    root = _write_v21(tmp_path / "set", tiny)
    path = root / "data/chunk-000/episode_000000.parquet"
    _write_table(path, {"episode_index": [0], "timestamp": [0.0]})
    with pytest.raises(SourceError, match="episode_000000.parquet: .*task_index"):
        _read(root, tmp_path)
    _write_table(path, _rows(5, 3))
    with pytest.raises(SourceError, match="no rows of episode 0"):
        _read(root, tmp_path)


def test_an_unknown_episode_is_named(tmp_path, tiny):
    with pytest.raises(SourceError, match="no episode 9"):
        _read(_write_v3(tmp_path / "set", tiny), tmp_path, 9)


@pytest.mark.parametrize("pattern", ["/etc/{video_key}", "../{video_key}.mp4", "{nothing}", None])
def test_patterns_that_lead_elsewhere_are_refused(tmp_path, tiny, pattern):
    root = _write_v21(tmp_path / "set", tiny)
    path = root / "meta/info.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "video_path": pattern}))
    with pytest.raises(SourceError, match="video_path is .* expected a pattern of a path in"):
        _read(root, tmp_path)


def test_a_data_set_without_cameras_is_named(tmp_path):
    _info(tmp_path / "set", "v3.0", cameras=())
    with pytest.raises(SourceError, match="no feature with dtype video or image"):
        lerobot.READER.clips(tmp_path / "set", ReadSettings())
