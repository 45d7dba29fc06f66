# SPDX-License-Identifier: Apache-2.0
"""``mu0 train world-model`` on episodes in the released format: options become settings."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from mu0_core.errors import ConfigError, DataError

OPTIONS = ("config", "set", "lora", "normalizer", "accept")
_NOT_HERE = ("minutes", "max_snapshots")


def add_arguments(group: argparse._ArgumentGroup) -> None:
    """Declare the options that only this training has."""
    group.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE",
        help="change a setting, e.g. --set data.workers=8; may be repeated",
    )  # fmt: skip
    group.add_argument(
        "--lora", type=int, metavar="RANK",
        help="with --from: train adapters of the expert instead of all of it",
    )  # fmt: skip
    group.add_argument(
        "--normalizer", choices=("keep", "recompute"),
        help="with --from: keep the checkpoint's scales (default) or measure them on the data",
    )  # fmt: skip
    group.add_argument(
        "--accept", action="append", default=[], metavar="NAME",
        help="with --from: a difference from the checkpoint that is meant",
    )  # fmt: skip


def is_meant(args: argparse.Namespace) -> bool:
    """Say whether the data or the options are those of a training on episodes.

    Raises:
        DataError: ``--data`` holds neither kind of data.
    """
    from mu0_core.training.episodes.sources import find_episodes

    if args.config is not None:
        return True
    if find_episodes(str(args.data)):
        return True
    if any(args.data.glob("[0-9]*.npz")):
        for name in OPTIONS:
            if getattr(args, name):
                raise ConfigError(f"--{name} needs episodes, {args.data} holds snapshots")
        return False
    raise DataError(
        f"{args.data} holds neither snapshots of mu0 collect (NNNNNN.npz) nor episodes in the "
        "released format (folders with images.npy and samples/)"
    )


def run(args: argparse.Namespace, provenance: Callable, bars) -> int:
    """Train, export and write the model card; return 0."""
    from mu0_core.training.episodes.run import train_on_episodes
    from mu0_core.training.episodes.settings import EpisodeTraining
    from mu0_core.yaml_settings import read_settings

    for name in _NOT_HERE:
        if getattr(args, name) is not None:
            flag = name.replace("_", "-")
            raise ConfigError(f"--{flag} does not apply to episodes; give --steps or --config")
    settings = read_settings(EpisodeTraining, args.config, overrides(args))
    watcher = StepBars(bars, settings.run.steps)

    def origin(data: str):
        return provenance(data, settings.run.seed)

    progress = train_on_episodes(settings, args.out, origin, watcher)
    if not watcher.shown:  # another process of the same training
        return 0
    metrics = ", ".join(f"{name} {value:.4g}" for name, value in progress.metrics.items())
    watcher.close()
    print(f"{args.out}: {progress.step} updates, {metrics}")
    print(
        f"{progress.step / max(progress.update_s, 1e-9):.2f} updates/s, "
        f"{progress.waiting_share:.1%} of their "
        f"time spent waiting for data; {progress.skipped} skipped, {progress.replaced} samples "
        f"replaced, {progress.cut} instructions cut off"
    )
    return 0


def overrides(args: argparse.Namespace) -> list[str]:
    """Return the options as ``section.key=value``; ``--set`` comes last and wins."""
    named = {
        "data.episodes": None if args.data is None else f"[{_quoted(args.data)}]",
        "run.steps": args.steps,
        "run.seed": args.seed,
        "run.batch_size": args.batch_size,
        "optimiser.learning_rate": args.learning_rate,
        "fine_tune.start": None if args.start is None else _quoted(args.start),
        "fine_tune.lora_rank": args.lora,
        "fine_tune.normalizer": args.normalizer,
        "fine_tune.accept": f"[{', '.join(args.accept)}]" if args.accept else None,
    }
    if args.data is not None:
        named["data.split_file"] = "null"
    return [f"{key}={value}" for key, value in named.items() if value is not None] + args.set


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


class StepBars:
    """Bars of the stages, and one of the updates with their rate and the time left.

    Attributes:
        shown: whether anything was shown: True in one process of a training.
    """

    def __init__(self, stages, steps: int) -> None:
        self._stages, self._steps = stages, steps
        self._bar: tqdm | None = None
        self.shown = False

    def stage(self, text: str) -> None:
        """Start the bar of a stage."""
        self.shown = True
        self._stages.stage(text)

    def progress(self, done: int, total: int) -> None:
        """Show items done."""
        self._stages.progress(done, total)

    def note(self, text: str) -> None:
        """Show a line above the bar."""
        self._stages.note(text)

    def step(self, progress, share: float) -> None:
        """Show updates, loss, the first metric and the share of time without data."""
        if self._bar is None:
            self._stages.close()
            self._bar = tqdm(total=self._steps, initial=progress.step - 1, unit="update",
                             file=sys.stderr)  # fmt: skip
        shown = {"loss": f"{progress.running['total']:.3f}"}
        for name, value in list(progress.metrics.items())[:1]:
            shown[name] = f"{value:.4g}"
        shown["waiting"] = f"{progress.waiting_share:.1%}"
        self._bar.set_postfix(shown, refresh=False)
        self._bar.update(progress.step - self._bar.n)

    def close(self) -> None:
        """Finish the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
