# SPDX-License-Identifier: Apache-2.0
"""``mu0 doctor --live``: ask ``mu0_ros.live_check`` about the stack that runs, and tell."""

from __future__ import annotations

import argparse
import json
import textwrap

from mu0_core.errors import ConfigError
from mu0_core.operation.findings import FAIL, WARN, Finding

_START_S = 30.0  # for Python, rclpy and discovery, beside the time of watching
_RANGE_S = (1.0, 120.0)
_WIDTH = 99


def live_findings(args: argparse.Namespace) -> list[Finding]:
    """Return what is found; a look that failed is a finding too.

    Raises:
        ConfigError: ``--seconds`` is out of range, or the ROS environment is missing.
    """
    from mu0_core.cli.live import ask_process, ros_arguments
    from mu0_core.robot.description import load_robot

    low, high = _RANGE_S
    if not low <= args.seconds <= high:
        raise ConfigError(f"--seconds {args.seconds} is outside {low:g} to {high:g}")
    load_robot(args.robot)
    words = [str(args.seconds), args.robot, *ros_arguments(args.namespace, args.remap)]
    told, trouble = ask_process("mu0_ros.live_check", words, args.seconds + _START_S)
    found = [Finding(**line) for line in told]
    if trouble is not None:
        found.append(Finding(FAIL, "live check", *trouble))
    return found


def tell(found: list[Finding], as_json: bool) -> int:
    """Print the findings; return 1 when one of them is a failure."""
    failed = [f.name for f in found if f.level == FAIL]
    warned = sum(f.level == WARN for f in found)
    if as_json:
        lines = [
            {"level": f.level, "name": f.name, "found": f.found, "cure": f.cure} for f in found
        ]
        print(json.dumps({"ok": not failed, "findings": lines}))
        return 1 if failed else 0
    for f in found:
        print(f"{f.level:<4} {f.name:<34} {f.found}")
        if f.cure:
            print(textwrap.fill(f"-> {f.cure}", _WIDTH, initial_indent=" " * 40,
                                subsequent_indent=" " * 43, break_on_hyphens=False))  # fmt: skip
    rest = f" ({warned} to look at)" if warned else ""
    print(f"\nthe stack is not fit to run: {', '.join(failed)}" if failed else
          f"\nthe stack is fit to run{rest}")  # fmt: skip
    return 1 if failed else 0
