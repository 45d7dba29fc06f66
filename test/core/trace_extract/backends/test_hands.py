# SPDX-License-Identifier: Apache-2.0
"""Hand landmarks: mediapipe's corner-based fractions become pixels; a missing package is said."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from mu0_core.errors import ConfigError, ModelError
from mu0_core.trace_extract.backends import hands

IMAGE = np.zeros((100, 200, 3), np.uint8)


def install(monkeypatch, found, version=hands.VERSION):
    """Put a stand-in of mediapipe in place that finds ``found``: hands of (x, y) fractions."""

    class Detector:
        def __init__(self, static_image_mode, max_num_hands, min_detection_confidence):
            assert static_image_mode and max_num_hands == 2

        def process(self, image):
            assert image.flags.c_contiguous
            marks = [[SimpleNamespace(x=x, y=y, z=0.0) for x, y in hand] for hand in found]
            landmarks = [SimpleNamespace(landmark=m) for m in marks]
            return SimpleNamespace(multi_hand_landmarks=landmarks or None)

    solutions = SimpleNamespace(hands=SimpleNamespace(Hands=Detector))
    monkeypatch.setattr(hands, "available", lambda: True)
    monkeypatch.setattr(hands.metadata, "version", lambda name: version)
    monkeypatch.setitem(sys.modules, "mediapipe", SimpleNamespace(solutions=solutions))


def test_landmarks_are_pixels_with_integer_centres(monkeypatch):
    hand = [(0.0, 0.0), (0.5, 0.25), (1.1, 0.995)] + [(0.1, 0.1)] * 18
    install(monkeypatch, [hand, hand])
    first, second = hands.Hands().hand_points(IMAGE[:, ::-1])
    assert first.shape == second.shape == (hands.LANDMARKS, 2) and first.dtype == np.float32
    np.testing.assert_allclose(first[:3], [(-0.5, -0.5), (99.5, 24.5), (219.5, 99)], atol=1e-4)


def test_no_hand_is_an_empty_list_and_an_empty_prior(monkeypatch):
    install(monkeypatch, [])
    detector = hands.Hands()
    assert detector.hand_points(IMAGE) == []
    wanted = detector(IMAGE)
    assert wanted.shape == (100, 200) and wanted.dtype == bool and not wanted.any()


def test_points_are_wanted_around_landmarks(monkeypatch):
    install(monkeypatch, [[(0.25, 0.5)] * 21])
    wanted = hands.Hands(reach=0.02)(IMAGE)
    rows, columns = np.nonzero(wanted)
    assert abs(columns.mean() - 49.5) < 1 and abs(rows.mean() - 49.5) < 1
    assert columns.max() - columns.min() == 8  # a radius of 4 px


def test_missing_package_names_the_pin(monkeypatch):
    monkeypatch.setattr(hands.importlib.util, "find_spec", lambda name: None)
    assert not hands.available()
    with pytest.raises(ModelError, match=r"pip install --no-deps mediapipe==0.10.21"):
        hands.Hands()


def test_a_wheel_without_models_is_refused(monkeypatch):
    install(monkeypatch, [], version="1.2.2")
    with pytest.raises(ModelError, match="mediapipe 1.2.2 holds no hand models.*0.10.21"):
        hands.Hands()


@pytest.mark.parametrize("wrong", [{"max_hands": 0}, {"min_confidence": 1.5}, {"reach": 0.0}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        hands.Hands(**wrong)
