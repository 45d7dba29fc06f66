# SPDX-License-Identifier: Apache-2.0
"""``mu0 record``: the topics of a running stack into an MCAP file, until Ctrl-C."""

from __future__ import annotations

import argparse
from pathlib import Path

EPILOG = """\
The file holds the definitions of all messages, the models' descriptions, and the parameters of the
nodes: mu0 replay needs nothing else, and Foxglove shows it without this package.
Exit code 1 if the recording had to end by itself: disk full, or --max-gb reached.

  mu0 record --out recordings
  mu0 record --topics traces,action_chunk,task_status
  mu0 record -r color/image_raw:=/camera/camera/color/image_raw \\
    -r depth/image_raw:=/camera/camera/aligned_depth_to_color/image_raw \\
    -r color/camera_info:=/camera/camera/color/camera_info
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--out", type=Path, default=Path("recordings"), help="folder (recordings)")
    parser.add_argument("--topics", default="", help="separated by commas; default: the contract")
    parser.add_argument("--max-gb", type=float, default=50.0, help="end at this size (50)")
    parser.add_argument(
        "--min-free-gb", type=float, default=1.0, help="end when the disk has less left (1)"
    )
    parser.add_argument("--robot", default="fr3", help="whose controllers are recorded (fr3)")
    parser.add_argument("--namespace", default="/mu0", help="of the topics (/mu0)")
    parser.add_argument(
        "-r", action="append", default=[], metavar="FROM:=TO", dest="remap",
        help="another name on the wire, as for ros2 run",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Record until Ctrl-C.

    Raises:
        ConfigError: an argument is out of range, or the ROS environment is missing.
    """
    from mu0_core.cli.live import ros_arguments, run_until_interrupted
    from mu0_core.recording.writer import RecordingLimits
    from mu0_core.robot.description import load_robot

    limits = RecordingLimits(args.max_gb, args.min_free_gb)
    load_robot(args.robot)
    parameters: dict[str, object] = {
        "out": args.out.expanduser().resolve(),
        "robot": args.robot,
        "max_gb": float(limits.max_gb),
        "min_free_gb": float(limits.min_free_gb),
        "end_with_recording": True,
    }
    if args.topics:
        parameters["topics"] = args.topics
    return run_until_interrupted(
        "mu0_ros.nodes.recorder_node", ros_arguments(args.namespace, args.remap, parameters)
    )
