# SPDX-License-Identifier: Apache-2.0
"""Rotary positions and grouped-query attention, shared by backbone, experts and policy.

Tensors are (batch, token, head, channel) here, the layout in which keys and values are stored;
the transposition to what the fused kernel wants is a view.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

Rotation = tuple[Tensor, Tensor]


def rotation(position_ids: Tensor, head_dim: int, base: float) -> Rotation:
    """Return fp32 (cos, sin) tables of shape (B, T, 1, head_dim/2) for (B, T) positions."""
    half = torch.arange(0, head_dim, 2, device=position_ids.device, dtype=torch.float32)
    angle = position_ids[..., None].float() * base ** (-half / head_dim)
    return angle.cos()[:, :, None], angle.sin()[:, :, None]


def rotate(x: Tensor, table: Rotation) -> Tensor:
    """Rotate (B, T, heads, c) by a `rotation` table, half-split layout, computed in fp32."""
    cos, sin = table
    first, second = x.float().chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1).to(x.dtype)


def attend(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, *, causal: bool = False
) -> Tensor:
    """Return softmax(q kᵀ / √c) v with grouped key/value heads.

    Key/value head j serves query heads j·A/K … (j+1)·A/K − 1; the fused kernels group them
    without repeating keys and values.

    Args:
        query: (B, T, A, c).
        key: (B, P, K, c); ``value`` alike, whose dtype is computed in.
        mask: bool, True = attend, (B, T, P) or (B, 1, P); every row needs one True. None = all.
        causal: query t sees keys 0…t; needs T = P and excludes ``mask``.

    Returns:
        (B, T, A·c) in the dtype of ``value``.
    """
    dtype = value.dtype
    if torch.is_autocast_enabled("cpu") and value.device.type == "cpu":
        dtype = torch.float32  # the backward pass of the bfloat16 kernel takes five times as long
    with torch.autocast("cpu", enabled=False):
        out = F.scaled_dot_product_attention(
            query.to(dtype).transpose(1, 2),
            key.to(dtype).transpose(1, 2),
            value.to(dtype).transpose(1, 2),
            attn_mask=None if mask is None else mask[:, None],
            is_causal=causal,
            enable_gqa=query.shape[2] != key.shape[2],
        )
    return out.transpose(1, 2).flatten(2).to(value.dtype)
