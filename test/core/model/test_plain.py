# SPDX-License-Identifier: Apache-2.0
"""The optimised path gives the numbers of the plain one."""

from __future__ import annotations

import torch

from mu0_core.model.noise import seeded_noise
from mu0_core.model.plain import plain_sample


def test_optimised_sampling_equals_plain_sampling(model, scene):
    noise = seeded_noise([1, 2], 3, 5, 10)
    plain = plain_sample(
        model,
        scene.images,
        scene.tokens,
        scene.mask,
        scene.query,
        noise,
        point_valid=scene.point_valid,
    )
    with torch.no_grad():
        prefix = model.encode_prefix(scene.images, scene.tokens, scene.mask, with_hidden=False)
        features = model.point_features(scene.images, scene.query[..., :2], scene.point_valid)
    fast = model.sample(
        prefix, features, scene.query, point_valid=scene.point_valid, num_samples=3, noise=noise
    )
    real = scene.point_valid[:, None].expand(-1, 3, -1)
    for name in ("control_points", "done_logits"):
        a, b = getattr(plain, name)[real], getattr(fast, name)[real]
        torch.testing.assert_close(a, b, atol=3e-6, rtol=1e-5)
