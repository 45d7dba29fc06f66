# SPDX-License-Identifier: Apache-2.0
"""Episode samples as tensors: what the model sees, and with it what it is to learn."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from mu0_core.data.collate import IMAGE, IMAGE_TOKENS, KEY_VALUES, PATCH_MAP, collate
from mu0_core.data.sample import TraceSample
from mu0_core.training.episodes.prompts import Prompts


class _Tensors:
    """A dataclass of tensors, nested ones, and other values."""

    def to(self, device: torch.device) -> Self:
        """Return it on a device."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Self:
        """Return it in memory that a GPU copies from while it computes."""
        return self._map(Tensor.pin_memory)

    def _map(self, function: Callable[[Tensor], Tensor]) -> Self:
        changed = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor):
                changed[field.name] = function(value)
            elif isinstance(value, _Tensors):
                changed[field.name] = value._map(function)
        return dataclasses.replace(self, **changed)


@dataclass(frozen=True)
class Observations(_Tensors):
    """B observations, N query points, h history steps, T tokens.

    Attributes:
        images: (B, 3, I, I) in [0, 1]; None when the next ones stand in for it.
        image_tokens: (B, n, d); patch_map: (B, C, h, w); key_values: (B, L, 2, n, K, c), of a
            frozen backbone, float16; the last two may be None.
        tokens: (B, T) ids; token_valid: (B, T) bool.
        query: (B, N, 3) u, v in [-1, 1], z in metres.
        point_valid: (B, N) bool, False = padding.
        history: (B, N, h, 3) or None; history_kept: (B, N) bool, False hides it; None keeps all.
        depth_images: (B, 3, I, I) in [0, 1] or None; depth_kept: (B,) bool, False hides it; None
            keeps all.
    """

    images: Tensor | None
    tokens: Tensor
    token_valid: Tensor
    query: Tensor
    point_valid: Tensor
    history: Tensor | None = None
    history_kept: Tensor | None = None
    depth_images: Tensor | None = None
    depth_kept: Tensor | None = None
    image_tokens: Tensor | None = None
    patch_map: Tensor | None = None
    key_values: Tensor | None = None


@dataclass(frozen=True)
class EpisodeBatch(_Tensors):
    """Observations, targets, and everything that is random; D control points, H steps.

    Attributes:
        seen: the observations.
        future_valid: (B, N, H) bool.
        cluster_ids: (B, N) int64, -1 = none.
        control_points: (B, N, D, 3) targets; target_valid: (B, N) bool, there is one.
        noise: (B, N, D, 3) start of the flow; time: (B,) flow times.
        replaced: samples that could not be loaded; cut: instructions that were cut off.
    """

    seen: Observations
    future_valid: Tensor
    cluster_ids: Tensor
    control_points: Tensor
    target_valid: Tensor
    noise: Tensor
    time: Tensor
    replaced: int = 0
    cut: int = 0


def observe(
    samples: Sequence[TraceSample], prompts: Prompts, history: bool
) -> tuple[Observations, dict[str, Tensor], int]:
    """Return the observations of samples, all tensors of `collate`, and the instructions cut off.

    Args:
        samples: points are padded to the most of any of them.
        prompts: makes tokens.
        history: show the past of the points.
    """
    arrays = collate(samples)
    tokens, token_valid, cut = prompts(arrays.pop("task"))
    tensors = {name: torch.from_numpy(value) for name, value in arrays.items()}
    seen = Observations(
        images=tensors.get(IMAGE),
        image_tokens=tensors.get(IMAGE_TOKENS),
        patch_map=tensors.get(PATCH_MAP),
        key_values=tensors.get(KEY_VALUES),
        tokens=tokens,
        token_valid=token_valid,
        query=tensors["current_kp"],
        point_valid=tensors["key_pad_mask"],
        history=tensors["traj_history"] if history else None,
        depth_images=tensors.get(f"{IMAGE}_depth"),
    )
    return seen, tensors, cut
