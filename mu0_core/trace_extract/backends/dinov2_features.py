# SPDX-License-Identifier: Apache-2.0
"""Patch features of the packaged DINOv2-S/14.

Its last layers are tuned to saliency, which tells objects from what they stand on; layers 6 to 9
find the same point again best (measured on a stereo pair with known disparity).
"""

from __future__ import annotations

import cv2
import numpy as np
import torch

from mu0_core.errors import ConfigError
from mu0_core.model.images import imagenet_normalise
from mu0_core.weights import dinov2_small
from mu0_core.weights.cache import converted_model

_PATCH_PX = 14


class DinoFeatures:
    """Implements `PatchFeatures`.

    Attributes:
        grid: patches per side.
        name: for manifests and cache keys.
    """

    def __init__(self, grid: int = 24, layer: int = 11, device: str = "cpu") -> None:
        """Load the converted weights.

        Args:
            grid: patches per side; the image is stretched to ``14 * grid`` pixels.
            layer: hidden state that is used, 1..12.
            device: of torch.

        Raises:
            ConfigError: there is no such layer, or the grid is empty.
            MissingWeightsError: the weights are not converted yet; names the command.
        """
        from transformers import Dinov2Model
        from transformers.utils import logging

        if grid < 1 or not 1 <= layer <= 12:
            raise ConfigError(f"grid {grid} must be positive, layer {layer} in 1..12")
        folder = converted_model(dinov2_small.NAME)
        logging.disable_progress_bar()
        model = Dinov2Model.from_pretrained(folder, local_files_only=True)
        model.encoder.layer = model.encoder.layer[:layer]
        self._model, self._device = model.eval().to(device), device
        self.grid, self.name = grid, f"{dinov2_small.NAME}-layer{layer}-{grid}"

    def features(self, rgb: np.ndarray) -> np.ndarray:
        """Return (grid, grid, 384) float32 of one (h, w, 3) uint8 image."""
        side = self.grid * _PATCH_PX
        image = cv2.resize(np.ascontiguousarray(rgb), (side, side), interpolation=cv2.INTER_AREA)
        pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float().to(self._device) / 255
        with torch.inference_mode():
            states = self._model(
                pixel_values=imagenet_normalise(pixels), output_hidden_states=True
            ).hidden_states
        return states[-1][0, 1:].reshape(self.grid, self.grid, -1).float().cpu().numpy()
