# SPDX-License-Identifier: Apache-2.0
"""The released action policy (μ0 paper): an action head steered by a frozen world model.

One step of the trace flow over a grid of query points gives motion tokens; the gated mixer adds
them to the backbone's tokens; a flow-matching head turns these, the instruction, the wrist
camera and the robot state into a chunk of actions. The parameter names are the checkpoint's.
This is the parity implementation; the embedded expert is `trace_policy`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mu0_core.action_expert.adarms_transformer import AdaRmsTransformer, TransformerConfig
from mu0_core.action_expert.gated_motion_mixer import GatedMotionMixer
from mu0_core.action_expert.policy_config import PolicyConfig
from mu0_core.errors import ConfigError, ShapeError
from mu0_core.model.prefix import Prefix
from mu0_core.model.time_embedding import euler_times, time_features
from mu0_core.model.world_model import WorldModel


@dataclass(frozen=True)
class PolicyObservation:
    """What the head reads besides the state.

    Attributes:
        z: (B, P, d) backbone stream after the mixer; ``z_valid`` (B, P) bool.
        language: (B, L, d) unscaled token embeddings; ``language_valid`` (B, L) bool.
        wrist: (B, p², d) wrist-camera tokens.
    """

    z: Tensor
    z_valid: Tensor
    language: Tensor
    language_valid: Tensor
    wrist: Tensor


class ActionDecoder(nn.Module):
    """The flow-matching head over width w. Raw state, raw actions: nothing is normalised."""

    def __init__(self, config: PolicyConfig, sizes: TransformerConfig, width: int) -> None:
        super().__init__()
        self.config, self.width = config, sizes.width
        self.gemma_expert = AdaRmsTransformer(sizes)
        self.z_norm, self.z_proj = nn.LayerNorm(width), nn.Linear(width, sizes.width)
        self.lang_norm, self.lang_proj = nn.LayerNorm(width), nn.Linear(width, sizes.width)
        self.visual_norm, self.visual_proj = nn.LayerNorm(width), nn.Linear(width, sizes.width)
        self.state_proj = nn.Linear(config.state_dim, sizes.width)
        self.action_in_proj = nn.Linear(config.max_action_dim, sizes.width)
        self.action_out_proj = nn.Linear(sizes.width, config.max_action_dim)
        self.time_mlp_in = nn.Linear(sizes.width, sizes.width)
        self.time_mlp_out = nn.Linear(sizes.width, sizes.width)

    def prefix(self, seen: PolicyObservation, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return (B, P', w) tokens [z, language, wrist, state] and their (B, P') validity."""
        tokens = torch.cat(
            [
                self.z_proj(self.z_norm(seen.z)),
                self.lang_proj(self.lang_norm(seen.language)),
                self.visual_proj(self.visual_norm(seen.wrist)),
                self.state_proj(state)[:, None],
            ],
            dim=1,
        )
        ones = seen.z_valid.new_ones(len(state), seen.wrist.shape[1] + 1)
        return tokens, torch.cat([seen.z_valid, seen.language_valid.bool(), ones], dim=1)

    def forward(
        self, prefix: Tensor, prefix_valid: Tensor, actions: Tensor, time: Tensor
    ) -> Tensor:
        """Return the velocity (B, T, action_dim) at noisy ``actions`` and flow time (B,)."""
        padded = F.pad(actions, (0, self.config.max_action_dim - actions.shape[-1]))
        hidden = self.gemma_expert(
            prefix, prefix_valid, self.action_in_proj(padded), self.condition(time)
        )
        return self.action_out_proj(hidden.float())[..., : self.config.action_dim]

    def condition(self, time: Tensor) -> Tensor:
        """Return the (B, w) adaRMS condition at (B,) flow times."""
        waves = time_features(time, self.width, self.config.min_period, self.config.max_period)
        hidden = F.silu(self.time_mlp_in(waves.to(self.time_mlp_in.weight.dtype)))
        return F.silu(self.time_mlp_out(hidden))


