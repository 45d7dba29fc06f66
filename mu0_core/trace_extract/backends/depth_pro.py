# SPDX-License-Identifier: Apache-2.0
"""Depth Pro (Apple; ``apple/DepthPro-hf``): its input and what its output means.

It predicts inverse depth for a camera whose focal length equals the image width. Metres need the
real focal length: that of the calibrated camera where there is one, else the one that follows from
the field of view the network predicts. transformers' own processor always takes the predicted one,
and needs torchvision; the few lines here need neither.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from mu0_core.errors import ModelError
from mu0_core.types import CameraIntrinsics

FURTHEST_M = 1e4
"""The inverse depth is cut at 1 / this; what lies there (sky) is not known."""


def pixel_values(rgb: np.ndarray, processor: dict[str, Any]) -> torch.Tensor:
    """Return the (1, 3, S, S) input of (h, w, 3) uint8, stretched to the network's square.

    Args:
        rgb: image.
        processor: contents of the model's ``preprocessor_config.json``.
    """
    image = torch.from_numpy(np.array(rgb)).permute(2, 0, 1)[None].float() / 255
    mean, std = (
        torch.tensor(processor.get(key, [0.5] * 3))[:, None, None]
        for key in ("image_mean", "image_std")
    )
    size = processor.get("size", {"height": 1536, "width": 1536})
    shape = (size["height"], size["width"])
    return F.interpolate((image - mean) / std, shape, mode="bilinear", align_corners=False)


def depth_from_output(
    name: str,
    inverse: torch.Tensor,
    field_of_view_deg: torch.Tensor | None,
    size: tuple[int, int],
    intrinsics: CameraIntrinsics | None,
) -> torch.Tensor:
    """Return (h, w) metres; `FURTHEST_M` where the network sees no end.

    Args:
        name: of the model, for messages.
        inverse: (S, S) predicted inverse depth of the canonical camera.
        field_of_view_deg: predicted horizontal one in degrees, or None.
        size: (h, w) of the image.
        intrinsics: of the image, or None = take the predicted field of view.

    Raises:
        ModelError: neither the camera nor the network says what the focal length is.
    """
    height, width = size
    if intrinsics is not None:
        focal = intrinsics.fx * width / intrinsics.width
    elif field_of_view_deg is not None:
        angle = np.deg2rad(float(field_of_view_deg))
        if not 0 < angle < np.pi:
            raise ModelError(
                f"{name} predicts a field of view of {float(field_of_view_deg):.1f} degrees "
                "(0..180 is possible); give the intrinsics of the camera"
            )
        focal = width / 2 / np.tan(angle / 2)
    else:
        raise ModelError(
            f"{name} has no field-of-view head and the camera has no intrinsics: its depth has no "
            "scale; give intrinsics, or use apple/DepthPro-hf"
        )
    resized = F.interpolate(inverse[None, None].float(), (height, width), mode="bilinear")[0, 0]
    return 1 / torch.clamp(resized * (width / focal), min=1 / FURTHEST_M, max=FURTHEST_M)
