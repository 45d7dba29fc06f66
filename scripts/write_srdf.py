#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write the SRDF beside the URDF of an arm: which links may touch, found by sampling.

python scripts/write_srdf.py fr3 ur5e so101
"""

from __future__ import annotations

import argparse
from collections import Counter

from mu0_core.atomic_file import replace_file
from mu0_core.planning.allowed_collisions import sampled_pairs, write_srdf
from mu0_core.robot.description import load_robot


def main() -> None:
    """Write one file for each arm that is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("robots", nargs="+", help="names in config/robots, or paths")
    parser.add_argument("--samples", type=int, default=40_000, help="random poses (40000)")
    parser.add_argument("--seed", type=int, default=0, help="of the poses (0)")
    args = parser.parse_args()
    for name in args.robots:
        robot = load_robot(name)
        reasons = sampled_pairs(robot, args.samples, args.seed)
        path = robot.urdf_path.with_suffix(".srdf")
        text = write_srdf(robot, reasons, args.samples)
        replace_file(path, lambda temporary, text=text: temporary.write_text(text))
        print(f"{path}: {dict(Counter(reasons.values()))}")


if __name__ == "__main__":
    main()
