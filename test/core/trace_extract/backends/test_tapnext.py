# SPDX-License-Identifier: Apache-2.0
"""TAPNext's answers become 3D tracks; the stand-in has its signature, axes and convention."""

import numpy as np
import pytest
import torch

from mu0_core.errors import ModelError
from mu0_core.trace_extract.backends.chunks import ChunkSettings
from mu0_core.trace_extract.backends.tapnext import TapNext

NETWORK = """
from types import SimpleNamespace

import torch

SCENE = {"frames": []}


class TAPNext(torch.nn.Module):
    def __init__(self, image_size, width=768, patch_size=(8, 8)):
        super().__init__()
        assert image_size == (256, 256)
        self.layer = torch.nn.Linear(2, 2)

    def forward(self, video, query_points=None, state=None):
        assert video.shape == (1, 1, 256, 256, 3) and video.min() >= -1 and video.max() <= 1
        frame = int(((video.mean() + 1) * 127.5 / 4).round())
        SCENE["frames"].append(frame)
        if state is None:
            state = SimpleNamespace(step=0, query_points=query_points, seen_at={})
        else:
            assert query_points is None
        motion = SCENE["motion"] * 256 / SCENE["size"]  # x, y of the square
        tracks, logits = [], []
        for k, (t, y, x) in enumerate(state.query_points[0].tolist()):
            if t == state.step:
                state.seen_at[k] = frame
            if k in state.seen_at:
                dx, dy = (motion[frame] - motion[state.seen_at[k]]).tolist()
                tracks.append((y + dy, x + dx))
                logits.append(-3.0 if frame in SCENE["hidden"] else 3.0)
            else:
                tracks.append((1e6, 1e6))
                logits.append(9.0)
        state.step += 1
        tracks = torch.tensor(tracks)[None, None]
        return tracks, torch.zeros(1), torch.tensor(logits)[None, None, :, None], state
"""


@pytest.fixture
def tracker(stand_in, tmp_path, clip):
    import importlib

    stand_in({"tapnet.tapnext.tapnext_torch": NETWORK})
    module = importlib.import_module("tapnet.tapnext.tapnext_torch")
    module.SCENE.update(motion=torch.tensor(clip.motion_px), size=torch.tensor([64.0, 48.0]))
    weights = tmp_path / "tapnextpp_ckpt.pt"
    state = torch.nn.Linear(2, 2).state_dict()
    torch.save({"state_dict": {f"tapnext.layer.{k}": v for k, v in state.items()}}, weights)

    def load(hidden=(), **settings):
        module.SCENE["hidden"] = hidden
        return TapNext(str(weights), **settings), module.SCENE["frames"]

    return load


@pytest.mark.parametrize("frames", [360, 8])
def test_tracks_are_true_in_pixels_and_in_the_world(tracker, clip, make_keypoints, frames):
    queries = make_keypoints([0, 0, 11], [(30, 20), (24.5, 25.25), (31, 21)])
    model, _ = tracker(chunks=ChunkSettings(frames, 3))
    tracks = model._track_all(clip.rgb, clip.geometry, queries)
    assert tracks.visible.all()
    np.testing.assert_allclose(tracks.uv_px, clip.pixels(queries), atol=1e-3)
    np.testing.assert_allclose(tracks.world_m, clip.world(queries), atol=1e-4)


def test_pixels_count_from_the_corner_of_the_square(tracker, clip, make_keypoints):
    model, _ = tracker()
    queries = []
    network = model._model.forward

    def spy(video, query_points=None, state=None):
        queries.append(query_points)
        return network(video, query_points, state)

    model._model.forward = spy
    model._track_all(clip.rgb, clip.geometry, make_keypoints([0], [(31.5, 11.5)]))
    assert queries[0].tolist() == [[[0.0, 64.0, 128.0]]]  # t, y, x: a quarter and a half of 256
    assert queries[1] is None


def test_logits_say_what_is_visible(tracker, clip, make_keypoints):
    model, _ = tracker(hidden=(4, 5))
    tracks = model._track_all(clip.rgb, clip.geometry, make_keypoints([0], [(30, 20)]))
    assert (~tracks.visible[0]).nonzero()[0].tolist() == [4, 5]


def test_frames_come_one_by_one_forwards_and_then_backwards(tracker, clip, make_keypoints):
    model, frames = tracker()
    model.track(clip.rgb, clip.geometry, make_keypoints([6], [(30, 20)]))
    assert frames == [*range(20), *range(19, -1, -1)]


def test_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tapnet", None)
    with pytest.raises(ModelError, match="TAPNext.. needs tapnet.*google-deepmind/tapnet.*Apache"):
        TapNext()


def test_missing_weights_name_their_address(tracker, tmp_path):
    tracker()
    with pytest.raises(ModelError, match="gone.pt cannot be read.*storage.googleapis.com"):
        TapNext(str(tmp_path / "gone.pt"))
