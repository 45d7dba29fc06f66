# SPDX-License-Identifier: Apache-2.0
"""The sensor: noise of the stated size, holes where a real one has them, nothing when off."""

from __future__ import annotations

import numpy as np
import pytest

from mu0_core.errors import ConfigError
from mu0_core.simulation.sensor_noise import (
    SensorNoise,
    incidence_cosine,
    near_edge,
    noisy_color,
    noisy_depth,
)
from mu0_core.types import CameraIntrinsics

LENS = CameraIntrinsics(160, 120, 170.0, 180.0, 79.5, 59.5)
OFF = SensorNoise(
    color_read=0,
    color_shot=0,
    blur_px=0,
    depth_sigma_1m_m=0,
    edge_loss=0,
    grazing_loss=0,
)


def plane(normal: tuple[float, float, float], distance_m: float) -> np.ndarray:
    """Return the depth (h, w) of the plane n · p = distance."""
    rows, columns = np.indices((120, 160))
    rays = np.stack(
        [(columns - LENS.cx) / LENS.fx, (rows - LENS.cy) / LENS.fy, np.ones_like(rows)], axis=-1
    )
    return (distance_m / (rays @ np.asarray(normal))).astype(np.float32)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_turned_off_it_changes_nothing():
    rgb = rng().integers(0, 256, (120, 160, 3)).astype(np.uint8)
    depth = plane((0, 0, 1), 1.2)
    depth[5:9, 5:9] = np.nan
    np.testing.assert_array_equal(noisy_color(rgb, OFF, rng()), rgb)
    np.testing.assert_array_equal(noisy_depth(depth, LENS, OFF, rng()), depth)


@pytest.mark.parametrize("distance_m", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("correlation_px", [0.0, 0.7])
def test_depth_noise_grows_with_the_square_of_the_distance(distance_m, correlation_px):
    noise = SensorNoise(depth_correlation_px=correlation_px)
    error = noisy_depth(plane((0, 0, 1), distance_m), LENS, noise, rng()) - distance_m
    assert np.isfinite(error).all()
    assert error.std() == pytest.approx(0.0015 * distance_m**2, rel=0.05)
    assert abs(error.mean()) < 0.1 * error.std()


def test_neighbouring_errors_are_alike_when_the_noise_is_correlated():
    def likeness(pixels: float) -> float:
        noise = SensorNoise(depth_correlation_px=pixels)
        error = noisy_depth(plane((0, 0, 1), 1.0), LENS, noise, rng()) - 1
        return np.corrcoef(error[:, 1:].ravel(), error[:, :-1].ravel())[0, 1]

    assert abs(likeness(0)) < 0.03 and likeness(0.7) > 0.3


@pytest.mark.parametrize("level", [20, 200])
def test_colour_noise_has_a_floor_and_grows_with_brightness(level):
    flat = np.full((120, 160, 3), level, np.uint8)
    noise = SensorNoise(color_read=2.0, color_shot=0.05, blur_px=0)
    error = noisy_color(flat, noise, rng()).astype(float) - level
    assert error.std() == pytest.approx(np.sqrt(4 + 0.05 * level + 1 / 12), rel=0.03)


def test_blur_keeps_the_brightness_and_softens_an_edge():
    step = np.zeros((120, 160, 3), np.uint8)
    step[:, 80:] = 200
    soft = noisy_color(step, SensorNoise(color_read=0, color_shot=0, blur_px=1.0), rng())
    assert abs(soft.mean() - 100) < 1 and 20 < soft[60, 80, 0] < 180


def test_depth_is_lost_beside_edges_only():
    depth = plane((0, 0, 1), 1.0)
    depth[40:80, 50:110] = 0.8
    lost = np.isnan(noisy_depth(depth, LENS, SensorNoise(edge_loss=0.5), rng()))
    edge = near_edge(depth, 0.02, 2)
    assert not lost[~edge].any()
    assert lost[edge].mean() == pytest.approx(0.5, abs=0.12)
    assert edge[38:42, 80].all() and not edge[36, 80] and not edge[43, 80]


def test_a_smaller_step_than_the_jump_is_no_edge():
    depth = plane((0, 0, 1), 1.0)
    depth[:, 80:] += 0.015
    assert not near_edge(depth, 0.02, 2).any() and near_edge(depth, 0.01, 1).sum() == 240


@pytest.mark.parametrize("tilt_deg", [0.0, 30.0, 60.0, 75.0])
def test_the_angle_of_incidence_is_that_of_the_plane(tilt_deg):
    tilt = np.radians(tilt_deg)
    normal = np.array([0.0, -np.sin(tilt), np.cos(tilt)])
    depth = plane(tuple(normal), np.cos(tilt))  # passes (0, 0, 1)
    rows, columns = np.indices(depth.shape)
    rays = np.stack([(columns - LENS.cx) / LENS.fx, (rows - LENS.cy) / LENS.fy], axis=-1)
    rays = np.concatenate([rays, np.ones((120, 160, 1))], axis=-1)
    exact = np.abs(rays @ normal) / np.linalg.norm(rays, axis=-1)
    middle = (slice(20, -20), slice(20, -20))
    np.testing.assert_allclose(incidence_cosine(depth, LENS)[middle], exact[middle], atol=0.02)


def test_depth_is_lost_where_a_surface_is_seen_at_a_grazing_angle():
    noise = SensorNoise(edge_loss=0, grazing_deg=70, grazing_loss=0.8)
    steep = plane((0, -np.sin(np.radians(78)), np.cos(np.radians(78))), np.cos(np.radians(78)))
    near = (slice(50, 70), slice(60, 100))
    lost = np.isnan(noisy_depth(steep, LENS, noise, rng()))
    assert 0.6 < lost[near].mean() < 0.95
    assert not np.isnan(noisy_depth(plane((0, 0, 1), 1.0), LENS, noise, rng())).any()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"blur_px": -1}, "blur_px"),
        ({"depth_sigma_1m_m": np.nan}, "depth_sigma_1m_m"),
        ({"edge_loss": 1.5}, "edge_loss"),
        ({"grazing_deg": 91}, "grazing_deg"),
    ],
)
def test_impossible_settings_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        SensorNoise(**values)
