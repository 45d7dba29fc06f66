# SPDX-License-Identifier: Apache-2.0
"""``mu0 train``: train the world model or the action expert; the same command continues it.

The world model learns from pictures of the simulator (``mu0 collect``) or, in `train_episodes`,
from episodes in the released format.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from mu0_core.cli import train_episodes
from mu0_core.errors import ConfigError

WHAT = ("world-model", "action-expert")

EPILOG = """\
examples:
  mu0 train world-model --data data --out models/my-mu0 --minutes 140       pictures of mu0 collect
  mu0 train world-model --data episodes --out models/my-mu0 --steps 20000   released episodes
  mu0 train world-model --config config/train/embedded.yaml --data episodes --out models/my-mu0
  accelerate launch --num_processes 8 -m mu0_core.cli.main train world-model --config F --out OUT
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``mu0 train``."""
    parser.add_argument("what", choices=WHAT, help="which model")
    parser.add_argument("--data", type=Path,
                        help="folder made by mu0 collect; world-model: or folder of episodes, "
                        "which beats that of --config")  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint")
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--minutes", type=float, help="time of the updates, all runs together")
    budget.add_argument("--steps", type=int, help="number of updates, all runs together")
    parser.add_argument("--config", type=Path, metavar="FILE",
                        help="world-model: YAML file of a training on episodes; options given "
                        "beside it win")  # fmt: skip
    parser.add_argument("--threads", type=int, help="CPU threads (default: all)")
    parser.add_argument("--seed", type=int, help="of the training (default: 0)")
    parser.add_argument("--batch-size", type=int, help="observations per update")
    parser.add_argument("--learning-rate", type=float, help="peak learning rate")
    parser.add_argument("--max-snapshots", type=int,
                        help="pictures with cached backbone features")  # fmt: skip
    parser.add_argument("--world-model", type=Path,
                        help="action-expert: folder of the checkpoint whose forecasts are "
                        "trained on; without it true traces are")  # fmt: skip
    parser.add_argument("--from", dest="start", type=Path, metavar="DIR",
                        help="learn on from the weights of this checkpoint")  # fmt: skip
    parser.add_argument("--no-traces", action="store_true",
                        help="action-expert: train the ablation that sees no traces")  # fmt: skip
    train_episodes.add_arguments(parser.add_argument_group("world model on episodes"))


def run(args: argparse.Namespace) -> int:
    """Train, export and write the model card; return 0."""
    import torch

    from mu0_core.training.model_card import Provenance, current_commit
    from mu0_core.training.schedule import Budget

    if args.threads is not None:
        if args.threads < 1:
            raise ConfigError(f"--threads {args.threads} must be at least 1")
        torch.set_num_threads(args.threads)
    _refuse_foreign(args)
    on_episodes = args.what == "world-model" and train_episodes.is_meant(args)
    command = shlex.join(["mu0", *sys.argv[1:]])
    commit = current_commit()

    def provenance(data: str, seed: int = args.seed or 0) -> Provenance:
        return Provenance(command, seed, commit, data)

    bars = ProgressBars()
    try:
        if on_episodes:
            return train_episodes.run(args, provenance, bars)
        budget = Budget(args.steps, args.minutes)
        if args.what == "world-model":
            progress = _world_model(args, budget, provenance, bars)
        else:
            progress = _action_expert(args, budget, provenance, bars)
    finally:
        bars.close()
    metrics = ", ".join(f"{name} {value:.4g}" for name, value in progress.metrics.items())
    print(f"{args.out}: {progress.step} updates, {metrics}")
    return 0


def _refuse_foreign(args: argparse.Namespace) -> None:
    """Refuse options of another kind of training."""
    if args.what == "world-model":
        foreign = [name for name in ("world_model", "no_traces") if getattr(args, name)]
    else:
        foreign = [name for name in train_episodes.OPTIONS if getattr(args, name)]
        if args.max_snapshots is not None and args.world_model is None:
            raise ConfigError("--max-snapshots needs --world-model: without it nothing is cached")
    if foreign:
        raise ConfigError(f"--{foreign[0].replace('_', '-')} does not apply to {args.what}")
    if args.config is None:
        if args.data is None:
            raise ConfigError("--data is missing")
        if args.steps is None and args.minutes is None:
            raise ConfigError("when to stop is missing: --steps, --minutes or --config")


def _world_model(args, budget, provenance, bars):
    from mu0_core.training.world_model_run import WorldModelRun, train_world_model

    settings = WorldModelRun(budget)
    features = settings.features
    if args.max_snapshots is not None:
        features = replace(features, max_snapshots=args.max_snapshots)
    settings = replace(settings, features=features, **_overridden(settings, args))
    return train_world_model(args.data, args.out, settings, provenance, bars, args.start)


def _action_expert(args, budget, provenance, bars):
    from mu0_core.training.action_expert_run import ActionExpertRun, train_action_expert

    settings = ActionExpertRun(budget)
    policy = replace(settings.policy, use_trace=not args.no_traces)
    settings = replace(settings, policy=policy, **_overridden(settings, args))
    if args.max_snapshots is not None:
        features = replace(settings.forecasts.features, max_snapshots=args.max_snapshots)
        settings = replace(settings, forecasts=replace(settings.forecasts, features=features))
    return train_action_expert(
        args.data, args.out, settings, provenance, args.world_model, bars, args.start
    )


def _overridden(settings, args) -> dict:
    """Return loop and batch settings with what the command line changes."""
    loop, batch = replace(settings.loop, seed=args.seed or 0), settings.batch
    if args.learning_rate is not None:
        loop = replace(loop, learning_rate=replace(loop.learning_rate, peak=args.learning_rate))
    if args.batch_size is not None:
        batch = replace(batch, batch_size=args.batch_size)
    return {"loop": loop, "batch": batch}


class ProgressBars:
    """Shows what `Watcher` is told: one bar per stage, with loss and metric while training."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None
        self._stage = ""

    def stage(self, text: str) -> None:
        """Start the bar of a stage."""
        self.close()
        self._stage = text
        tqdm.write(text, file=sys.stderr)

    def progress(self, done: int, total: int) -> None:
        """Show items done."""
        if self._bar is None:
            self._bar = tqdm(total=total, desc=self._stage)
        self._bar.update(done - self._bar.n)

    def note(self, text: str) -> None:
        """Show a line above the bar."""
        tqdm.write(f"note: {text}", file=sys.stderr)

    def step(self, progress, share: float) -> None:
        """Show the spent share of the budget, the smoothed loss and the first metric."""
        if self._bar is None:
            self._bar = tqdm(total=100, unit="%", bar_format="{l_bar}{bar}| {elapsed}{postfix}")
        shown = {"step": progress.step, "loss": f"{progress.running['total']:.3f}"}
        first = next(iter(progress.metrics.items()), None)
        if first:
            shown[first[0]] = f"{first[1]:.4g}"
        self._bar.set_postfix(shown, refresh=False)
        self._bar.update(100 * share - self._bar.n)

    def close(self) -> None:
        """Finish the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
