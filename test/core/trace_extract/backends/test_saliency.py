# SPDX-License-Identifier: Apache-2.0
"""The saliency map lights up what stands out, at the size of the image, and nothing on a wall."""

import sys

import numpy as np
import pytest

from mu0_core.errors import ConfigError, InferenceError, MissingWeightsError, ModelError
from mu0_core.trace_extract.backends import saliency
from mu0_core.weights.packages import PackagedFile


@pytest.fixture(scope="module")
def network():
    pytest.importorskip("onnxruntime")
    return saliency.Saliency()


def picture():
    """A red ball on a grey table, with a little noise."""
    rgb = np.full((240, 320, 3), (110, 105, 90), np.uint8)
    v, u = np.mgrid[:240, :320]
    ball = (u - 220) ** 2 + (v - 90) ** 2 < 35**2
    rgb[ball] = (200, 30, 30)
    noise = np.random.default_rng(0).integers(-6, 6, rgb.shape)
    return np.clip(rgb + noise, 0, 255).astype(np.uint8), ball


def test_the_object_stands_out(network):
    rgb, ball = picture()
    found = network.saliency(rgb)
    assert found.shape == (240, 320) and found.dtype == np.float32
    assert 0 <= found.min() and found.max() <= 1
    assert np.median(found[ball]) > 2 * np.median(found[~ball])
    wanted = network(rgb)
    assert wanted.dtype == bool
    assert wanted[ball].mean() > 0.9 and wanted[~ball].mean() < 0.1


def test_it_moves_with_the_object(network):
    rgb, ball = picture()
    flipped = network.saliency(rgb[:, ::-1])
    assert flipped[ball[:, ::-1]].mean() > 2 * flipped[~ball[:, ::-1]].mean()


def test_an_image_without_contrast_wants_nothing(network, monkeypatch):
    monkeypatch.setattr(network, "saliency", lambda rgb: np.full(rgb.shape[:2], 0.6, np.float32))
    assert not network(np.zeros((10, 12, 3), np.uint8)).any()


def test_another_output_is_refused(network, monkeypatch):
    class Broken:
        def run(self, names, inputs):
            return [np.zeros((1, 10), np.float32)]

    monkeypatch.setattr(network, "_session", Broken())
    with pytest.raises(InferenceError, match=r"returned \(1, 10\)"):
        network.saliency(picture()[0])


def test_missing_runtime_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModelError, match=r"pip install 'mu0-ros\[extract\]'"):
        saliency.Saliency()


def test_missing_weights_are_not_available_and_an_error(monkeypatch):
    pytest.importorskip("onnxruntime")
    missing = PackagedFile("no-such==1", "no_such_weights", "a.onnx", "0" * 64)
    monkeypatch.setattr(saliency, "SOURCE", missing)
    assert not saliency.available()
    with pytest.raises(MissingWeightsError, match="no-such==1"):
        saliency.Saliency()


@pytest.mark.parametrize("wrong", [{"threshold": 0.0}, {"min_contrast": 1.0}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        saliency.Saliency(**wrong)
