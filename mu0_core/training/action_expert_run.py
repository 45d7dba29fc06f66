# SPDX-License-Identifier: Apache-2.0
"""From snapshots and a trained world model to a trained action expert; continues when rerun."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from mu0_core.action_expert.trace_policy import TracePolicy
from mu0_core.action_expert.trace_policy_config import TracePolicyConfig
from mu0_core.errors import ConfigError
from mu0_core.inference.language import InstructionEncoder
from mu0_core.inference.runtime import load_policy
from mu0_core.model.checkpoint import WEIGHTS, load_exact, save_checkpoint
from mu0_core.model.layout import PRETRAINED_LANGUAGE
from mu0_core.model.llama import LanguageModel
from mu0_core.model.pretrained import llama_tensors
from mu0_core.model.tensor_file import sha256
from mu0_core.training import embedded_profile as profile
from mu0_core.training.action_expert_trainer import (
    ACTION_EXPERT_LOOP,
    ActionExpertObjective,
    ActionExpertSettings,
    Instructions,
    true_control_points,
)
from mu0_core.training.feature_cache import fill_feature_cache
from mu0_core.training.forecast_cache import ForecastCache, ForecastSettings, forecast_slots
from mu0_core.training.loop import LoopSettings, train
from mu0_core.training.model_card import Provenance, write_model_card
from mu0_core.training.schedule import Budget
from mu0_core.training.slots import SlotSettings, TrainingSlots
from mu0_core.training.trace_fit import TraceFit
from mu0_core.training.train_state import Progress
from mu0_core.training.watcher import Watcher
from mu0_core.training.world_model_run import WORK, load_embedded, prepare_slots


@dataclass(frozen=True, slots=True)
class ActionExpertRun:
    """All settings of a run; ``policy.use_trace=False`` trains the ablation without traces."""

    budget: Budget
    policy: TracePolicyConfig = profile.EMBEDDED_POLICY
    slots: SlotSettings = field(default_factory=SlotSettings)
    forecasts: ForecastSettings = field(default_factory=ForecastSettings)
    batch: ActionExpertSettings = field(default_factory=ActionExpertSettings)
    loop: LoopSettings = ACTION_EXPERT_LOOP


def train_action_expert(
    snapshots: Path,
    out: Path,
    run: ActionExpertRun,
    provenance: Callable[[str], Provenance],
    world_model: Path | None = None,
    watcher: Watcher | None = None,
    start: Path | None = None,
) -> Progress:
    """Train an action expert of the embedded profile and export it to ``out``.

    Args:
        snapshots: folder of snapshots.
        out: folder of the checkpoint and of the kept stages.
        run: all settings.
        provenance: makes the model card's provenance of a description of the data.
        world_model: folder of the checkpoint whose forecasts are trained on, best one that was
            trained on other snapshots; None trains on true traces with noise alone.
        watcher: is told what happens.
        start: folder of a checkpoint of the same sizes whose weights are learned on from.

    Raises:
        DataError: snapshots or kept stages are broken or do not belong together.
        ConfigError: ``world_model`` or ``start`` is a model of other settings.
        NonFiniteOutputError: the training diverged.
    """
    watcher = watcher or Watcher()
    work = out / WORK
    slots = prepare_slots(snapshots, work, run.slots, watcher)
    if slots.chunk.shape[1] != run.policy.chunk_size:
        raise ConfigError(
            f"policy.chunk_size {run.policy.chunk_size} differs from the {slots.chunk.shape[1]} "
            "steps that the snapshots hold"
        )
    forecasts = None
    if world_model is not None and run.policy.use_trace:
        forecasts = _forecasts(world_model, slots, snapshots, work, run.forecasts, watcher)
    watcher.stage("instructions and true traces")
    instructions = Instructions(instruction_encoder(), slots.instruction)
    control_m = true_control_points(slots, TraceFit.for_model(profile.EMBEDDED_WORLD_MODEL))
    if start is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(run.loop.seed)
            policy = TracePolicy(run.policy)
    else:
        policy = load_policy(start, _same_config(start, run.policy))
    objective = ActionExpertObjective(
        policy, slots, control_m, instructions,
        slots.validation(run.slots.validation_share), run.batch, forecasts,
    )  # fmt: skip
    watcher.stage("training")
    fixed = {
        "batch": dataclasses.asdict(run.batch),
        "policy": dataclasses.asdict(run.policy),
        "slots": len(slots),
        "forecasts": forecasts.source if forecasts else None,
        "start": sha256(start / WEIGHTS) if start else None,
    }
    progress = train(objective, run.loop, run.budget, work, fixed, watcher.step)
    origin = provenance(
        f"{len(slots.files)} simulated pictures (episode seeds {slots.seed.min()}.."
        f"{slots.seed.max()}), {len(slots)} sentences with their futures, "
        + (f"forecasts of {len(forecasts.slot)} of them" if forecasts else "true traces only")
    )
    config = dataclasses.asdict(run.policy)
    save_checkpoint(
        out, policy.eval().state_dict(), {"config.json": config}, metadata=origin.header()
    )
    write_model_card(
        out,
        f"{run.policy.world_model}-{run.policy.robot}: action expert",
        "Flow-matching policy of the embedded profile: forecast traces, instruction and robot "
        "state in, a chunk of tip motion out. Trained on a scripted expert in simulation."
        + ("" if run.policy.use_trace else " Ablation: it sees no traces."),
        origin,
        progress,
        {**config, **dataclasses.asdict(run.batch), "optimiser": run.loop,
         "parameters": sum(p.numel() for p in policy.parameters())},
    )  # fmt: skip
    return progress


def _same_config(start: Path, config: TracePolicyConfig) -> TracePolicyConfig:
    stored = TracePolicyConfig.from_json(start / "config.json")
    sampling = {"execute_steps": config.execute_steps, "noise_scale": config.noise_scale}
    if dataclasses.replace(stored, **sampling) != config:
        raise ConfigError(f"{start} holds a policy of other settings: {stored}, wanted {config}")
    return config


def instruction_encoder() -> InstructionEncoder:
    """Return the frozen language part of the embedded world model."""
    config, sizes = profile.EMBEDDED_WORLD_MODEL, profile.EMBEDDED_SIZES
    path = profile.language_folder() / WEIGHTS
    language = LanguageModel(sizes.text, config.num_vlm_layers)
    names = {name: PRETRAINED_LANGUAGE + name for name in language.state_dict()}
    load_exact(language, names, {path.parent.name: llama_tensors(path, config.num_vlm_layers)})
    tokenizer = profile.embedded_tokenizer()
    return InstructionEncoder(tokenizer, language.eval(), sizes.text, config.rope_theta)


def _forecasts(
    world_model: Path,
    slots: TrainingSlots,
    snapshots: Path,
    work: Path,
    settings: ForecastSettings,
    watcher: Watcher,
) -> ForecastCache:
    """Return the world model's forecasts, computed once per world model."""
    kept, source = work / "forecasts.npz", sha256(world_model / WEIGHTS)
    if kept.is_file():
        forecasts = ForecastCache.load(kept)
        if forecasts.source == source:
            return forecasts
    model = load_embedded(world_model)
    watcher.stage("backbone features")
    cache = fill_feature_cache(
        work / f"features-{source[:8]}", model, profile.embedded_tokenizer(), slots, snapshots,
        settings.features, watcher.progress,
    )  # fmt: skip
    watcher.stage("forecasts")
    forecasts = forecast_slots(model, cache, slots, settings, source, watcher.progress)
    forecasts.save(kept)
    return forecasts
