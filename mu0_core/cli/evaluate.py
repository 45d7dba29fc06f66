# SPDX-License-Identifier: Apache-2.0
"""``mu0 evaluate``: forecast errors on held-out simulated episodes, beside two baselines."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from mu0_core.errors import ConfigError

HORIZONS = (8, 16, 32)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--model", default="mu0-embedded", help="model id")
    parser.add_argument("--episodes", type=int, default=30, help="held-out episodes (30)")
    parser.add_argument("--first-seed", type=int, default=60_000, help="50000 or above (60000)")
    parser.add_argument("--samples", type=int, default=5, help="S of best-of-S (5)")
    parser.add_argument(
        "--train-episodes",
        type=int,
        default=60,
        help="training episodes searched by the nearest-trace baseline (60)",
    )
    parser.add_argument("--threads", type=int, default=2, help="torch threads (2)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers")


def run(args: argparse.Namespace) -> int:
    """Print ADE, FDE, DTW and Fréchet in (u, v, z) and in metres."""
    import torch
    from tqdm import tqdm

    from mu0_core.evaluation.held_out import NearestTrace, NoMotion, episode_samples
    from mu0_core.inference import runtime
    from mu0_core.simulation.layout import FIRST_EVALUATION_SEED

    if args.first_seed < FIRST_EVALUATION_SEED:
        raise ConfigError(
            f"--first-seed {args.first_seed} is a training seed (below {FIRST_EVALUATION_SEED})"
        )
    torch.set_num_threads(args.threads)
    forecaster = runtime.load_forecaster(args.model)
    nearest = NearestTrace()
    for sample in tqdm(
        episode_samples(0, args.train_episodes), desc="training traces", file=sys.stderr
    ):
        nearest.add(sample)

    def forecasts(s):
        """Return the forecast that a robot gets, and further samples in their full spread."""
        counts = [1] if args.samples == 1 else [1, args.samples - 1]
        return np.concatenate(
            [
                forecaster.sample_uvz(
                    s.frame, s.instruction, s.query, num_samples=count, seed=s.seed
                )
                for count in counts
            ]
        )

    methods = {
        args.model: forecasts,
        "nearest training trace": nearest,
        "no motion": NoMotion(),
    }
    rows: dict[str, list] = {name: [] for name in methods}
    for sample in tqdm(
        episode_samples(args.first_seed, args.episodes), desc="held-out frames", file=sys.stderr
    ):
        if not sample.moving.any():
            continue
        for name, method in methods.items():
            predicted = method(sample)[:, sample.moving]
            rows[name].append((predicted, sample))
    table = {name: _errors(values) for name, values in rows.items()}
    _show(table)
    if args.json is not None:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps({"models": table}, indent=2) + "\n")
    return 0


def _errors(rows: list) -> dict:
    """Return space -> error -> horizon -> {top1, top5} averaged over points."""
    from mu0_core.evaluation.held_out import to_metres
    from mu0_core.evaluation.metrics import PATH_ERRORS, path_errors

    kept: dict[tuple[str, str, int], list[tuple[np.ndarray, np.ndarray]]] = {}
    for predicted, sample in rows:
        truth, valid = sample.trace_uvz[sample.moving], sample.valid[sample.moving]
        spaces = {
            "uvz": (predicted, truth),
            "metres": tuple(to_metres(x, sample.frame.intrinsics) for x in (predicted, truth)),
        }
        for space, (left, right) in spaces.items():
            for horizon in HORIZONS:
                errors = path_errors(left[:, :, :horizon], right[:, :horizon], valid[:, :horizon])
                for key, values in errors.items():
                    kept.setdefault((space, key, horizon), []).append(
                        (values[0], values.min(axis=0))
                    )
    result: dict = {}
    for space in ("uvz", "metres"):
        for key in PATH_ERRORS:
            for horizon in HORIZONS:
                pairs = kept[space, key, horizon]
                top1, best = (np.concatenate([p[k] for p in pairs]) for k in range(2))
                result.setdefault(space, {}).setdefault(key, {})[str(horizon)] = {
                    "top1": float(np.nanmean(top1)),
                    "top5": float(np.nanmean(best)),
                    "points": int(np.isfinite(top1).sum()),
                }
    return result


def _show(table: dict) -> None:
    print("moving points of held-out frames; top-1 | best of S; horizons 8 / 16 / 32\n")
    for space in ("uvz", "metres"):
        print(f"| {space} | ADE | FDE | DTW | Frechet |\n|---|---|---|---|---|")
        for name, errors in table.items():
            cells = []
            for key in ("ade", "fde", "dtw", "frechet"):
                values = errors[space][key]
                one, five = (
                    " / ".join(f"{values[str(h)][k]:.3f}" for h in HORIZONS)
                    for k in ("top1", "top5")
                )
                cells.append(f"{one} \\| {five}")
            print(f"| {name} | {' | '.join(cells)} |")
        print()
