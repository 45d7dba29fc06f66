# SPDX-License-Identifier: Apache-2.0
"""CoTracker3's answers become 3D tracks; the stand-in has its signature and knows the motion."""

import sys

import numpy as np
import pytest
import torch

from mu0_core.errors import DataError, ModelError
from mu0_core.trace_extract.backends import cotracker
from mu0_core.trace_extract.backends.chunks import ChunkSettings
from mu0_core.trace_extract.backends.cotracker import CoTracker3
from mu0_core.trace_extract.backends.runtime import Runtime

PREDICTOR = """
import torch

SCENE = {"calls": []}


class CoTrackerPredictor(torch.nn.Module):
    def __init__(self, checkpoint="x", offline=True, v2=False, window_len=60):
        super().__init__()
        assert checkpoint is None and offline and not v2
        self.model = torch.nn.Linear(2, 2)

    def forward(self, video, queries=None, segm_mask=None, grid_size=0, grid_query_frame=0,
                backward_tracking=False):
        b, t, c, h, w = video.shape
        assert b == 1 and c == 3 and video.dtype == torch.float32 and video.max() > 2
        frames = (video.mean(dim=(0, 2, 3, 4)) / 4).round().long()
        SCENE["calls"].append((frames.tolist(), queries[0].tolist()))
        start, xy = queries[0, :, 0].long(), queries[0, :, 1:]
        motion = SCENE["motion"]
        tracks = xy + motion[frames][:, None] - motion[frames[start]]  # (t, n, 2)
        early = torch.arange(t)[:, None] < start
        tracks[early] = -1e4  # before the query nothing is promised
        visible = ~torch.isin(frames, SCENE["hidden"])[:, None] | early
        return tracks[None], visible.expand(t, len(xy))[None]
"""


@pytest.fixture
def tracker(stand_in, tmp_path, clip):
    """Return a function that loads the adapter around a stand-in that knows ``clip``."""
    import importlib

    stand_in({"cotracker.predictor": PREDICTOR})
    module = importlib.import_module("cotracker.predictor")
    module.SCENE.update(
        motion=torch.tensor(clip.motion_px, dtype=torch.float32), hidden=torch.tensor([])
    )
    weights = tmp_path / "scaled_offline.pth"
    torch.save(torch.nn.Linear(2, 2).state_dict(), weights)

    def load(hidden=(), **settings):
        module.SCENE["hidden"] = torch.tensor(hidden, dtype=torch.long)
        return CoTracker3(str(weights), **settings), module.SCENE["calls"]

    return load


@pytest.mark.parametrize("frames", [360, 8])
def test_tracks_are_true_in_pixels_and_in_the_world(tracker, clip, make_keypoints, frames):
    queries = make_keypoints([0, 0, 11], [(30, 20), (24.5, 25.25), (31, 21)])
    model, _ = tracker(chunks=ChunkSettings(frames, 3))
    tracks = model._track_all(clip.rgb, clip.geometry, queries)
    assert tracks.visible.all()
    np.testing.assert_allclose(tracks.uv_px, clip.pixels(queries), atol=1e-3)
    np.testing.assert_allclose(tracks.world_m, clip.world(queries), atol=1e-4)


def test_queries_are_frame_x_y_in_the_order_of_the_chunk(tracker, clip, make_keypoints):
    model, calls = tracker(chunks=ChunkSettings(12, 2))
    model._track_all(clip.rgb, clip.geometry, make_keypoints([0, 14], [(30, 20), (25, 18)]))
    first, second, backward = calls[:3]
    assert first == (list(range(12)), [[0.0, 30.0, 20.0]])
    assert second[0] == list(range(10, 20))
    assert [q[0] for q in second[1]] == [1.0, 4.0]  # carried from frame 11; new in frame 14
    assert second[1][1] == [4.0, 25.0, 18.0]
    assert backward[0] == list(range(19, 7, -1)) and backward[1] == [[5.0, 25.0, 18.0]]


def test_hidden_frames_are_not_visible(tracker, clip, make_keypoints):
    model, _ = tracker(hidden=(4, 5))
    tracks = model._track_all(clip.rgb, clip.geometry, make_keypoints([0], [(30, 20)]))
    assert (~tracks.visible[0]).nonzero()[0].tolist() == [4, 5]
    assert np.isnan(tracks.uv_px[0, 4:6]).all()


def test_only_uncovered_proposals_are_tracked(tracker, clip, make_keypoints):
    base = make_keypoints([0], [(30, 20)])
    there = clip.pixels(base)[0, 10]
    queries = make_keypoints([0, 10], [(30, 20), tuple(there + 0.3)])
    model, _ = tracker()
    tracks = model.track(clip.rgb, clip.geometry, queries)
    assert tracks.query_frame.tolist() == [0]


def test_no_point_with_depth_is_an_error(tracker, clip, make_keypoints):
    model, _ = tracker()
    with pytest.raises(DataError, match="none of 1 keypoints"):
        model.track(clip.rgb, clip.geometry, make_keypoints([0], [(200, 20)]))


def test_lower_precision_does_not_move_points(tracker, clip, make_keypoints):
    model, _ = tracker(runtime=Runtime(dtype="bfloat16"))
    queries = make_keypoints([0], [(30.125, 20)])
    tracks = model._track_all(clip.rgb, clip.geometry, queries)
    np.testing.assert_allclose(tracks.uv_px, clip.pixels(queries), atol=1e-3)


def test_without_code_and_network_the_error_has_command_and_licence(monkeypatch):
    def no_network(*args, **kwargs):
        raise OSError("no route")

    monkeypatch.setitem(sys.modules, "cotracker", None)
    monkeypatch.setattr(cotracker.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(torch.hub, "load", no_network)
    with pytest.raises(ModelError, match="no route.*pip install git.*co-tracker.*CC-BY-NC"):
        CoTracker3()


def test_the_hub_gets_a_fixed_commit_and_no_weights(monkeypatch, tmp_path):
    asked = {}

    def load(repository, entry, **options):
        asked.update(options, repository=repository, entry=entry)
        predictor = torch.nn.Module()
        predictor.model = torch.nn.Linear(1, 1)
        return predictor

    weights = tmp_path / "w.pth"
    torch.save(torch.nn.Linear(1, 1).state_dict(), weights)
    monkeypatch.setattr(cotracker.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(torch.hub, "load", load)
    CoTracker3(str(weights))
    assert asked["repository"].startswith("facebookresearch/co-tracker:")
    assert asked["entry"] == "cotracker3_offline" and asked["pretrained"] is False


def test_weights_of_another_model_are_refused(tracker, tmp_path):
    tracker()
    weights = tmp_path / "other.pth"
    torch.save({"a": torch.zeros(1)}, weights)
    with pytest.raises(ModelError, match="CoTracker3: these weights are of another model"):
        CoTracker3(str(weights))
