# SPDX-License-Identifier: Apache-2.0
"""Landmarks of hands by mediapipe (optional): a prior for keypoints.

Only mediapipe 0.10.21 is usable: later wheels hold no models. Installed with its dependencies it
pulls numpy back below 2; `INSTALL` is what works beside the pinned packages. Who wants to do
without hands when it is missing asks `available`; everything else is an error.
"""

from __future__ import annotations

import importlib.util
from importlib import metadata

import cv2
import numpy as np

from mu0_core.errors import ConfigError, ModelError

VERSION = "0.10.21"
INSTALL = (
    f"pip install --no-deps mediapipe=={VERSION}; "
    "pip install absl-py attrs flatbuffers 'protobuf<5' matplotlib sounddevice"
)
LANDMARKS = 21


def available() -> bool:
    """Say whether mediapipe is installed; its version is checked on loading."""
    return importlib.util.find_spec("mediapipe") is not None


class Hands:
    """A loaded hand detector. Called with an image it is a prior of the keypoint stage."""

    def __init__(
        self, max_hands: int = 2, min_confidence: float = 0.3, reach: float = 0.02
    ) -> None:
        """Load the detector.

        Args:
            max_hands: that are looked for in an image.
            min_confidence: of a detection, 0..1; low, because a prior may err.
            reach: radius around a landmark in which points are wanted, in image widths.

        Raises:
            ConfigError: a value is out of range.
            ModelError: mediapipe is missing, or a version without models.
        """
        if max_hands < 1 or not 0 < min_confidence < 1 or not 0 < reach < 1:
            raise ConfigError(
                f"max_hands {max_hands} must be positive, min_confidence {min_confidence} and "
                f"reach {reach} must lie in 0..1"
            )
        self.reach = reach
        if not available():
            raise ModelError(f"hand landmarks need mediapipe; run: {INSTALL}")
        found = metadata.version("mediapipe")
        if found != VERSION:
            raise ModelError(f"mediapipe {found} holds no hand models; run: {INSTALL}")
        import mediapipe

        self._detector = mediapipe.solutions.hands.Hands(
            static_image_mode=True,
            max_num_hands=max_hands,
            min_detection_confidence=min_confidence,
        )

    def hand_points(self, rgb: np.ndarray) -> list[np.ndarray]:
        """Return (21, 2) float32 pixels of each hand in (h, w, 3) uint8; they may lie outside."""
        height, width = rgb.shape[:2]
        found = self._detector.process(np.ascontiguousarray(rgb)).multi_hand_landmarks
        # mediapipe counts from the image's corner, 0..1
        return [
            np.array([(p.x * width, p.y * height) for p in hand.landmark], np.float32) - 0.5
            for hand in found or ()
        ]

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        """Return (h, w) bool: where points are wanted."""
        wanted = np.zeros(rgb.shape[:2], np.uint8)
        radius = max(1, round(self.reach * rgb.shape[1]))
        for hand in self.hand_points(rgb):
            for u, v in np.rint(hand).astype(int):
                cv2.circle(wanted, (int(u), int(v)), radius, 1, cv2.FILLED)
        return wanted.astype(bool)
