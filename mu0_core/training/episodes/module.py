# SPDX-License-Identifier: Apache-2.0
"""A world model as one forward pass from pixels to the loss: what distributed training wraps.

The frozen part of the backbone runs without gradients. Depth images are encoded only where they
are not hidden, but always at least one, so that every process computes gradients for the same
parameters.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mu0_core.model.backbone import ImageFeatures
from mu0_core.model.flow import TraceSamples
from mu0_core.model.prefix import Prefix
from mu0_core.model.world_model import WorldModel
from mu0_core.training.episodes.batch import EpisodeBatch, Observations
from mu0_core.training.loop import TOTAL
from mu0_core.training.losses import LossCounts, TrainingBatch
from mu0_core.training.objectives import OBJECTIVES


class TraceTraining(nn.Module):
    """The training objective of ``model``, whose trainable parameters are marked.

    Args:
        model: the world model.
        bfloat16: compute in bfloat16; the parameters stay as they are.
    """

    def __init__(self, model: WorldModel, bfloat16: bool = False) -> None:
        super().__init__()
        self.model, self._bfloat16 = model, bfloat16
        learning = [n for n, p in model.backbone.named_parameters() if p.requires_grad]
        adapters = [n for n in learning if ".lora_" in n or n.startswith("depth_stem.")]
        self._tower_learns = any(n.startswith("vision.") and n not in adapters for n in learning)
        self._depth_learns, self._backbone_learns = bool(adapters), bool(learning)

    def train(self, mode: bool = True) -> TraceTraining:
        """Switch the expert; a backbone of which nothing learns stays in evaluation mode."""
        super().train(mode)
        if not self._backbone_learns:
            self.model.backbone.eval()
        if self.model.dino is not None:
            self.model.dino.eval()
        return self

    def forward(
        self,
        batch: EpisodeBatch | Observations,
        counts: LossCounts | None = None,
        noise: Tensor | None = None,
    ) -> dict[str, Tensor] | TraceSamples:
        """Return the loss terms of a batch; or, given noise, samples for observations.

        Args:
            batch: to learn from; observations when ``noise`` is given.
            counts: of the whole batch when this is a part of it.
            noise: (B, S, N, D, 3).
        """
        device = batch.time.device if isinstance(batch, EpisodeBatch) else batch.query.device
        with torch.autocast(device.type, torch.bfloat16, enabled=self._bfloat16):
            if isinstance(batch, Observations):
                return self._sample(batch, noise)
            return self._losses(batch, counts)

    def _losses(self, batch: EpisodeBatch, counts: LossCounts | None) -> dict[str, Tensor]:
        prefix, features = self._encode(batch.seen)
        target = training_batch(batch, prefix, features)
        objective = OBJECTIVES[self.model.config.trace_head]
        terms = objective(self.model, target, batch.noise, batch.time, counts)
        return {
            TOTAL: terms.total,
            "flow_matching": terms.flow_matching,
            "done": terms.done,
            "rigidity": terms.rigidity,
        }

    def _sample(self, seen: Observations, noise: Tensor) -> TraceSamples:
        prefix, features = self._encode(seen)
        return self.model.sample(
            prefix,
            features,
            seen.query,
            seen.history,
            point_valid=seen.point_valid,
            history_valid=seen.history_kept,
            num_samples=noise.shape[1],
            noise=noise,
        )

    def _encode(self, seen: Observations) -> tuple[Prefix, Tensor | None]:
        """Return prefix and point features, with gradients as far as something learns there."""
        wanted = torch.is_grad_enabled()
        with torch.set_grad_enabled(wanted and self._tower_learns):
            image = self._encode_image(seen)
        with torch.set_grad_enabled(wanted and self._backbone_learns):
            depth = None
            if seen.depth_images is not None:
                depth = self._encode_depth(seen.depth_images, seen.depth_kept)
            prefix = self._prefix(seen, image, depth)
        points = (seen.query[..., :2], seen.point_valid)
        if seen.images is not None:
            shown = image if self.model.config.share_vision_features else seen.images
            return prefix, self.model.point_features(shown, *points)
        if seen.patch_map is None or self.model.feature_width is None:
            return prefix, None
        return prefix, self.model.read_map(image.patch_map, *points)

    def _prefix(
        self, seen: Observations, image: ImageFeatures, depth: ImageFeatures | None
    ) -> Prefix:
        if seen.key_values is not None and depth is None:
            past = Prefix.from_key_values(seen.key_values.float())
            return self.model.extend_with_language(
                past, seen.tokens, seen.token_valid, with_hidden=False
            )
        return self.model.encode_prefix(
            image,
            seen.tokens,
            seen.token_valid,
            depth,
            depth_valid=seen.depth_kept,
            with_hidden=False,
        )

    def _encode_image(self, seen: Observations) -> ImageFeatures:
        if seen.images is not None:
            return self.model.encode_image(seen.images)
        patch_map = None if seen.patch_map is None else seen.patch_map.float()
        return ImageFeatures(seen.image_tokens.float(), patch_map)

    def _encode_depth(self, images: Tensor, kept: Tensor | None) -> ImageFeatures:
        if kept is None or bool(kept.all()):
            return self.model.encode_image(images, depth=True)
        rows = kept.nonzero()[:, 0] if bool(kept.any()) else kept.new_zeros(1, dtype=torch.long)
        found = self.model.encode_image(images[rows], depth=True)
        tokens = found.tokens.new_zeros(len(images), *found.tokens.shape[1:])
        return ImageFeatures(tokens.index_copy(0, rows, found.tokens), found.patch_map)


def training_batch(
    batch: EpisodeBatch, prefix: Prefix | None = None, features: Tensor | None = None
) -> TrainingBatch:
    """Return a batch as the losses take it; without prefix it can only be counted."""
    seen = batch.seen
    return TrainingBatch(
        prefix=prefix,
        features=features,
        query=seen.query,
        point_valid=seen.point_valid,
        control_points=batch.control_points,
        target_valid=batch.target_valid,
        future_valid=batch.future_valid,
        cluster_ids=batch.cluster_ids,
        history=seen.history,
        history_valid=seen.history_kept,
    )
