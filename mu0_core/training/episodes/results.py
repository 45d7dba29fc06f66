# SPDX-License-Identifier: Apache-2.0
"""What a training on episodes leaves behind: the last and the best checkpoint, model cards."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import torch

from mu0_core.training.episodes.evaluation import BEST
from mu0_core.training.episodes.export import export, gather
from mu0_core.training.episodes.setup import Setup
from mu0_core.training.model_card import Provenance, write_model_card
from mu0_core.training.train_state import Progress

BEST_FOLDER = "best"
_TRACK_EVERY = 10  # updates


class Results:
    """Writes checkpoints: the best one after each evaluation, the last one at the end.

    Args:
        setup: of the training.
        out: folder of the last checkpoint; the best lies in ``best`` below it.
        origin: for the cards and the header of the weights.
    """

    def __init__(self, setup: Setup, out: Path, origin: Provenance) -> None:
        self._setup, self._out, self._origin = setup, out, origin
        self._accelerator = setup.accelerator

    def track(self, progress: Progress) -> None:
        """Give the trackers a row every few updates."""
        if progress.step % _TRACK_EVERY == 0 and self._accelerator.trackers:
            row = {f"train/{name}": value for name, value in progress.running.items()}
            row["train/waiting_share"] = progress.waiting_share
            row["train/skipped"] = progress.skipped
            self._accelerator.log(row, step=progress.step)

    def keep_best(self, progress: Progress) -> None:
        """Export the model unless an earlier evaluation of this training was at least as good."""
        if self._accelerator.trackers:
            row = {f"held_out/{name}": value for name, value in progress.metrics.items()}
            self._accelerator.log(row, step=progress.step)
        earlier = [row[BEST] for row in progress.history if row["step"] < progress.step]
        if all(progress.metrics[BEST] < value for value in earlier):
            self.write(self._out / BEST_FOLDER, progress)

    def write(self, folder: Path, progress: Progress) -> None:
        """Export the model as it is now; all processes must call.

        Raises:
            DataError: the files cannot be written; the checkpoint before is unchanged.
        """
        main = self._accelerator.is_main_process
        setup, settings = self._setup, self._setup.settings
        state = gather(setup.built.model, keep=main)
        if not main:
            return
        name = settings.run.save_dtype
        default = torch.float16 if setup.blueprint.embedded else torch.float32
        meta = {
            "step": progress.step,
            "target": settings.data.target,
            "prompt_probe": setup.blueprint.prompts.probe(),
            "data_fingerprint": setup.data.fingerprint,
        }
        export(
            folder,
            setup.built,
            state,
            setup.data.normalizer,
            meta,
            dtype=default if name is None else getattr(torch, name),
            metadata=self._origin.header(),
            write_card=lambda staged: self._write_card(staged, progress),
        )

    def _write_card(self, folder: Path, progress: Progress) -> None:
        settings, model = self._setup.settings, self._setup.built.model
        learning = (p for p in model.parameters() if p.requires_grad)
        write_model_card(
            folder,
            "Interaction trace world model",
            "μ0 (arXiv 2606.13769) trained on episodes in the released format. Errors are those "
            "of moving points of held-out episodes: u and v in -1..1, depth in metres, "
            f"{settings.evaluation.samples} samples, of which the first counts unless a "
            "metric says min.",
            self._origin,
            progress,
            {
                **flat(dataclasses.asdict(settings)),
                "delta_scale": model.config.delta_scale,
                "trainable parameters": sum(p.numel() for p in learning),
                "processes": self._accelerator.num_processes,
                "share of update time spent waiting for data": f"{progress.waiting_share:.4f}",
                "samples replaced because they could not be loaded": progress.replaced,
                "instructions cut off": progress.cut,
            },
        )


def flat(values: Mapping[str, object], prefix: str = "", *, plain: bool = False) -> dict:
    """Return nested values under dotted names; ``plain`` makes a string of what is no number."""
    found: dict[str, object] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name}.", plain=plain)
        else:
            kept = not plain or isinstance(value, int | float | str | bool)
            found[f"{prefix}{name}"] = value if kept else str(value)
    return found
