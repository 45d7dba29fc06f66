# SPDX-License-Identifier: Apache-2.0
"""``mu0 replay``: a recording through the same models again, offline, and compared."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

EPILOG = """\
Each recorded forecast is made anew from its image, sentence and seed, each chunk from the recorded
traces, joint states and camera pose. Exit code 0 if all that could be replayed agrees within the
tolerance, 1 if not or if there was nothing to replay.

  mu0 replay recordings/2026-05-04_10-11-12-131.mcap
  mu0 replay run.mcap --model my-new-model        what would another model have said?
  mu0 replay run.mcap --rerun run.rrd             look at it: rerun run.rrd
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("recording", type=Path, help="MCAP file of mu0 record or rosbag2")
    parser.add_argument("--robot", default="", help="name or path; default: as recorded")
    parser.add_argument("--model", default="", help="world model; default: as recorded")
    parser.add_argument("--action-expert", default="", help="default: as recorded")
    parser.add_argument("--json", action="store_true", help="one JSON object for programs")
    parser.add_argument(
        "--rerun", type=Path, metavar="FILE.rrd",
        help="write what was recorded for the Rerun viewer, and replay nothing",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Replay and print.

    Raises:
        DataError: no such recording, or it lacks what is needed.
        Mu0Error: a model or the robot is not here.
    """
    from mu0_core.recording.reader import Recording

    recording = Recording(args.recording)
    if args.rerun is not None:
        from mu0_core.recording.rerun_export import export

        counts = export(recording, args.rerun, args.robot)
        print(f"{args.rerun}: " + ", ".join(f"{n} {name}" for name, n in counts.items()))
        return 0
    from mu0_core.recording.replay import replay
    from mu0_core.recording.replay_models import load_models
    from mu0_core.recording.replay_result import Replay

    models, notes = load_models(recording, args.robot, args.model, args.action_expert)
    if not recording.is_whole:
        notes = (*notes, "the file was cut short; it is read up to there")
    done = []
    for note in notes if not args.json else ():
        print(f"note: {note}")
    for comparison in replay(recording, models):
        done.append(comparison)
        if not args.json:
            print(comparison.line(), flush=True)
    result = Replay(tuple(done), notes)
    print(json.dumps(result.as_json()) if args.json else f"\n{result.summary()}")
    return 0 if result.agrees else 1
