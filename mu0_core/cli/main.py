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
    "evaluate": "forecast errors on held-out simulated episodes, beside baselines",
    "collect": "record demonstrations of the scripted expert",
    "train": "train the world model or the action expert",
    "benchmark": "latency of the forecast, optimised against plain",
    "doctor": "what is installed, what is missing, what to do",
}


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code (2 = a `Mu0Error`, 130 = interrupted)."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(
        prog="mu0", description="A world model over 3D interaction traces for ROS 2."
    )
    parser.add_argument("--version", action="version", version=f"mu0 {__version__}")
    sub = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    named = argv[0] if argv else ""
    for name, summary in COMMANDS.items():
        child = sub.add_parser(name, help=summary, description=summary)
        if name == named:
            module = importlib.import_module(f"mu0_core.cli.{name}")
            module.add_arguments(child)
            child.set_defaults(run=module.run)
    args = parser.parse_args(argv)
    try:
        return int(args.run(args))
    except Mu0Error as error:
        print(f"mu0 {args.command}: {error.code}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
