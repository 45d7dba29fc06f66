# SPDX-License-Identifier: Apache-2.0
"""Starting noise depends on its seed, sample and point, and on nothing else."""

from __future__ import annotations

import torch

from mu0_core.model.noise import seeded_noise


def test_noise_is_a_function_of_seed_sample_and_point():
    base = seeded_noise([7, 8], 2, 5, 10)
    assert torch.equal(base, seeded_noise([7, 8], 2, 5, 10))
    assert torch.equal(base[1:], seeded_noise([8], 2, 5, 10))
    assert torch.equal(base, seeded_noise([7, 8], 4, 9, 10)[:, :2, :5])
    assert not torch.equal(base[:, 0], base[:, 1]) and not torch.equal(base[0], base[1])


def test_noise_is_standard_normal():
    noise = seeded_noise([0], 4, 200, 10)
    assert noise.dtype == torch.float32
    assert abs(noise.mean()) < 0.02 and abs(noise.std() - 1) < 0.02
