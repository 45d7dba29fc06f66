# SPDX-License-Identifier: Apache-2.0
"""What tracked points looked like when they began, to know them again after an occlusion."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mu0_core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class PatchSettings:
    """How a point is recognised.

    Attributes:
        radius_px: of the patch.
        search_px: distance from the foretold place.
        min_correlation: normalised correlation of patch and image.
        min_contrast: standard deviation of a patch (grey levels) that can be recognised at all.
    """

    radius_px: int = 9
    search_px: int = 8
    min_correlation: float = 0.85
    min_contrast: float = 4.0

    def __post_init__(self) -> None:
        if self.radius_px < 2 or self.search_px < 0 or not 0 < self.min_correlation <= 1:
            raise ConfigError(
                f"radius_px {self.radius_px} >= 2, search_px {self.search_px} >= 0 and "
                f"min_correlation {self.min_correlation} in (0, 1] are needed"
            )


class PatchMemory:
    """Grey patches by row of the track book."""

    def __init__(self, settings: PatchSettings) -> None:
        self._settings = settings
        self._patches: dict[int, np.ndarray] = {}

    def learn(self, rows: np.ndarray, grey: np.ndarray, uv_px: np.ndarray) -> None:
        """Keep the patches around pixels (N, 2) of a (h, w) uint8 image, but no flat ones."""
        side = 2 * self._settings.radius_px + 1
        for row, uv in zip(rows, uv_px):
            patch = cv2.getRectSubPix(grey, (side, side), (float(uv[0]), float(uv[1])))
            if patch.std() >= self._settings.min_contrast:
                self._patches[int(row)] = patch

    def find(
        self, rows: np.ndarray, grey: np.ndarray, uv_px: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Look for points near foretold pixels.

        Args:
            rows: (N,) which points.
            grey: (h, w) uint8 image.
            uv_px: (N, 2) where each is expected; NaN = nowhere.

        Returns:
            pixels (N, 2) and whether the patch was recognised there (N,).
        """
        s = self._settings
        reach = s.radius_px + s.search_px
        found, alike = uv_px.copy(), np.zeros(len(rows), bool)
        height, width = grey.shape
        for k, (row, uv) in enumerate(zip(rows, uv_px)):
            patch = self._patches.get(int(row))
            if patch is None or not np.isfinite(uv).all():
                continue
            x, y = (int(c) for c in np.rint(uv))
            if not (reach <= x < width - reach and reach <= y < height - reach):
                continue
            window = grey[y - reach : y + reach + 1, x - reach : x + reach + 1]
            score = cv2.matchTemplate(window, patch, cv2.TM_CCOEFF_NORMED)
            _, best, _, place = cv2.minMaxLoc(score)
            if best >= s.min_correlation:
                found[k] = (x + place[0] - s.search_px, y + place[1] - s.search_px)
                alike[k] = True
        return found, alike
