# SPDX-License-Identifier: Apache-2.0
"""Image tensors on their way into a tower: resize, pad, normalise. No learned parts."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mu0_core.errors import ShapeError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def prepare_images(images: Tensor, size: int) -> Tensor:
    """Scale RGB to [-1, 1] and fit it into a square, keeping its aspect.

    Padding goes to the left and the top with -1. Feed square images: padding would break the
    relation between pixels and query coordinates, which refer to the whole square.

    Args:
        images: (B, 3, h, w) in [0, 1], or (B, T, 3, h, w), of which the last T is used.
        size: side of the square in pixels.

    Raises:
        ShapeError: not three channels, or a wrong number of axes.
    """
    if images.ndim == 5:
        images = images[:, -1]
    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
        raise ShapeError(
            f"images of shape {tuple(images.shape)} and {images.dtype}; "
            "expected float (B, 3, h, w) in [0, 1]"
        )
    height, width = images.shape[-2:]
    if (height, width) != (size, size):
        ratio = max(width / size, height / size)
        new_height, new_width = int(height / ratio), int(width / ratio)
        images = F.interpolate(images, (new_height, new_width), mode="bilinear")
        images = F.pad(images, (size - new_width, 0, size - new_height, 0))
    return images * 2 - 1


def imagenet_normalise(images: Tensor) -> Tensor:
    """Standardise (B, 3, h, w) RGB in [0, 1] with the ImageNet statistics."""
    mean = torch.tensor(IMAGENET_MEAN, device=images.device, dtype=images.dtype)
    std = torch.tensor(IMAGENET_STD, device=images.device, dtype=images.dtype)
    return (images - mean[:, None, None]) / std[:, None, None]


def sample_map(features: Tensor, uv: Tensor, padding: str) -> Tensor:
    """Read a (B, C, h, w) map bilinearly at (B, N, 2) points.

    ``uv`` spans [-1, 1] over the whole image, cell centres at odd multiples of 1/w (no corner
    alignment). ``padding`` is what lies outside: "zeros" or "border". Returns (B, N, C).
    Computed in fp32: half a digit of u is several pixels in bfloat16.
    """
    grid = uv[:, :, None].float()
    out = F.grid_sample(features.float(), grid, padding_mode=padding, align_corners=False)
    return out[..., 0].transpose(1, 2)


def sincos_table(rows: int, columns: int, width: int) -> Tensor:
    """Return the fixed (rows·columns, width) table of 2D sine-cosine positions, row-major."""
    quarter = width // 4
    frequency = 10_000.0 ** (-torch.arange(quarter, dtype=torch.float64) / quarter)
    row = torch.arange(rows, dtype=torch.float64)[:, None, None] * frequency
    column = torch.arange(columns, dtype=torch.float64)[None, :, None] * frequency
    row, column = row.expand(-1, columns, -1), column.expand(rows, -1, -1)
    table = torch.cat([row.sin(), row.cos(), column.sin(), column.cos()], dim=-1).flatten(0, 1)
    return F.pad(table, (0, width - table.shape[-1])).float()
