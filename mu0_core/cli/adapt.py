# SPDX-License-Identifier: Apache-2.0
"""``mu0 adapt``: a few recordings of a new task become a world model that knows it."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from mu0_core.errors import ConfigError

EPILOG = """\
examples:
  mu0 adapt demos/*.mcap --text "put the cup on the shelf" --out models/shelf
  mu0 adapt demos --from mu0-embedded --replay old-episodes --out models/box
  MU0_MODEL_DIR=models mu0 rollout --direct --world-model box --tasks cube_on_box

A recording is a bag, a video or an RGB-D folder of somebody, a robot or a hand, doing the task; no
actions are recorded. Its sentence is --text or its own (description.txt, instruction topic). The
action expert is not changed. The same command continues what was stopped; more --steps go on.
Settings are those of mu0_core.training.adaptation.settings.Adaptation.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "recordings", nargs="+", type=Path, metavar="RECORDING",
        help="RGB-D folder, bag or video that shows the task",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, help="folder of the new checkpoint")
    parser.add_argument(
        "--from", dest="start", default="mu0-embedded", metavar="MODEL",
        help="model id, or folder of a checkpoint (mu0-embedded)",
    )  # fmt: skip
    parser.add_argument("--text", help="sentence of all recordings, instead of their own")
    parser.add_argument(
        "--replay", type=Path, metavar="DIR", help="episodes of old tasks, not to be forgotten"
    )
    parser.add_argument("--steps", type=int, help="updates in all")
    parser.add_argument(
        "--lora", type=int, metavar="RANK", help="of the adapters; 0 = no adapters"
    )
    parser.add_argument("--seed", type=int, help="of everything (0)")
    parser.add_argument("--threads", type=int, help="CPU threads (all)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="YAML with settings")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides",
        help="one setting, e.g. extract.camera.is_static=true; beats the file",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Adapt; print errors before and after; return 0.

    Raises:
        ConfigError: an argument is out of range, or the folder's name is no model id.
        Mu0Error: see `adapt`.
    """
    import torch

    from mu0_core.cli.train import ProgressBars
    from mu0_core.cli.train_episodes import StepBars
    from mu0_core.inference.registry import is_model_id
    from mu0_core.training.adaptation.recordings import told
    from mu0_core.training.adaptation.run import Request, adapt
    from mu0_core.training.adaptation.settings import Adaptation
    from mu0_core.training.model_card import Provenance, current_commit
    from mu0_core.yaml_settings import read_settings

    if args.threads is not None:
        if args.threads < 1:
            raise ConfigError(f"--threads {args.threads} must be at least 1")
        torch.set_num_threads(args.threads)
    if not is_model_id(args.out.name):
        raise ConfigError(
            f"--out {args.out}: its last part names the model: a-z, digits, '_', '.', '-'"
        )
    settings = read_settings(Adaptation, args.config, _overrides(args))
    command, commit = shlex.join(["mu0", *sys.argv[1:]]), current_commit()
    bars = ProgressBars()
    watcher = StepBars(bars, settings.steps)
    request = Request(
        tuple(args.recordings), _folder(args.start), args.out, args.text, args.replay
    )
    try:
        adapted = adapt(
            request,
            settings,
            lambda data: Provenance(command, settings.seed, commit, data),
            watcher,
            lambda outcome: bars.note(told(outcome)),
        )
    finally:
        watcher.close()
        bars.close()
    print(_report(args.out, adapted))
    return 0


def _overrides(args: argparse.Namespace) -> list[str]:
    """Return the options as ``key=value``; ``--set`` comes last and wins."""
    named = {"steps": args.steps, "lora_rank": args.lora, "seed": args.seed}
    return [f"{k}={v}" for k, v in named.items() if v is not None] + args.overrides


def _folder(start: str) -> Path:
    """Return the folder of a checkpoint by its path or id."""
    from mu0_core.inference.registry import model_folder
    from mu0_core.model.loading import CONFIG

    folder = Path(start)
    return folder if (folder / CONFIG).is_file() else model_folder(start)


def _report(out: Path, adapted) -> str:
    """Return what is printed: what was learned from, and errors before and after."""
    names = ("ade_uvz", "ade_uv", "ade_depth", "fde_uvz", "ade_uvz_still")
    kept = "" if len(adapted.recordings) > 1 else ", which was learned from too"
    lines = [
        f"{out}: {adapted.slots} pictures of {len(adapted.recordings)} recordings; measured on "
        f"{', '.join(adapted.measured)}{kept}",
        "",
        "| held out | | " + " | ".join(names) + " |",
        "|---|---|" + "---|" * len(names),
    ]
    for label, pair in (("new task", adapted.new), ("old tasks", adapted.old)):
        for when, metrics in zip(("before", "after"), pair or ()):
            cells = " | ".join(f"{metrics[name]:.4f}" for name in names)
            lines.append(f"| {label} | {when} | {cells} |")
    return "\n".join(lines)
