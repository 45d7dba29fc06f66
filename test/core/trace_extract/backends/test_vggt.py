# SPDX-License-Identifier: Apache-2.0
"""What a network of the VGGT family returns becomes metres, pixels and poses of the source images.

The stand-in has the network's signature and its real pose encoding, and renders a known plane
seen from known cameras at whatever size it is given.
"""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mu0_core.errors import InferenceError, ModelError
from mu0_core.geometry import camera, se3
from mu0_core.trace_extract.backends.vggt import VGGT4TRACK, VggtReconstruction
from mu0_core.types import CameraIntrinsics

NETWORK = """
import numpy as np
import torch

SCENE = {}


class CLASS(torch.nn.Module):
    @classmethod
    def from_pretrained(cls, name):
        if name == "gone":
            raise OSError("no such weights")
        SCENE["loaded"] = name
        return cls()

    def forward(self, images):
        b, s, _, h, w = images.shape
        assert b == 1 and 0 <= images.min() and images.max() <= 1
        SCENE["images"] = images.clone()
        depth, encoding = [], []
        tan_x, tan_y = SCENE["tan"]
        if SCENE["padded"]:
            tan_x = tan_x * w / SCENE["padded"]
        u = (torch.arange(w) + 0.5) / w * 2 - 1
        v = (torch.arange(h) + 0.5) / h * 2 - 1
        rays = torch.stack(
            [(u * tan_x).expand(h, w), (v * tan_y)[:, None].expand(h, w), torch.ones(h, w)], -1
        ).double()
        for k in range(s):
            R, t = SCENE["R"][k], SCENE["t"][k]  # camera from world
            normal = R @ SCENE["normal"]  # of the plane n . x = d, in the camera
            depth.append((SCENE["d"] + normal @ t) / (rays @ normal))
            fov = torch.tensor([2 * np.arctan(tan_y), 2 * np.arctan(tan_x)])
            encoding.append(torch.cat([t, SCENE["quat_xyzw"][k], fov]))
        depth = torch.stack(depth)[None, ..., None]
        confidence = torch.full((1, s, h, w), SCENE["sure"])
        confidence[:, :, : h // 4] = SCENE["unsure"]
        return {
            "pose_enc": torch.stack(encoding)[None].float(),
            "depth": depth.float()[:, :, SCENE["cut"] :],
            SCENE["key"]: confidence[0] if SCENE["flat"] else confidence,
        }
"""
ENCODING = """
import torch


def pose_encoding_to_extri_intri(pose_encoding, image_size_hw=None):
    x, y, z, w = pose_encoding[..., 3:7].unbind(-1)
    R = torch.stack([
        1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
        2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
        2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y),
    ], -1).reshape(*x.shape, 3, 3)
    h, w = image_size_hw
    K = torch.zeros(*x.shape, 3, 3)
    K[..., 0, 0] = w / 2 / torch.tan(pose_encoding[..., 8] / 2)
    K[..., 1, 1] = h / 2 / torch.tan(pose_encoding[..., 7] / 2)
    K[..., 0, 2], K[..., 1, 2], K[..., 2, 2] = w / 2, h / 2, 1
    return torch.cat([R, pose_encoding[..., :3, None]], -1), K
"""
SIZES = [(640, 480), (300, 400), (500, 500), (1000, 400)]


@pytest.fixture
def network(stand_in):
    import importlib

    stand_in(
        {
            "vggt.models.vggt": NETWORK.replace("CLASS", "VGGT"),
            "vggt.utils.pose_enc": ENCODING,
        }
    )
    return importlib.import_module("vggt.models.vggt")


def scene(width, height, padded=0):
    """Return the contents of SCENE and T_camera_world (2, 4, 4) of the true cameras."""
    import torch

    turn = Rotation.from_euler("xyz", [[0.05, -0.1, 0.02], [-0.1, 0.2, -0.05]])
    T = np.tile(np.eye(4), (2, 1, 1))
    T[:, :3, :3] = turn.as_matrix()
    T[:, :3, 3] = [[0.1, 0.2, 0.3], [-0.2, 0.05, 0.4]]
    normal = np.array([0.1, -0.2, 0.97])
    known = {
        "tan": (width / 2 / 400.0, height / 2 / 410.0),
        "padded": padded,
        "R": torch.tensor(T[:, :3, :3]),
        "t": torch.tensor(T[:, :3, 3]),
        "quat_xyzw": torch.tensor(turn.as_quat()),
        "normal": torch.tensor(normal / np.linalg.norm(normal)),
        "d": 1.5,
        "key": "depth_conf",
        "flat": False,
        "sure": 5.0,
        "unsure": 1.0,
        "cut": 0,
    }
    return known, T


def inner_width(width, height):
    """Return the width of a portrait image within the square canvas; 0 = not padded."""
    return round(width * 518 / height / 14) * 14 if height > width else 0


