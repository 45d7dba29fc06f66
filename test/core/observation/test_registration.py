# SPDX-License-Identifier: Apache-2.0
"""Depth that lies on its colour passes; shifted, zoomed and foreign depth does not."""

from __future__ import annotations

import numpy as np
import pytest

from mu0_core.errors import ConfigError, ObservationError
from mu0_core.observation.registration import check_registration, measure_registration
from mu0_core.observation.rules import CameraRules, RegistrationWatch
from mu0_core.types import CameraIntrinsics, RgbdFrame


def boxes(seed, width=320, height=240):
    """A slanted floor with boxes of other colours, noise in both images, holes at edges."""
    rng = np.random.default_rng(seed)
    v, _ = np.indices((height, width))
    depth = (1.6 - 0.8 * v / height).astype(np.float32)
    rgb = np.full((height, width, 3), 120.0)
    for _ in range(9):
        w, h = rng.integers(width // 16, width // 5, 2)
        x, y = rng.integers(10, width - w - 10), rng.integers(10, height - h - 10)
        depth[y : y + h, x : x + w] = depth[y + h, x] - rng.uniform(0.12, 0.35)
        rgb[y : y + h, x : x + w] = rng.uniform(0, 255, 3)
    holes = np.abs(np.diff(depth, axis=1, prepend=depth[:, :1])) > 0.05
    depth[holes & (rng.random(depth.shape) < 0.5)] = np.nan
    depth += rng.normal(0, 0.0015, depth.shape).astype(np.float32) * depth**2
    rgb = np.clip(rgb + rng.normal(0, 3, rgb.shape), 0, 255).astype(np.uint8)
    return rgb, depth


def frame(rgb, depth):
    h, w = depth.shape
    camera = CameraIntrinsics(w, h, float(w), float(w), w / 2, h / 2)
    return RgbdFrame(rgb, depth, camera, "lens", 1)


def zoomed(image, factor):
    h, w = image.shape[:2]
    row = np.clip(((np.arange(h) - h / 2) / factor + h / 2).astype(int), 0, h - 1)
    column = np.clip(((np.arange(w) - w / 2) / factor + w / 2).astype(int), 0, w - 1)
    return image[row][:, column]


@pytest.mark.parametrize("seed", range(6))
def test_depth_on_its_colour_passes(seed):
    found = check_registration(frame(*boxes(seed)))
    assert found.decided and found.fits
    assert np.hypot(*found.shift_px) <= 2.0


@pytest.mark.parametrize("shift", [(8, 0), (-8, 0), (0, 10), (-12, -9), (20, 0)], ids=str)
def test_shifted_depth_is_refused_with_its_shift(shift):
    for seed in range(3):
        rgb, depth = boxes(seed)
        moved = np.roll(depth, shift[::-1], axis=(0, 1))
        found = measure_registration(rgb, moved)
        np.testing.assert_allclose(found.shift_px, shift, atol=2.0)
        with pytest.raises(ObservationError, match="register depth to colour") as caught:
            check_registration(frame(rgb, moved))
        side = "right" if shift[0] > 0 else "left"
        assert shift[0] == 0 or f"px to the {side}" in str(caught.value)


def test_the_stated_shift_is_in_pixels_of_the_image_not_of_the_search():
    rgb, depth = boxes(1, 640, 480)
    found = measure_registration(rgb, np.roll(depth, 20, axis=1))
    np.testing.assert_allclose(found.shift_px, (20.0, 0.0), atol=2.0)
    assert found.allowed_px == 6.0


def test_zoomed_and_foreign_depth_is_refused():
    refused = 0
    for seed in range(6):
        rgb, depth = boxes(seed)
        for wrong in (zoomed(depth, 1.25), boxes(seed + 50)[1]):
            refused += not measure_registration(rgb, wrong).fits
    assert refused >= 10, "of 12"


def test_without_edges_nothing_is_decided_and_nothing_refused():
    rgb, depth = boxes(0)
    for dark, flat in (
        (rgb // 60, depth),
        (rgb, np.full_like(depth, 0.8)),
        (rgb, np.full_like(depth, np.nan)),
        (rgb[:40, :40], depth[:40, :40]),
    ):
        found = check_registration(frame(dark.astype(np.uint8), flat))
        assert not found.decided and not found.fits and found.shift_px is None


def test_the_watch_looks_until_it_knows_and_again_at_another_camera(monkeypatch):
    looked = []
    module = "mu0_core.observation.rules.check_registration"
    monkeypatch.setattr(module, lambda f: looked.append(1) or check_registration(f))
    watch, (rgb, depth) = RegistrationWatch(), boxes(2)
    good, bad = frame(rgb, depth), frame(rgb, np.roll(depth, 12, axis=1))
    for _ in range(2):
        with pytest.raises(ObservationError):
            watch.check(bad)
    watch.check(good)
    watch.check(good)
    assert len(looked) == 3 and watch.found.fits
    watch.check(bad)  # known: a camera does not come apart between two images
    other = RgbdFrame(bad.rgb, bad.depth_m, good.intrinsics, "other lens", 2)
    with pytest.raises(ObservationError):
        watch.check(other)
    dull = RgbdFrame(rgb // 60, depth, good.intrinsics, "third lens", 3)
    for _ in range(9):
        watch.check(dull)
    assert len(looked) == 3 + 1 + 5


def test_depth_is_corrected_and_what_is_not_in_front_is_unknown():
    depth = np.array([[0.5, 0.01, np.nan]], np.float32)
    corrected = CameraRules(depth_scale=1.1, depth_offset_m=-0.02).corrected(depth)
    np.testing.assert_allclose(corrected, [[0.53, np.nan, np.nan]], atol=1e-6)
    assert corrected.dtype == np.float32 and CameraRules().corrected(depth) is depth
    with pytest.raises(ConfigError, match="depth_scale 0.0"):
        CameraRules(depth_scale=0.0)
    with pytest.raises(ConfigError, match="depth_offset_m inf"):
        CameraRules(depth_offset_m=float("inf"))
