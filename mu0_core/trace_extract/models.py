# SPDX-License-Identifier: Apache-2.0
"""The models of an extraction, loaded when first used and kept for the clips that follow."""

from __future__ import annotations

from functools import cached_property

from mu0_core.trace_extract.backends import registry
from mu0_core.trace_extract.captioning.captioner import Captioner
from mu0_core.trace_extract.captioning.captioner_registry import make_captioner
from mu0_core.trace_extract.protocols import (
    DepthModel,
    PatchFeatures,
    PointTracker,
    Reconstruction,
)
from mu0_core.trace_extract.settings import BackendSettings
from mu0_core.trace_extract.stages.keypoints import Prior


class Models:
    """What `BackendSettings` name."""

    def __init__(self, settings: BackendSettings) -> None:
        self._settings = settings

    @cached_property
    def depth(self) -> DepthModel | None:
        """Depth of single images, or None."""
        name = self._settings.depth
        return registry.depth_model(name, device=self._settings.device) if name else None

    @cached_property
    def reconstruction(self) -> Reconstruction | None:
        """Depth and cameras of several images, or None."""
        name = self._settings.reconstruction
        return registry.reconstruction(name, device=self._settings.device) if name else None

    @cached_property
    def tracker(self) -> PointTracker:
        """Follows points."""
        return registry.point_tracker(self._settings.tracker, device=self._settings.device)

    @cached_property
    def features(self) -> PatchFeatures:
        """Features of image patches."""
        from mu0_core.trace_extract.backends.dinov2_features import DinoFeatures

        return DinoFeatures(device=self._settings.device)

    @cached_property
    def priors(self) -> tuple[Prior, ...]:
        """What adds keypoints besides motion."""
        found: list[Prior] = []
        if self._settings.saliency:
            from mu0_core.trace_extract.backends.saliency import Saliency

            found.append(Saliency())
        if self._settings.hands:
            from mu0_core.trace_extract.backends.hands import Hands

            found.append(Hands())
        return tuple(found)

    @cached_property
    def captioner(self) -> Captioner:
        """Writes sentences."""
        return make_captioner(self._settings.captioner, self._settings.captioner_options)
