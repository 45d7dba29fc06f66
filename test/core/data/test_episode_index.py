# SPDX-License-Identifier: Apache-2.0
"""What a data set offers is found once, with a reason for everything that is left out."""

import numpy as np
import pytest

from mu0_core.data import index as module
from mu0_core.data.dataset import TraceDataset
from mu0_core.data.index import EpisodeIndex, Opening, index_episodes
from mu0_core.data.sample import SampleSettings
from mu0_core.data.sampling import SamplingSettings
from mu0_core.errors import DataError

RULES = SamplingSettings(2, 4)


def change(directory, name, function):
    path = directory / "samples" / f"{name}.npy"
    array = np.load(path)
    function(array)
    np.save(path, array)


def found(*directories, rules=RULES, **how):
    return index_episodes(directories, Opening(), rules, **how)


def test_every_slot_is_used_or_has_a_reason(episode_dir):
    assert found(episode_dir) == EpisodeIndex(
        tuple((episode_dir, k) for k in range(3)), {}, {}, 2
    )  # frame 4 has no instruction

    def rest(moving):
        moving[:7] = False

    change(episode_dir, "is_moving", rest)
    index = found(episode_dir)
    assert [slot for _, slot in index.items] == [1, 2]
    assert index.unusable == {"no moving point": 1} and index.captioned == 1


@pytest.mark.parametrize(
    ("name", "function", "reason"),
    [
        ("valid_steps", lambda v: v[:, 10:].fill(False), "no moving point with 10 valid steps"),
        ("traj_history", lambda p: p[:, 0].fill(-np.inf), "no moving point inside the image"),
        ("is_moving", lambda m: m[1:].fill(False), "fewer than 2 moving points"),
    ],
)
def test_slots_without_anything_to_learn_are_counted(episode_dir, name, function, reason):
    change(episode_dir, name, function)
    index = found(episode_dir)
    assert reason in index.unusable and len(index.items) + sum(index.unusable.values()) == 3
    if not index.items:
        with pytest.raises(DataError, match=f"no usable slot in 1.*{reason}"):
            TraceDataset([episode_dir], SampleSettings((1, 1, 1), (-1, 1), sampling=RULES))


def test_broken_episodes_are_named(episode_dir, tmp_path):
    (tmp_path / "cut").mkdir()
    change(episode_dir, "traj", lambda p: p[3].fill(np.nan))
    index = found(episode_dir, tmp_path / "cut")
    assert not index.items
    assert "holds NaN" in index.rejected[episode_dir]
    assert "images.npy: missing" in index.rejected[tmp_path / "cut"]


def test_slots_of_an_episode_come_by_time(episode_dir):
    path = episode_dir / "samples/frame_indices.npy"
    np.save(path, np.array([4, 0, 2], np.int32))
    assert [slot for _, slot in found(episode_dir).items] == [1, 2, 0]


def test_an_index_survives_a_file(episode_dir, tmp_path):
    index = found(episode_dir, tmp_path / "nowhere")
    index.save(tmp_path / "index.json")
    assert EpisodeIndex.load(tmp_path / "index.json") == index
    (tmp_path / "index.json").write_text('{"items": []}')
    with pytest.raises(DataError, match=r"index\.json"):
        EpisodeIndex.load(tmp_path / "index.json")


def test_several_processes_find_the_same(episode_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_WORTH_PROCESSES", 3)
    folders = [episode_dir, tmp_path / "nowhere", episode_dir]
    seen = []
    many = found(*folders, workers=2, on_progress=lambda done, total: seen.append((done, total)))
    assert many == found(*folders) and seen == [(1, 3), (2, 3), (3, 3)]


def test_a_data_set_takes_an_index_for_granted(episode_dir):
    index = EpisodeIndex(((episode_dir, 2),))
    dataset = TraceDataset([], SampleSettings((1, 1, 1), (-1, 1), 16, RULES), index=index)
    assert len(dataset) == 1 and dataset[0].frame == 4
