# SPDX-License-Identifier: Apache-2.0
"""The gated motion mixer: motion tokens are mixed into the backbone's tokens (μ0 paper).

``Z' = Z + sigmoid(gate) * CrossAttention(LN(Z), LN(W motion))``; the gate starts at 0, so motion
enters with weight one half from the first step.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GatedMotionMixer(nn.Module):
    """Cross-attention from backbone tokens (width d) to motion tokens (width e)."""

    def __init__(self, width: int, motion_width: int, num_heads: int) -> None:
        super().__init__()
        self.norm_q = nn.LayerNorm(width)
        self.norm_kv = nn.LayerNorm(width)
        self.w_proj = nn.Linear(motion_width, width)
        self.ca = nn.MultiheadAttention(width, num_heads, batch_first=True)
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(
        self, tokens: Tensor, valid: Tensor, motion: Tensor, motion_valid: Tensor | None = None
    ) -> Tensor:
        """Return the mixed tokens (B, P, d); padded rows come back unchanged.

        Args:
            tokens: (B, P, d); valid: (B, P) bool.
            motion: (B, M, e); motion_valid: (B, M) bool or None = all; each row needs one true.
        """
        keys = self.norm_kv(self.w_proj(motion))
        ignored = None if motion_valid is None else ~motion_valid
        mixed, _ = self.ca(
            self.norm_q(tokens), keys, keys, key_padding_mask=ignored, need_weights=False
        )
        return tokens + torch.sigmoid(self.gate) * mixed * valid.unsqueeze(-1)
