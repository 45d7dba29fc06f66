# SPDX-License-Identifier: Apache-2.0
"""Tiny random depth models, saved and loaded back: sizes, scale, unknown depth, refusals."""

import json

import huggingface_hub.constants
import numpy as np
import pytest
import torch
from transformers import (
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    DepthProConfig,
    DepthProForDepthEstimation,
    DPTConfig,
    ZoeDepthConfig,
    ZoeDepthForDepthEstimation,
)
from transformers.utils import is_torchvision_available

from mu0_core.errors import ModelError
from mu0_core.trace_extract.backends import depth_pro
from mu0_core.trace_extract.backends.runtime import Runtime
from mu0_core.trace_extract.backends.transformers_depth import TransformersDepth, known_depth
from mu0_core.types import CameraIntrinsics

IMAGE = np.random.default_rng(0).integers(0, 255, (45, 70, 3), np.uint8)
LENS = CameraIntrinsics(70, 45, 80.0, 80.0, 34.5, 22.0)
TINY = {
    "model_type": "dinov2",
    "num_hidden_layers": 2,
    "hidden_size": 16,
    "num_attention_heads": 2,
    "patch_size": 4,
}


def write_processor(folder, **values):
    (folder / "preprocessor_config.json").write_text(json.dumps(values))


@pytest.fixture(scope="module")
def metric(tmp_path_factory):
    """A folder with a metric Depth Anything of 20 m."""
    return depth_anything(tmp_path_factory.mktemp("metric"), "metric")


def depth_anything(folder, kind):
    torch.manual_seed(0)
    config = DepthAnythingConfig(
        backbone_config=TINY
        | {"image_size": 56, "out_indices": [1, 2], "reshape_hidden_states": False},
        patch_size=4,
        reassemble_hidden_size=16,
        reassemble_factors=[2, 1],
        neck_hidden_sizes=[8, 8],
        fusion_hidden_size=8,
        head_hidden_size=8,
        depth_estimation_type=kind,
        max_depth=20,
    )
    DepthAnythingForDepthEstimation(config).save_pretrained(folder)
    write_processor(
        folder,
        image_processor_type="DPTImageProcessor",
        size={"height": 56, "width": 56},
        ensure_multiple_of=4,
        keep_aspect_ratio=True,
    )
    return folder


@pytest.fixture(scope="module")
def pro(tmp_path_factory):
    """Two Depth Pro folders: without and with the field-of-view head."""
    return {with_fov: depth_pro_folder(tmp_path_factory, with_fov) for with_fov in (False, True)}


def depth_pro_folder(tmp_path_factory, with_fov):
    folder = tmp_path_factory.mktemp("pro")
    torch.manual_seed(0)
    config = DepthProConfig(
        patch_size=12,
        fusion_hidden_size=16,
        intermediate_hook_ids=[1, 0],
        intermediate_feature_dims=[8, 8],
        scaled_images_ratios=[0.5, 1.0],
        scaled_images_overlap_ratios=[0.0, 0.25],
        scaled_images_feature_dims=[12, 12],
        image_model_config=TINY,
        patch_model_config=TINY,
        fov_model_config=TINY,
        use_fov_model=with_fov,
        num_fov_head_layers=0,
    )
    model = DepthProForDepthEstimation(config)
    with torch.no_grad():  # a random head would predict 0 or less
        last = [m for m in model.head.modules() if isinstance(m, torch.nn.Conv2d)][-1]
        last.weight.mul_(0.02)
        last.bias.fill_(2.0)
        if with_fov:
            convs = [m for m in model.fov_model.modules() if isinstance(m, torch.nn.Conv2d)]
            convs[-1].weight.zero_()
            convs[-1].bias.fill_(60.0)
    model.save_pretrained(folder)
    write_processor(folder, size={"height": 24, "width": 24}, image_mean=[0.5] * 3)
    return folder


def test_metric_depth_has_the_size_of_the_image(metric):
    depth = TransformersDepth(str(metric)).depth_m(IMAGE)
    assert depth.shape == (45, 70) and depth.dtype == np.float32
    assert np.isfinite(depth).all() and 0 < depth.min() and depth.max() <= 20.5
    assert np.array_equal(depth, TransformersDepth(str(metric)).depth_m(IMAGE, LENS))


def test_lower_precision_is_near_and_still_float32(metric):
    full = TransformersDepth(str(metric)).depth_m(IMAGE)
    low = TransformersDepth(str(metric), Runtime(dtype="bfloat16")).depth_m(IMAGE)
    assert low.dtype == np.float32
    np.testing.assert_allclose(low, full, rtol=0.05)


def test_relative_models_are_refused_with_the_reason(tmp_path):
    folder = depth_anything(tmp_path, "relative")
    with pytest.raises(ModelError, match="'relative': inverse depth without a scale.*Metric"):
        TransformersDepth(str(folder))


