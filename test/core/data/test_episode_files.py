# SPDX-License-Identifier: Apache-2.0
"""What was written is read back; what is broken is named; nothing is written halfway."""

import pickle

import numpy as np
import pytest

from mu0_core.data.episode import EpisodeReader
from mu0_core.errors import DataError


def test_what_was_written_is_read_back(episode_dir):
    episode = EpisodeReader(episode_dir)
    assert episode.image_size == (32, 24) and len(episode) == 3
    assert episode.frame_indices.tolist() == [0, 2, 4]
    assert episode.captions.at(2) == [("pick the cup", "grasp the cup")]
    slot = episode.slot(1)
    assert (slot.frame, len(slot)) == (2, 7)
    assert slot.future.shape == (7, 33, 3) and slot.history.shape == (7, 9, 3)
    np.testing.assert_array_equal(slot.future[:, 0], slot.history[:, 0])
    np.testing.assert_array_equal(slot.valid_future.sum(axis=1), [5] + [33] * 6)
    assert np.all(np.isneginf(slot.future[0, 5:]))
    assert slot.is_moving.tolist() == [True, False] + [True] * 5
    assert np.isnan(episode.depth_m[:, :3]).all() and np.isfinite(episode.depth_m[:, 3:]).all()


def test_the_files_have_the_released_names_shapes_and_types(episode_dir):
    expected = {
        "images": ((6, 24, 32, 3), "uint8"),
        "depth": ((6, 24, 32), "float16"),
        "samples/frame_indices": ((3,), "int32"),
        "samples/offsets": ((4,), "int64"),
        "samples/is_moving": ((21,), "bool"),
        "samples/cluster_ids": ((21,), "int32"),
        "samples/traj": ((21, 128, 3), "float16"),
        "samples/valid_steps": ((21, 128), "bool"),
        "samples/traj_history": ((21, 32, 3), "float16"),
        "samples/valid_steps_history": ((21, 32), "bool"),
    }
    for name, (shape, dtype) in expected.items():
        array = np.load(episode_dir / f"{name}.npy", allow_pickle=False)
        assert (array.shape, str(array.dtype)) == (shape, dtype), name
    with np.load(episode_dir / "cameras.npz", allow_pickle=False) as cameras:
        assert cameras["intrinsics"].shape == (6, 3, 3) and int(cameras["width"]) == 32


def test_clusters_and_captions_are_optional(episode_dir):
    (episode_dir / "samples/cluster_ids.npy").unlink()
    (episode_dir / "curated_training_texts.json").unlink()
    episode = EpisodeReader(episode_dir)
    assert np.all(episode.slot(0).cluster_ids == -1) and episode.captions.at(0) == []


def test_a_point_is_valid_only_where_marked_and_finite(episode_dir):
    path = episode_dir / "samples/valid_steps.npy"
    np.save(path, np.ones_like(np.load(path)))
    assert EpisodeReader(episode_dir).slot(0).valid_future[0].sum() == 5


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-40])


def drop(path):
    path.unlink()


def change(edit):
    def apply(path):
        np.save(path, edit(np.load(path)), allow_pickle=False)

    return apply


def put_pickle(path):
    path.write_bytes(pickle.dumps({"not": "an array"}))


def put_archive(path):
    with path.open("wb") as file:
        np.savez(file, images=np.zeros((2, 4, 4, 3), np.uint8))


BROKEN = [
    ("images.npy", drop, "missing"),
    ("images.npy", cut_short, "cut short"),
    ("images.npy", change(lambda a: a.astype(np.float32)), "float32"),
    ("images.npy", put_pickle, "npy"),
    ("images.npy", put_archive, "npy"),
    ("images.npy", change(lambda a: a[:0]), "holds no pixel"),
    ("depth.npy", change(lambda a: a[:, :-1]), "23"),
    ("depth.npy", drop, "missing"),
    ("samples/traj.npy", cut_short, "cut short"),
    ("samples/traj.npy", change(lambda a: a[..., :2]), "None, 3"),
    ("samples/valid_steps.npy", change(lambda a: a.astype(np.uint8)), "kind 'b'"),
    ("samples/valid_steps_history.npy", change(lambda a: a[:-1]), "20"),
    ("samples/offsets.npy", change(lambda a: a[::-1].copy()), "rise from 0"),
    ("samples/offsets.npy", change(lambda a: a + 1), "rise from 0"),
    ("samples/frame_indices.npy", change(lambda a: a + 3), "0..5"),
    ("curated_training_texts.json", lambda p: p.write_text("{"), "cannot be read as JSON"),
]


@pytest.mark.parametrize(("name", "damage", "reason"), BROKEN)
def test_a_broken_file_is_named_with_the_reason(episode_dir, name, damage, reason):
    EpisodeReader(episode_dir)
    damage(episode_dir / name)
    with pytest.raises(DataError) as caught:
        EpisodeReader(episode_dir)
    assert name in str(caught.value) and reason in str(caught.value)


@pytest.mark.parametrize("lengths", [{"future_len": 128}, {"history_len": 32}])
def test_too_few_columns_are_named(episode_dir, lengths):
    with pytest.raises(DataError, match="columns, need"):
        EpisodeReader(episode_dir, **lengths)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_is_found_in_the_slot_that_holds_it(episode_dir, value):
    path = episode_dir / "samples/traj.npy"
    points = np.load(path)
    points[10, 3, 1] = value
    np.save(path, points)
    episode = EpisodeReader(episode_dir)
    episode.slot(0)
    with pytest.raises(DataError, match=r"traj\.npy: slot 1 holds NaN"):
        episode.slot(1)
    with pytest.raises(DataError, match="slot 3 of 3"):
        episode.slot(3)


def test_depth_is_not_needed_when_not_asked_for(episode_dir):
    (episode_dir / "depth.npy").unlink()
    assert EpisodeReader(episode_dir, with_depth=False).depth_m is None


def test_a_failed_write_leaves_nothing(make_writer, tmp_path, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="no space"):
        make_writer().write(tmp_path / "episode")
    assert list(tmp_path.iterdir()) == []


def test_an_episode_is_never_overwritten(make_writer, episode_dir):
    before = (episode_dir / "images.npy").read_bytes()
    with pytest.raises(DataError, match="exists"):
        make_writer(1).write(episode_dir)
    assert (episode_dir / "images.npy").read_bytes() == before


def test_bad_slots_are_refused(make_writer):
    path, moving, ids = np.ones((2, 3, 3)), np.ones(2, bool), np.zeros(2, int)
    late = path.copy()
    late[1, 0] = -np.inf
    for frame, future, named in (
        (4, path, "added before"),
        (9, path, "unknown"),
        (1, path * np.nan, "NaN"),
        (1, path * 1e6, "half precision"),
        (1, late, "column 0"),
        (1, np.ones((2, 129, 3)), "129"),
    ):
        with pytest.raises(DataError, match=named):
            make_writer().add_slot(frame, future, path, moving, ids)
    for future, given, named in (
        (path[..., :2], moving, "expected"),
        (path[..., :1], moving, "expected"),
        (path, moving[:, None], "is_moving"),
        (path * 2, moving, "differ in column 0"),
    ):
        with pytest.raises(DataError, match=named):
            make_writer().add_slot(1, future, path, given, ids)
