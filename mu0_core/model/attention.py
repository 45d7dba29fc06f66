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

    Key/value head j serves query heads j·A/K … (j+1)·A/K − 1. The query heads of a group are
    folded into the token axis, so that keys and values are never repeated.

    Args:
        query: (B, T, A, c).
        key: (B, P, K, c); ``value`` alike.
        mask: bool, True = attend, (B, T, P) or (B, 1, P); every row needs one True. None = all.
        causal: query t sees keys 0…t; needs T = P and excludes ``mask``.

    Returns:
        (B, T, A·c) in the dtype of ``value``.
    """
    batch, tokens, heads, channels = query.shape
    groups = heads // key.shape[2]
    query, key = query.to(value.dtype), key.to(value.dtype)
    if causal:
        out = F.scaled_dot_product_attention(
            query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2),
            is_causal=True, enable_gqa=groups > 1,
        )
        return out.transpose(1, 2).reshape(batch, tokens, heads * channels)
    if mask is not None:
        mask = mask[:, None]
        if groups > 1 and mask.shape[2] > 1:
            mask = mask.repeat(1, 1, groups, 1)
    folded = query.unflatten(2, (-1, groups)).permute(0, 2, 3, 1, 4).flatten(2, 3)
    out = F.scaled_dot_product_attention(
        folded, key.transpose(1, 2), value.transpose(1, 2), attn_mask=mask
    )
    out = out.unflatten(2, (groups, tokens)).permute(0, 3, 1, 2, 4)
    return out.reshape(batch, tokens, heads * channels)
