# SPDX-License-Identifier: Apache-2.0
"""``mu0 demo``: the stack as processes, one scene, several sentences, pictures, a report."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from mu0_core.errors import ConfigError

# Pushing is judged against where the cubes lay at first, so it comes before anything lifts one;
# the default scene asks for two different cubes.
DEFAULT_TASKS = "press_button,push_left,cube_in_bowl"
DEFAULT_SEED = 50_003
MODEL = "mu0-embedded"

EPILOG = """\
leaves in --out:
  demo.mp4                  the camera, at twice real time
  forecast_NN_TASK.png      forecast (solid, blue now to red later) against truth (dashed white)
  live_NN.png               every forecast the arm acted on
  report.md, log/           what happened, and the output of every node
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--seed", type=int, default=DEFAULT_SEED, help=f"of the scene ({DEFAULT_SEED})"
    )
    parser.add_argument("--tasks", default=DEFAULT_TASKS, help=f"in this order ({DEFAULT_TASKS})")
    parser.add_argument(
        "--max-duration", type=float, default=60.0, metavar="S", help="per task (60)"
    )
    parser.add_argument("--out", type=Path, default=Path("outputs/demo"), help="(outputs/demo)")


def run(args: argparse.Namespace) -> int:
    """Run; return 0 when every task came to an end, whether achieved or not."""
    from mu0_core.cli.demo_report import compare_with_truth, draw_live, write_report
    from mu0_core.cli.processes import NodeProcesses
    from mu0_core.simulation.tasks import get_task

    tasks = [get_task(name).name for name in args.tasks.split(",")]
    if args.seed < 0 or args.max_duration <= 0:
        raise ConfigError(
            f"--seed {args.seed} must not be negative, --max-duration {args.max_duration} > 0"
        )
    args.out.mkdir(parents=True, exist_ok=True)
    for pattern in ("forecast_*", "live_*", "demo.mp4", "report.md"):
        for old in args.out.glob(pattern):
            old.unlink()
    story = Story()
    print("starting simulator and nodes ...", flush=True)
    with NodeProcesses({"simulator": {"seed": args.seed}}, args.out / "log") as nodes:
        arguments = [
            "--out",
            str(args.out),
            "--seed",
            str(args.seed),
            "--tasks",
            ",".join(tasks),
            "--max-duration",
            str(args.max_duration),
        ]
        for fact in nodes.facts("mu0_ros.demo_client", arguments):
            story.tell(fact)
            story.note_memory(nodes.resident_mb())
    print("\ndrawing forecasts against true traces ...", flush=True)
    live = draw_live(args.out)
    compared = compare_with_truth(args.out, tasks, args.seed, MODEL)
    write_report(args.out, args.seed, story, live, compared)
    print(
        f"video {args.out}/demo.mp4, {len(compared)} forecasts against truth, {len(live)} live "
        f"forecasts, report {args.out}/report.md"
    )
    return 0


class Story:
    """What happened, told in the terminal and kept for the report.

    Attributes:
        rows: one for each task: task, instruction, success, elapsed_s, message.
        ready_s, first_motion_s: since the start of the command, or None.
        memory_mb: largest resident memory of all nodes together that was seen.
    """

    def __init__(self) -> None:
        self._started = time.monotonic()
        self.rows: list[dict[str, Any]] = []
        self.ready_s: float | None = None
        self.first_motion_s: float | None = None
        self.memory_mb = 0.0

    def tell(self, fact: dict[str, Any]) -> None:
        """Take one fact of the client in and show it."""
        event, now = fact["event"], time.monotonic() - self._started
        if event == "ready":
            self.ready_s = now
            print(f"ready after {now:.0f} s", flush=True)
        elif event == "task":
            self.rows.append({"task": fact["task"], "instruction": fact["instruction"]})
            print(f"\n> {fact['instruction']}", flush=True)
        elif event == "motion" and self.first_motion_s is None:
            self.first_motion_s = now
        elif event == "progress":
            bar = "#" * round(20 * min(1.0, max(0.0, fact["progress"])))
            print(f"\r  [{bar:<20}] {fact['forecasts']} forecasts", end="", flush=True)
        elif event == "end":
            self.rows[-1].update(
                success=fact["success"], elapsed_s=fact["elapsed_s"], message=fact["message"]
            )
            verdict = "achieved" if fact["success"] else "not achieved"
            print(
                f"\r  {verdict} after {fact['elapsed_s']} s {_brackets(fact['message'])}",
                flush=True,
            )

    def note_memory(self, resident_mb: dict[str, float]) -> None:
        """Keep the largest sum."""
        self.memory_mb = max(self.memory_mb, sum(resident_mb.values()))


def _brackets(message: str) -> str:
    return f"({message})".ljust(30) if message else " " * 30
