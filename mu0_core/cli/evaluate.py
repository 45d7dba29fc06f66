# SPDX-License-Identifier: Apache-2.0
"""``mu0 evaluate``: forecast errors of models on held-out episodes, beside baselines."""

from __future__ import annotations

import argparse
from pathlib import Path

from mu0_core.errors import ConfigError

EPILOG = """\
examples:
  mu0 evaluate mu0-embedded --data held_out
  mu0 evaluate models/my-mu0 dense=models/dense --data split.json --json out.json --plot out.png
  mu0 evaluate models/my-mu0 --data split.json --select all --select-samples 16 --calibrate

MODEL is an id of the registry or the folder of a checkpoint; NAME=FOLDER names its row. --data is
a folder or pattern of episodes in the released format, or a split file
  {"train": [...], "held_out": [...], "groups": {"camera": [...]}}
whose groups get a table of their own. Episodes that a split or a model's own folder names as
training data are refused.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments; defaults of the protocol stand in `EvaluateSettings`."""
    from mu0_core.evaluation.episodes.settings import SLOTS, EvaluateSettings

    own = EvaluateSettings()
    parser.add_argument("models", nargs="*", metavar="MODEL", help="[NAME=]FOLDER or model id")
    parser.add_argument("--data", required=True, help="episodes, or a split file (.json)")
    parser.add_argument(
        "--train", help="training episodes or a split file, for the nearest training trace"
    )
    parser.add_argument("--samples", type=int, default=own.samples, help="S of best-of-S (5)")
    parser.add_argument("--points", type=int, default=own.points, help="of a slot, at most (16)")
    parser.add_argument("--slots", choices=SLOTS, default=own.slots, help="of an episode")
    parser.add_argument("--max-slots", type=int, metavar="N", help="in all, drawn at random")
    parser.add_argument("--horizons", default="8,16,32", help="first steps that count (8,16,32)")
    parser.add_argument("--history", action="store_true", help="show models the past of points")
    parser.add_argument("--depth", action="store_true", help="show depth images where read")
    parser.add_argument(
        "--first-noise", type=float, default=own.first_noise, metavar="SCALE",
        help="of the noise of the first sample (1; a robot's single forecast: 0.3)",
    )  # fmt: skip
    parser.add_argument(
        "--select", metavar="RULE", help="study how one trace is chosen: all, or names with commas"
    )
    parser.add_argument(
        "--select-samples", type=int, default=16, metavar="S", help="to choose from (16)"
    )
    parser.add_argument(
        "--calibrate", action="store_true",
        help="write calibration.json beside the checkpoints: best rule, meaning of the spread",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=own.seed, help="of everything drawn (0)")
    parser.add_argument("--threads", type=int, default=2, help="torch threads (2)")
    parser.add_argument("--device", default="cpu", help="where models run (cpu)")
    parser.add_argument(
        "--allow-training-data", action="store_true",
        help="evaluate episodes that a model was trained on, with a warning",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write curves (PNG)")


def run(args: argparse.Namespace) -> int:
    """Evaluate and print the tables.

    Raises:
        ConfigError, DataError, ModelError: see the messages.
    """
    import torch

    from mu0_core.cli.train import ProgressBars
    from mu0_core.evaluation.episodes.command import EvaluateOptions, evaluate_models
    from mu0_core.evaluation.episodes.plots import plot
    from mu0_core.evaluation.episodes.results import to_json, write_json
    from mu0_core.evaluation.episodes.study import wanted_rules
    from mu0_core.evaluation.episodes.tables import latency_table, markdown
    from mu0_core.training.model_card import current_commit

    if args.threads < 1:
        raise ConfigError(f"--threads {args.threads}: expected at least 1")
    rules = wanted_rules(args.select or "all") if args.select or args.calibrate else ()
    if rules and not 2 <= args.select_samples <= 256:
        raise ConfigError(f"--select-samples {args.select_samples}: expected 2..256")
    options = EvaluateOptions(
        models=tuple(args.models),
        data=args.data,
        train=args.train,
        rules=rules,
        select_samples=args.select_samples if rules else 0,
        calibrate=args.calibrate,
        allow_training_data=args.allow_training_data,
        device=args.device,
    )
    torch.set_num_threads(args.threads)
    bars = ProgressBars()
    try:
        evaluation, written = evaluate_models(options, _settings(args), bars)
    finally:
        bars.close()
    print(markdown(evaluation))
    if times := latency_table(evaluation.rows):
        print(f"\n{times}")
    for path in written:
        print(f"\n{path}")
    if args.json is not None:
        facts = {"data": args.data, "train": args.train, "commit": current_commit(),
                 "arguments": list(args.models), "threads": args.threads}  # fmt: skip
        write_json(args.json, to_json(evaluation, facts))
    if args.plot is not None:
        plot(evaluation, args.plot)
    return 0


def _settings(args: argparse.Namespace):
    from mu0_core.evaluation.episodes.settings import EvaluateSettings

    try:
        horizons = tuple(int(text) for text in args.horizons.split(","))
    except ValueError:
        raise ConfigError(f"--horizons {args.horizons!r}: expected numbers with commas") from None
    return EvaluateSettings(
        samples=args.samples,
        points=args.points,
        slots=args.slots,
        max_slots=args.max_slots,
        horizons=horizons,
        history=args.history,
        depth=args.depth,
        first_noise=args.first_noise,
        seed=args.seed,
    )
