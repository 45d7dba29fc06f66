# SPDX-License-Identifier: Apache-2.0
"""``mu0``: parse, dispatch, and turn errors into one line. Commands are imported when called."""

from __future__ import annotations

import argparse
import importlib
import sys

from mu0_core import __version__
from mu0_core.errors import Mu0Error

COMMANDS = {
    "demo": "watch a simulated arm try three instructions over ROS 2",
    "forecast": "forecast traces for one image",
    "rollout": "success over tasks and seeds, directly or through the ROS nodes",
    "evaluate": "forecast errors of models on held-out episodes, beside baselines",
    "collect": "make training data: pictures with what a scripted expert would do",
    "extract": "make training episodes from videos, RGB-D folders, bags, LeRobot data sets",
    "film": "record simulated scenes with exact truth, to measure extraction with",
    "train": "train the world model or the action expert",
    "adapt": "teach a world model a new task from a few recordings",
    "calibrate": "where the camera is mounted, and how far its depth is off",
    "benchmark": "latency of the forecast, optimised against plain",
    "record": "record a running stack to MCAP",
    "replay": "feed a recording through the same models and compare, without ROS",
    "doctor": "what is installed, what is missing, what to do",
}

_EPILOG = """\
examples:
  mu0 doctor                        is everything there?
  mu0 demo                          nodes as processes, a video and a report in outputs/demo
  mu0 rollout --direct --tasks stack,push_left --seeds 50000:50010
  mu0 forecast photo.png --depth depth.png --instruction "stack the red cube on the blue cube"

mu0 COMMAND --help explains each. Exit codes: 0 done, 1 the answer is no, 2 an error whose message
tells how to repair it, 130 interrupted.
"""


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code (2 = a `Mu0Error`, 130 = interrupted)."""
    argv = sys.argv[1:] if argv is None else argv
    args = _parser(argv).parse_args(argv)
    try:
        return int(args.run(args))
    except Mu0Error as error:
        print(f"mu0 {args.command}: {error.code}: {_one_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"mu0 {args.command}: interrupted", file=sys.stderr)
        return 130


def _parser(argv: list[str]) -> argparse.ArgumentParser:
    """Return the parser; only the named command's module is imported."""
    parser = argparse.ArgumentParser(
        prog="mu0",
        description="A world model over 3D interaction traces for ROS 2.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"mu0 {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    named = argv[0] if argv else ""
    for name, summary in COMMANDS.items():
        child = commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name == named:
            module = importlib.import_module(f"mu0_core.cli.{name}")
            child.epilog = getattr(module, "EPILOG", None)
            module.add_arguments(child)
            child.set_defaults(run=module.run)
    return parser


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


if __name__ == "__main__":
    raise SystemExit(main())
