# SPDX-License-Identifier: Apache-2.0
"""Supervision: fits are projections, metres agree with the camera, noise spares what rests."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mu0_core.geometry import camera, se3
from mu0_core.model.render import end_phase
from mu0_core.training.action_expert_trainer import true_control_points
from mu0_core.training.embedded_profile import EMBEDDED_WORLD_MODEL
from mu0_core.training.flow_time import FlowTime
from mu0_core.training.trace_fit import TraceFit
from mu0_core.training.trace_geometry import to_base, to_optical
from mu0_core.training.trace_noise import TraceNoise
from mu0_core.types import CameraIntrinsics

FIT = TraceFit.for_model(EMBEDDED_WORLD_MODEL)


def test_exact_fit_inverts_the_basis_and_smooth_fit_nearly():
    np.testing.assert_allclose(FIT.exact @ FIT.basis, np.eye(10), atol=1e-9)
    curve = np.sin(np.linspace(0, 3, 33))
    assert np.abs(FIT.basis @ FIT.smooth @ curve - curve).max() < 0.05
    noise = np.random.default_rng(0).normal(size=33)
    rough = np.abs(np.diff(FIT.exact @ noise)).sum()
    assert np.abs(np.diff(FIT.smooth @ noise)).sum() < rough


def test_a_resting_trace_has_resting_control_points():
    np.testing.assert_allclose(FIT.smooth @ np.zeros(33), 0)
    np.testing.assert_allclose(FIT.smooth @ np.ones(33), 1, atol=1e-9)


def test_batched_geometry_equals_that_of_each_camera(slots):
    rng = np.random.default_rng(0)
    uvz = np.concatenate(
        [rng.uniform(-1, 1, (12, 8, 5, 2)), rng.uniform(0.5, 1, (12, 8, 5, 1))], -1
    )
    lenses = slots.intrinsics * rng.uniform(0.9, 1.1, (12, 1))
    optical = to_optical(uvz, lenses)
    base = to_base(uvz, lenses, slots.T_base_camera)
    for row in range(12):
        lens = CameraIntrinsics(*lenses[row])
        pixels = camera.uv_to_pixels(uvz[row, ..., :2], lens.width, lens.height)
        expected = camera.unproject(np.concatenate([pixels, uvz[row, ..., 2:]], -1), lens)
        np.testing.assert_allclose(optical[row], expected, atol=1e-12)
        np.testing.assert_allclose(base[row], se3.apply(slots.T_base_camera[row], expected))


def test_true_control_points_start_at_the_query_and_follow_the_trace(slots):
    control = true_control_points(slots, FIT)
    valid = slots.point_valid(np.arange(len(slots)))
    truth = to_base(slots.trace.astype(float), slots.intrinsics, slots.T_base_camera)
    drawn = np.einsum("hd,mndc->mnhc", FIT.basis, control)
    error = np.linalg.norm(drawn - truth, axis=-1)[valid]
    moved = np.linalg.norm(truth[:, :, -1] - truth[:, :, 0], axis=-1)[valid]
    assert moved.max() > 0.1
    assert error.max() < 0.15 * moved.max() and error.mean() < 0.01


def test_noise_spares_resting_points_and_keeps_shapes():
    rng = np.random.default_rng(0)
    control = np.zeros((200, 12, 10, 3))
    control[:, :6] += np.linspace(0, 0.2, 10)[:, None]
    valid, ends = np.ones((200, 12), bool), np.full((200, 12), 0.5)
    noisy, new_ends, kept = TraceNoise().disturb(control, ends, valid, rng)
    offset = np.linalg.norm((noisy - control)[:, :, -1] - (noisy - control)[:, :, 0], axis=-1)
    assert offset[:, :6].mean() > 3 * offset[:, 6:].mean()
    assert 0 < np.abs(new_ends - ends).mean() < 0.1
    assert new_ends.min() >= 0 and new_ends.max() <= 1
    assert 0.6 < kept.mean() < 1 and kept.sum(axis=1).min() >= 8
    assert not TraceNoise().disturb(control, ends, ~valid, rng)[2].any()


def test_flow_times_lie_in_their_range_and_near_the_noise():
    time = FlowTime(least=0.2, exponent=1.6).draw(5000, torch.Generator().manual_seed(0))
    assert 0.2 <= float(time.min()) < 0.21 and 0.99 < float(time.max()) <= 1
    assert float(time.mean()) == pytest.approx(0.2 + 0.8 * 1.6 / 2.6, abs=0.01)


def test_end_phase_is_that_of_the_first_step_that_is_no_motion():
    logits = torch.tensor([[1.0, 1, 1, 1], [1, -1, 1, 1], [-1, -1, -1, -1]])
    np.testing.assert_array_equal(end_phase(logits), [1.0, 0.25, 0.0])
