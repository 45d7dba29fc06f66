# SPDX-License-Identifier: Apache-2.0
"""TAPIP3D's answers become tracks; the stand-in is a clone with its modules and signatures."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mu0_core.errors import ConfigError, InferenceError, ModelError
from mu0_core.trace_extract.backends.chunks import ChunkSettings
from mu0_core.trace_extract.backends.tapip3d import CODE, Tapip3d, Tapip3dSettings

MODELS = """
import torch


class PointTracker3D(torch.nn.Module):
    def __init__(self, image_size, width):
        super().__init__()
        self.image_size, self.seq_len, self.eval_mode = tuple(image_size), 8, "local"
        self.layer = torch.nn.Linear(width, width)

    def set_eval_mode(self, mode):
        self.eval_mode = mode


def from_config(cfg, **kwargs):
    kwargs.update(cfg)
    assert kwargs.pop("name") == "point_tracker_3d"
    return PointTracker3D(**kwargs)
"""
INFERENCE = """
import torch

SCENE = {"calls": []}


def inference(*, model, video, depths, intrinsics, extrinsics, query_point, num_iters=6,
              grid_size=8, bidrectional=True, vis_threshold=0.9):
    t, c, h, w = video.shape
    assert model.eval_mode == "raw" and not bidrectional and t >= model.seq_len
    assert (num_iters, grid_size, vis_threshold) == (6, 16, 0.9)
    assert depths.shape == (t, h, w) and (depths >= 0).all() and video.max() <= 1
    frames = (video.mean(dim=(1, 2, 3)) * 255 / 4).round().long()
    SCENE["calls"].append({"frames": frames.tolist(), "size": (h, w), "K": intrinsics[0].tolist(),
                           "query": query_point.tolist(), "depths": depths,
                           "extrinsics": extrinsics})
    start = query_point[:, 0].long()
    # the points are recognised by their place in the world at their frame
    world = SCENE["world"]  # (P, T, 3)
    gap = (world[:, frames[start]] - query_point[None, :, 1:].double()).norm(dim=-1)
    which = gap.argmin(dim=0)
    assert (gap.min(dim=0).values < 1e-3).all()
    coords = world[which][:, frames].swapaxes(0, 1).clone()
    early = torch.arange(t)[:, None] < start
    coords[early] = 1e4
    visible = ~torch.isin(frames, SCENE["hidden"])[:, None].expand(t, len(which)) | early
    return coords.float().squeeze(), visible.squeeze()
