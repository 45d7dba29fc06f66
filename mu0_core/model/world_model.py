# SPDX-License-Identifier: Apache-2.0
"""The world model: image and instruction in, 3D interaction traces of query points out (μ0 paper).

A frozen backbone encodes the observation once (`Backbone`, `Prefix`); a trace expert denoises
the control points of a B-spline per query point by flow matching. x_t = t·ε + (1 − t)·P, the
velocity is ε − P, sampling goes from t = 1 to 0 in Euler steps.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mu0_core.errors import ShapeError
from mu0_core.model.backbone import Backbone, ImageFeatures
from mu0_core.model.backbone_config import BackboneConfig
from mu0_core.model.config import WorldModelConfig
from mu0_core.model.dinov2 import build_dinov2, last_patch_map
from mu0_core.model.expert import TraceExpert, joint_mask
from mu0_core.model.flow import Flow, FlowContext, TraceSamples
from mu0_core.model.images import imagenet_normalise, prepare_images, sample_map
from mu0_core.model.prefix import Prefix
from mu0_core.model.suffix import SuffixEmbedding, suffix_mask
from mu0_core.model.time_embedding import euler_times


class WorldModel(nn.Module):
    """The whole network.

    Symbols: B observations, N query points, S samples, D control points, H steps, h history
    steps, d backbone width, e expert width.

    Args:
        config: architecture.
        sizes: of the backbone and the towers.

    Raises:
        ConfigError: sizes and architecture do not fit.
    """

    def __init__(self, config: WorldModelConfig, sizes: BackboneConfig) -> None:
        super().__init__()
        self.config, self.sizes = config, sizes
        self.backbone = Backbone(config, sizes)
        self.expert = TraceExpert(config, sizes.text, len(self.backbone.language.layers))
        width = self.expert.width
        self.dino = None
        self.feature_width: int | None = None
        if config.share_vision_features:
            self.feature_width = self.backbone.connector.proj.in_features // sizes.scale_factor**2
        elif config.use_dino:
            if sizes.dino is None:
                raise ShapeError("use_dino=True without the sizes of a DINOv2 tower")
            self.dino = build_dinov2(sizes.dino)
            self.feature_width = sizes.dino.hidden_size
        self.suffix = SuffixEmbedding(config, width, self.feature_width)
        self.out_future = nn.Linear(width, 3 * config.trace_bspline_ctrl_per_token)
        self.done = None
        if config.trace_done_head:
            self.done = nn.Linear(width, config.future_len)
            nn.init.zeros_(self.done.weight)
            nn.init.constant_(self.done.bias, config.done_bias_init)
        self.action_time_mlp_in = self.action_time_mlp_out = None
        if config.legacy_unused_tensors:
            self.action_time_mlp_in = nn.Linear(2 * width, width)
            self.action_time_mlp_out = nn.Linear(width, width)

    # --- observation ---

    def encode_image(self, images: Tensor, *, depth: bool = False) -> ImageFeatures:
        """Run the vision tower on (B, 3, h, w) images in [0, 1].

        `encode_prefix` and `point_features` share the result when both read the same tower.
        """
        return self.backbone.embed_images(images, depth=depth)

    def encode_prefix(
        self,
        images: Tensor | ImageFeatures,
        language_tokens: Tensor,
        language_mask: Tensor,
        depth_images: Tensor | ImageFeatures | None = None,
        image_valid: Tensor | None = None,
        depth_valid: Tensor | None = None,
        *,
        with_hidden: bool = True,
    ) -> Prefix:
        """Encode observations.

        Padding changes no number but costs time: pass language tokens without it if you can.

        Args:
            images: (B, 3, h, w) RGB in [0, 1], square, or what `encode_image` made of them.
            language_tokens: (B, T) ids; ``language_mask`` (B, T) True = real.
            depth_images: (B, 3, h, w) colour-coded depth in [0, 1] or encoded; None costs nothing.
            image_valid: (B,) bool; ``depth_valid`` alike.
            with_hidden: also return the output of the last layer (`Prefix.hidden`).

        Raises:
            ShapeError: inputs disagree, or an observation has no valid token.
        """
        blocks = self._image_blocks(images, depth_images, image_valid, depth_valid)
        blocks.append((self.backbone.embed_language(language_tokens), language_mask))
        joined = self.backbone.assemble(blocks, self.config.prefix_length)
        return self.backbone.encode(*joined, with_hidden=with_hidden)

    def encode_image_prefix(
        self,
        images: Tensor | ImageFeatures,
        image_valid: Tensor | None = None,
        *,
        with_hidden: bool = True,
    ) -> Prefix:
        """Encode the image part of a causal prefix, to be reused over instructions.

        Raises:
            ShapeError: the backbone is bidirectional, so the image part depends on the language.
        """
        if self.config.prefix_attention != "causal":
            raise ShapeError(
                "image prefixes can be extended only with prefix_attention='causal', this model "
                f"has {self.config.prefix_attention!r}"
            )
        blocks = self._image_blocks(images, None, image_valid, None)
        return self.backbone.encode(*self.backbone.assemble(blocks), with_hidden=with_hidden)

    def extend_with_language(
        self,
        prefix: Prefix,
        language_tokens: Tensor,
        language_mask: Tensor,
        *,
        with_hidden: bool = True,
    ) -> Prefix:
        """Append an instruction to an image prefix; equals the joint `encode_prefix`."""
        block = (self.backbone.embed_language(language_tokens), language_mask)
        embeddings, valid = self.backbone.assemble([block])
        return self.backbone.encode(embeddings, valid, past=prefix, with_hidden=with_hidden)

    def point_features(
        self, images: Tensor | ImageFeatures, query_uv: Tensor, point_valid: Tensor | None = None
    ) -> Tensor | None:
        """Read the DINOv2 patch map at the query points.

        Args:
            images: (B, 3, h, w) in [0, 1]; or `ImageFeatures` when the tower is shared.
            query_uv: (B, N, 2) in [-1, 1] over the whole image.
            point_valid: (B, N) bool, False gives zeros.

        Returns:
            (B, N, C), or None for a model without point features.
        """
        if self.feature_width is None:
            return None
        if self.dino is not None:
            if isinstance(images, ImageFeatures):
                raise ShapeError(
                    "this model's point features come from their own tower: "
                    "pass the images themselves"
                )
            patch_map = self.images_dino_map(images)
        else:
            shared = images if isinstance(images, ImageFeatures) else self.encode_image(images)
            patch_map = shared.patch_map
        return self.read_map(patch_map, query_uv, point_valid)

    def read_map(
        self, patch_map: Tensor, query_uv: Tensor, point_valid: Tensor | None = None
    ) -> Tensor:
        """Read a (B, C, h, w) map as `point_features` does; returns (B, N, C)."""
        if point_valid is not None:
            query_uv = torch.where(point_valid[..., None], query_uv, 0.0)
        features = sample_map(patch_map, query_uv, self.config.dino_padding)
        return features if point_valid is None else features * point_valid[..., None]

    # --- flow ---

    def context(
        self,
        prefix: Prefix,
        features: Tensor | None,
        query: Tensor,
        history: Tensor | None = None,
        *,
        point_valid: Tensor | None = None,
        history_valid: Tensor | None = None,
        num_samples: int = 1,
    ) -> FlowContext:
        """Compute what all evaluations of one call share; arguments as in `sample`.

        Raises:
            ShapeError: an argument has the wrong shape.
        """
        batch, points = query.shape[:2]
        self._check("query", query, (prefix.batch, points, 3))
        if self.feature_width is not None:
            if features is None:
                raise ShapeError("this model needs point features")
            self._check("features", features, (batch, points, self.feature_width))
        if point_valid is None:
            point_valid = torch.ones(batch, points, dtype=torch.bool, device=query.device)
        self._check("point_valid", point_valid, (batch, points))
        if history is not None:
            self._check("history", history, (batch, points, self.config.history_len, 3))
        suffix = self.suffix.prepare(query, features, point_valid, history, history_valid)
        tokens = num_samples * suffix.valid[0].numel()
        cache = self.expert.prepare(prefix, 0 if torch.is_grad_enabled() else tokens)
        return FlowContext(
            suffix, cache, joint_mask(cache, suffix_mask(suffix, num_samples), tokens)
        )

    def flow(
        self, context: FlowContext, state: Tensor, modulation: Tensor, time: Tensor | None = None
    ) -> Flow:
        """Evaluate the velocity at ``state`` (B, S, N, D, 3), S as ``context`` was made for.

        ``modulation`` (B or 1, layers, 6, e) is the expert's at the flow ``time`` (B or 1,), which
        itself is needed where the expert predicts the end of the flow (``trace_output``).
        """
        hidden = self.expert(
            self.suffix(state, context.suffix), modulation, context.cache, context.mask
        )
        hidden = hidden.unflatten(1, (*state.shape[1:3], -1))
        future = self.expert.norm(hidden[..., -self.config.num_future_tokens :, :])
        velocity = _linear_fp32(self.out_future, future).flatten(3).unflatten(3, (-1, 3))
        if self.config.trace_output == "curve" and time is not None:
            velocity = (state - velocity) / time[:, None, None, None, None]
        done = None if self.done is None else _linear_fp32(self.done, future.float().mean(dim=3))
        return Flow(velocity, done, hidden)

    def velocity(
        self,
        prefix: Prefix,
        features: Tensor | None,
        query: Tensor,
        state: Tensor,
        time: Tensor,
        history: Tensor | None = None,
        *,
        point_valid: Tensor | None = None,
        history_valid: Tensor | None = None,
    ) -> Flow:
        """Evaluate the field at one (B, N, D, 3) state and (B,) time per observation (training).

        The prefix may be freshly encoded (gradients reach the adapters) or cached and detached.
        """
        context = self.context(
            prefix,
            features,
            query,
            history,
            point_valid=point_valid,
            history_valid=history_valid,
        )
        return self.flow(context, state[:, None], self.expert.modulate(time), time)

    @torch.no_grad()
    def sample(
        self,
        prefix: Prefix,
        features: Tensor | None,
        query: Tensor,
        history: Tensor | None = None,
        *,
        point_valid: Tensor | None = None,
        history_valid: Tensor | None = None,
        num_samples: int = 1,
        num_steps: int | None = None,
        noise: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> TraceSamples:
        """Sample futures. S samples share one prefix: they differ in their noise only.

        Args:
            prefix: B encoded observations.
            features: (B, N, C) from `point_features`.
            query: (B, N, 3) u, v in [-1, 1] and z in metres.
            history: (B, N, h, 3) past minus current position, oldest first; None = no history,
                which is what a model does that was told to mask it, at half the cost.
            point_valid: (B, N) bool, False = padding.
            history_valid: (B, N) bool, False drops the history of single points.
            num_steps: Euler steps; the configuration's by default.
            noise: (B, S, N, D, 3) start of the flow (see `seeded_noise`); drawn if None.
            generator: of that draw.
        """
        steps = num_steps or self.config.num_steps
        shape = (*query.shape[:2], self.config.trace_bspline_n_ctrl, 3)
        shape = (shape[0], num_samples, *shape[1:])
        if noise is None:
            device = query.device if generator is None else generator.device
            noise = torch.randn(shape, generator=generator, device=device)
        self._check("noise", noise, shape)
        context = self.context(
            prefix,
            features,
            query,
            history,
            point_valid=point_valid,
            history_valid=history_valid,
            num_samples=num_samples,
        )
        times = euler_times(steps, query.device)
        table = self.expert.modulate(times)
        state = noise.to(query.device, torch.float32)
        for k in range(steps):
            flow = self.flow(context, state, table[k : k + 1], times[k : k + 1])
            state = state - flow.velocity / steps
        return TraceSamples(state, flow.done_logits)

    # --- helpers ---

    def _image_blocks(self, images, depth_images, image_valid, depth_valid):
        if not isinstance(images, ImageFeatures):
            images = self.encode_image(images)
        blocks = [(images.tokens, image_valid)]
        if depth_images is not None:
            if not isinstance(depth_images, ImageFeatures):
                depth_images = self.encode_image(depth_images, depth=True)
            blocks.append((depth_images.tokens, depth_valid))
        return blocks

    def images_dino_map(self, images: Tensor) -> Tensor:
        """Return the (B, C, h, w) DINOv2 map of (B, 3, h, w) images in [0, 1]."""
        pixels = (prepare_images(images, self.config.image_size) + 1) / 2
        return self.dino_map(pixels)

    def dino_map(self, pixels: Tensor) -> Tensor:
        """Return the (B, C, h, w) DINOv2 map of RGB in [0, 1], resized to its input size."""
        size = (self.config.dino_input_size,) * 2
        pixels = imagenet_normalise(pixels)
        if pixels.shape[-2:] != size:
            pixels = F.interpolate(pixels, size, mode="bilinear")
        with torch.no_grad():
            return last_patch_map(self.dino, pixels, self.config.dino_num_prefix_tokens)

    @staticmethod
    def _check(name: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
        if tuple(tensor.shape) != tuple(shape):
            raise ShapeError(f"{name} has shape {tuple(tensor.shape)}, expected {tuple(shape)}")


def _linear_fp32(layer: nn.Linear, x: Tensor) -> Tensor:
    with torch.autocast(x.device.type, enabled=False):
        return F.linear(x.float(), layer.weight.float(), layer.bias.float())