def reconstruct(network, width, height, **changes):
    known, T = scene(width, height, inner_width(width, height))
    network.SCENE.update(known | changes)
    rgb = np.full((2, height, width, 3), 90, np.uint8)
    return (*VggtReconstruction(min_confidence=1.5).reconstruct(rgb), T)


@pytest.mark.parametrize("width, height", SIZES)
def test_intrinsics_and_sizes_are_those_of_the_source(network, width, height):
    depth, (fx, fy, cx, cy), _, _ = reconstruct(network, width, height)
    assert depth.shape == (2, height, width) and depth.dtype == np.float32
    np.testing.assert_allclose((fx, fy), (400, 410), rtol=1e-3)
    np.testing.assert_allclose((cx, cy), ((width - 1) / 2, (height - 1) / 2), atol=1e-3)


@pytest.mark.parametrize("width, height", SIZES)
def test_the_world_is_the_first_camera(network, width, height):
    _, _, T_world_camera, T = reconstruct(network, width, height)
    np.testing.assert_allclose(T_world_camera[0], np.eye(4), atol=1e-6)
    np.testing.assert_allclose(T_world_camera, T[0] @ se3.inverse(T), atol=1e-5)


@pytest.mark.parametrize("width, height", SIZES)
def test_depth_of_all_images_lies_on_the_one_plane(network, width, height):
    depth, (fx, fy, cx, cy), T_world_camera, T = reconstruct(network, width, height)
    lens = CameraIntrinsics(width, height, fx, fy, cx, cy)
    normal = np.asarray(network.SCENE["normal"])
    for image, pose in zip(depth, T_world_camera):
        v, u = (axis.ravel() for axis in np.mgrid[height // 3 : height - 8 : 7, 8 : width - 8 : 7])
        local = camera.unproject(np.column_stack([u, v, image[v, u]]), lens)
        world = se3.apply(se3.inverse(T[0]) @ pose, local)
        np.testing.assert_allclose(world @ normal, 1.5, atol=2e-3)


def test_unsure_depth_is_unknown(network):
    depth, *_ = reconstruct(network, 640, 480)
    assert np.isnan(depth[:, :115]).all() and np.isfinite(depth[:, 125:]).all()
    depth, *_ = reconstruct(network, 640, 480, unsure=1.6)
    assert np.isfinite(depth).all()


def test_portrait_images_are_padded_white_and_never_cut(network):
    reconstruct(network, 300, 400)
    images = network.SCENE["images"]
    assert images.shape == (1, 2, 3, 518, 518)
    side = (518 - inner_width(300, 400)) // 2
    assert (images[..., :side] == 1).all() and (images[..., -side:] == 1).all()
    assert (images[..., side + 2 : -side - 2] < 0.5).all()


def test_the_variant_of_spatialtracker_is_found_in_its_clone(stand_in, monkeypatch):
    base = "models.SpaTrackV2.models.vggt4track."
    folder = stand_in(
        {
            base + "models.vggt_moe": NETWORK.replace("CLASS", "VGGT4Track"),
            base + "utils.pose_enc": ENCODING,
        },
        importable=False,
    )
    monkeypatch.setenv("SPATRACKER_FOLDER", str(folder))
    model = VggtReconstruction(variant=VGGT4TRACK)
    with VGGT4TRACK.code.active():
        network = __import__(base + "models.vggt_moe", fromlist=["SCENE"])
    known, T = scene(640, 480)
    network.SCENE.update(known | {"key": "unc_metric", "flat": True, "sure": 0.9, "unsure": 0.4})
    depth, _, T_world_camera = model.reconstruct(np.zeros((2, 480, 640, 3), np.uint8))
    np.testing.assert_allclose(T_world_camera, T[0] @ se3.inverse(T), atol=1e-5)
    assert np.isnan(depth[:, :115]).all() and np.isfinite(depth[:, 125:]).all()
    assert model.name == "vggt4track:Yuxihenry/SpatialTrackerV2_Front"


def test_missing_package_says_what_to_install_and_the_licence(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "vggt", None)
    with pytest.raises(ModelError, match="pip install git.*facebookresearch/vggt.*non-commercial"):
        VggtReconstruction()


def test_missing_weights_are_named(network):
    with pytest.raises(ModelError, match="VGGT: weights 'gone' cannot be loaded: no such weights"):
        VggtReconstruction("gone")
    assert VggtReconstruction().name == "vggt:facebook/VGGT-1B"


def test_depth_of_another_size_is_refused(network):
    with pytest.raises(InferenceError, match=r"depth \(378, 518\), images \(392, 518\)"):
        reconstruct(network, 640, 480, cut=14)


def test_a_camera_that_is_not_finite_is_refused(network):
    with pytest.raises(InferenceError, match="camera matrix"):
        reconstruct(network, 640, 480, tan=(float("nan"), 0.5))