"""
OMEGACONF = {
    "omegaconf": "class DictConfig: pass\n\n\nclass ListConfig: pass\n",
    "omegaconf.base": "class ContainerMetadata: pass\n\n\nclass Metadata: pass\n",
    "omegaconf.nodes": "class AnyNode: pass\n",
}


@pytest.fixture
def clone(stand_in, monkeypatch):
    folder = stand_in({"models": MODELS, "utils.inference_utils": INFERENCE} | OMEGACONF)
    (folder / "omegaconf" / "__init__.py").write_text((folder / "omegaconf.py").read_text())
    (folder / "omegaconf.py").unlink()
    monkeypatch.setenv("TAPIP3D_FOLDER", str(folder))
    monkeypatch.setattr(CODE, "_modules", {})
    return folder


@pytest.fixture
def weights(tmp_path):
    cfg = {
        "model": {"name": "point_tracker_3d", "width": 2},
        "train_dataset": {"resolution": [36, 48]},
    }
    path = tmp_path / "tapip3d_final.pth"
    layer = torch.nn.Linear(2, 2).state_dict()
    torch.save({"cfg": cfg, "weight": {f"layer.{k}": v for k, v in layer.items()}}, path)
    return str(path)


@pytest.fixture
def tracker(clone, weights, clip):
    def load(queries, hidden=(), **settings):
        model = Tapip3d(weights, **settings)
        with CODE.active():
            scene = CODE.attribute("utils.inference_utils", "SCENE")
        scene["world"] = torch.tensor(clip.world(queries))
        scene["hidden"] = torch.tensor(hidden, dtype=torch.long)
        return model, scene["calls"]

    return load


@pytest.mark.parametrize("frames", [360, 10])
def test_tracks_are_true_in_the_world_and_in_pixels(tracker, clip, make_keypoints, frames):
    queries = make_keypoints([0, 0, 11], [(30, 20), (24.5, 25.25), (31, 21)])
    model, _ = tracker(queries, chunks=ChunkSettings(frames, 3))
    tracks = model._track_all(clip.rgb, clip.geometry, queries)
    assert tracks.visible.all()
    np.testing.assert_allclose(tracks.world_m, clip.world(queries), atol=1e-4)
    np.testing.assert_allclose(tracks.uv_px, clip.pixels(queries), atol=5e-3)


def test_a_single_point_and_a_short_clip_survive_its_squeezing(tracker, clip, make_keypoints):
    queries = make_keypoints([0], [(30, 20)])
    model, calls = tracker(queries)
    short = replace(
        clip.geometry,
        depth_m=clip.geometry.depth_m[:3],
        path=replace(clip.geometry.path, T_world_camera=clip.geometry.T_world_camera[:3]),
    )
    tracks = model.track(clip.rgb[:3], short, queries)
    assert calls[0]["frames"] == [0, 1, 2, 2, 2, 2, 2, 2]  # its window has 8 frames
    assert tracks.world_m.shape == (1, 3, 3)
    np.testing.assert_allclose(tracks.world_m, clip.world(queries)[:, :3], atol=1e-4)


def test_cameras_depth_and_size_are_as_it_wants_them(tracker, clip, make_keypoints):
    depth = clip.geometry.depth_m.copy()
    depth[:, :, 50:] = np.nan
    geometry = replace(clip.geometry, depth_m=depth)
    queries = make_keypoints([0], [(30, 20)])
    model, calls = tracker(queries)
    model.track(clip.rgb, geometry, queries)
    call, size = calls[0], (int(36 * 2**0.5), int(48 * 2**0.5))
    assert call["size"] == size
    lens = clip.geometry.intrinsics.scaled(size[1], size[0])
    np.testing.assert_allclose(np.array(call["K"])[:2, 2], (lens.cx, lens.cy), rtol=1e-6)
    np.testing.assert_allclose(np.diag(call["K"]), (lens.fx, lens.fy, 1), rtol=1e-6)
    assert (call["depths"][..., -5:] == 0).all() and (call["depths"][..., :40] > 0.5).all()
    product = call["extrinsics"].numpy() @ clip.geometry.T_world_camera
    np.testing.assert_allclose(product, np.tile(np.eye(4), (20, 1, 1)), atol=1e-6)


def test_hidden_frames_are_not_visible(tracker, clip, make_keypoints):
    queries = make_keypoints([0, 0], [(30, 20), (25, 18)])
    model, _ = tracker(queries, hidden=(4, 5))
    tracks = model._track_all(clip.rgb, clip.geometry, queries)
    assert (~tracks.visible[0]).nonzero()[0].tolist() == [4, 5]


def test_a_point_without_depth_is_seen_nowhere(tracker, clip, make_keypoints):
    queries = make_keypoints([0, 0], [(30, 20), (0, 0)])
    model, _ = tracker(queries)
    tracks = model._track_all(clip.rgb, clip.geometry, queries)
    assert tracks.visible[0].all() and not tracks.visible[1].any()


def test_a_chunk_without_any_depth_is_an_error(tracker, clip, make_keypoints):
    depth = clip.geometry.depth_m.copy()
    depth[9:] = np.nan
    queries = make_keypoints([0], [(30, 20)])
    model, _ = tracker(queries, chunks=ChunkSettings(10, 1))
    with pytest.raises(InferenceError, match="no known depth in frames 9..18"):
        model._track_all(clip.rgb, replace(clip.geometry, depth_m=depth), queries)


def test_missing_clone_names_variable_and_repository(monkeypatch):
    monkeypatch.delenv("TAPIP3D_FOLDER", raising=False)
    with pytest.raises(ModelError, match="clone of github.com/zbw001/TAPIP3D.*TAPIP3D_FOLDER"):
        Tapip3d()


def test_weights_without_configuration_are_refused(clone, tmp_path):
    path = tmp_path / "bare.pth"
    torch.save({"layer.weight": torch.zeros(2, 2)}, path)
    with pytest.raises(ModelError, match="not cfg and weight"):
        Tapip3d(str(path))


@pytest.mark.parametrize(
    "wrong", [{"iterations": 0}, {"support_grid": -1}, {"enlarge": 0.0}, {"min_visibility": 1.0}]
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Tapip3dSettings(**wrong)