def test_types_that_do_not_say_are_refused_before_weights_are_read(tmp_path):
    DPTConfig().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="'dpt' may be relative.*allowed: depth_anything"):
        TransformersDepth(str(tmp_path))


def test_missing_folder_needs_no_network(tmp_path):
    with pytest.raises(ModelError, match="there is no folder .*gone"):
        TransformersDepth(str(tmp_path / "gone"))


def test_unreachable_hub_id_says_what_to_give(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="'some/depth-model' cannot be loaded.*save_pretrained"):
        TransformersDepth("some/depth-model")


def test_a_folder_without_weights_is_an_error(metric, tmp_path):
    (tmp_path / "config.json").write_text((metric / "config.json").read_text())
    with pytest.raises(ModelError, match="cannot be loaded: .*model.safetensors"):
        TransformersDepth(str(tmp_path))


def test_zoedepth_works_or_names_what_is_missing(tmp_path):
    torch.manual_seed(0)
    backbone = {
        "model_type": "beit",
        "image_size": 32,
        "patch_size": 8,
        "hidden_size": 16,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "out_features": ["stage1", "stage2", "stage3", "stage4"],
        "reshape_hidden_states": False,
    }
    config = ZoeDepthConfig(
        backbone_config=backbone,
        backbone_hidden_size=16,
        neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8,
        bottleneck_features=8,
        num_relative_features=4,
        num_attractors=[4, 4, 4, 4],
        bin_embedding_dim=8,
    )
    ZoeDepthForDepthEstimation(config).save_pretrained(tmp_path)
    size = {"height": 32, "width": 32}
    write_processor(
        tmp_path,
        image_processor_type="ZoeDepthImageProcessor",
        size=size,
        keep_aspect_ratio=False,
        ensure_multiple_of=32,
    )
    model = TransformersDepth(str(tmp_path))
    if is_torchvision_available():
        assert model.depth_m(IMAGE).shape == (45, 70)
    else:
        with pytest.raises(ModelError, match="torchvision.*pip install torchvision"):
            model.depth_m(IMAGE)


def test_depth_pro_takes_the_focal_length_of_the_camera(pro):
    model = TransformersDepth(str(pro[True]))
    near = model.depth_m(IMAGE, LENS)
    longer = CameraIntrinsics(70, 45, 160.0, 160.0, 34.5, 22.0)
    assert near.shape == (45, 70) and np.isfinite(near).all()
    np.testing.assert_allclose(model.depth_m(IMAGE, longer), 2 * near, rtol=1e-5)
    other_size = CameraIntrinsics(140, 90, 160.0, 160.0, 69.5, 44.5)  # the same lens
    np.testing.assert_allclose(model.depth_m(IMAGE, other_size), near, rtol=1e-5)


def test_depth_pro_predicts_the_focal_length_of_an_unknown_camera(pro):
    focal = 35 / np.tan(np.deg2rad(30))  # the head was made to say 60 degrees
    known = CameraIntrinsics(70, 45, focal, focal, 34.5, 22.0)
    model = TransformersDepth(str(pro[True]))
    np.testing.assert_allclose(model.depth_m(IMAGE), model.depth_m(IMAGE, known), rtol=1e-4)


def test_depth_pro_without_any_focal_length_has_no_scale(pro):
    model = TransformersDepth(str(pro[False]))
    assert np.isfinite(model.depth_m(IMAGE, LENS)).all()
    with pytest.raises(ModelError, match="no field-of-view head.*no intrinsics.*no scale"):
        model.depth_m(IMAGE)


def test_depth_pro_equals_its_definition():
    inverse = torch.full((8, 8), 0.5)
    metres = depth_pro.depth_from_output("x", inverse, torch.tensor(90.0), (20, 30), None)
    # canonical camera: focal length = width; 90 degrees: focal length = width / 2
    np.testing.assert_allclose(metres.numpy(), 1 / (0.5 * 2), rtol=1e-5)
    with pytest.raises(ModelError, match="field of view of 190.0 degrees"):
        depth_pro.depth_from_output("x", inverse, torch.tensor(190.0), (20, 30), None)


def test_depth_pro_input_is_stretched_and_normalised():
    rgb = np.full((6, 10, 3), 255, np.uint8)
    pixels = depth_pro.pixel_values(rgb, {"size": {"height": 4, "width": 4}})
    assert pixels.shape == (1, 3, 4, 4)
    np.testing.assert_allclose(pixels.numpy(), 1.0)
    assert depth_pro.pixel_values(rgb, {}).shape == (1, 3, 1536, 1536)


def test_unknown_depth_is_nan():
    raw = np.array([[1.0, 0.0, -2.0], [np.nan, np.inf, 9.0]])
    known = known_depth(raw, limit_m=9.0)
    assert known.dtype == np.float32
    assert np.isfinite(known).tolist() == [[True, False, False], [False, False, False]]