class ReleasePolicy(nn.Module):
    """The trainable part of the policy; the frozen world model is an argument of `observe`.

    Args:
        config: of the policy.
        head: sizes of the action head's stack.
        width: d of the backbone.
        motion_width: e of the trace expert.
        wrist_width: of DINOv2.
    """

    def __init__(
        self,
        config: PolicyConfig,
        head: TransformerConfig,
        width: int,
        motion_width: int,
        wrist_width: int,
    ) -> None:
        super().__init__()
        self.config = config
        cells = config.gripper_spatial_pool_size**2
        self.gripper_spatial_pos_embed = nn.Parameter(0.02 * torch.randn(cells, width))
        self.gripper_proj = nn.Linear(wrist_width, width)
        self.gated_mixer = GatedMotionMixer(width, motion_width, config.mixer_heads)
        self.action_decoder = ActionDecoder(config, head, width)

    @classmethod
    def for_world_model(
        cls, config: PolicyConfig, head: TransformerConfig, world_model: WorldModel
    ) -> ReleasePolicy:
        """Build with the widths of a world model; raises `ConfigError` if it has no DINOv2."""
        if world_model.dino is None:
            raise ConfigError("the released policy needs a world model with a DINOv2 tower")
        return cls(
            config,
            head,
            world_model.sizes.text.hidden_size,
            world_model.expert.width,
            world_model.sizes.dino.hidden_size,
        )

    def observe(
        self,
        world_model: WorldModel,
        images: Tensor,
        wrist_images: Tensor,
        language_tokens: Tensor,
        language_mask: Tensor,
        trace_noise: Tensor,
    ) -> PolicyObservation:
        """Run the frozen world model and the mixer.

        Args:
            images: (B, 3, h, w) third-person RGB in [0, 1]; ``wrist_images`` alike.
            language_tokens: (B, L) ids; ``language_mask`` (B, L) True = real.
            trace_noise: (B, grid², D, 3) start of the trace flow; fix it for repeatable actions.
        """
        with torch.no_grad():
            prefix = world_model.encode_prefix(images, language_tokens, language_mask)
            wrist = self._pooled_wrist(world_model, wrist_images)
            language = world_model.backbone.language.embed_tokens(language_tokens)
            motion = None
            if self.config.use_trace:
                motion = self.motion_tokens(world_model, prefix, images, trace_noise)
        z = prefix.hidden
        if motion is not None:
            z = self.gated_mixer(z, prefix.valid, motion)
        wrist = self.gripper_proj(wrist) + self.gripper_spatial_pos_embed
        return PolicyObservation(z, prefix.valid, language, language_mask, wrist)

    def motion_tokens(
        self, world_model: WorldModel, prefix: Prefix, images: Tensor, noise: Tensor
    ) -> Tensor:
        """Return (B, grid²/4, e): expert streams of a grid of query points, pooled 2 × 2."""
        grid, batch = self.config.grid_size, prefix.batch
        query = query_grid(grid).to(images.device).expand(batch, -1, -1)
        if noise.shape[:2] != query.shape[:2]:
            raise ShapeError(f"trace_noise {tuple(noise.shape)}, expected (B, {grid**2}, D, 3)")
        features = world_model.point_features(images, query[..., :2])
        context = world_model.context(prefix, features, query)
        times = euler_times(self.config.trace_total_steps, images.device)
        table = world_model.expert.modulate(times[: self.config.trace_executed_steps])
        state = noise[:, None].float()
        for k in range(self.config.trace_executed_steps):
            flow = world_model.flow(context, state, table[k : k + 1])
            state = state - flow.velocity / self.config.trace_total_steps
        last = flow.hidden[:, 0, :, -1].transpose(1, 2).unflatten(2, (grid, grid))
        return F.avg_pool2d(last, 2).flatten(2).transpose(1, 2)

    def velocity(
        self, seen: PolicyObservation, state: Tensor, actions: Tensor, time: Tensor
    ) -> Tensor:
        """Return the (B, T, action_dim) velocity; ``state`` (B, state_dim), ``time`` (B,)."""
        return self.action_decoder(*self.action_decoder.prefix(seen, state), actions, time)

    @torch.no_grad()
    def act(self, seen: PolicyObservation, state: Tensor, noise: Tensor) -> Tensor:
        """Return (B, T, action_dim) actions from starting noise of the same shape."""
        steps, x = self.config.num_inference_steps, noise
        prefix = self.action_decoder.prefix(seen, state)
        for time in euler_times(steps, noise.device):
            x = x - self.action_decoder(*prefix, x, time.expand(len(x))) / steps
        return x

    def loss(
        self, seen: PolicyObservation, state: Tensor, actions: Tensor, noise: Tensor, time: Tensor
    ) -> Tensor:
        """Return the flow-matching loss of a (B, T, action_dim) chunk."""
        t = time[:, None, None]
        velocity = self.velocity(seen, state, t * noise + (1 - t) * actions, time)
        return F.mse_loss(velocity, noise - actions)

    def _pooled_wrist(self, world_model: WorldModel, images: Tensor) -> Tensor:
        pooled = F.adaptive_avg_pool2d(
            world_model.dino_map(images), self.config.gripper_spatial_pool_size
        )
        return pooled.flatten(2).transpose(1, 2).to(self.gripper_proj.weight.dtype)


def query_grid(side: int) -> Tensor:
    """Return (1, side², 3) query points over the whole image, u fastest, z = 0."""
    line = torch.linspace(-1.0, 1.0, side)
    v, u = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([u, v, torch.zeros_like(u)], dim=-1).flatten(0, 1)[None]
