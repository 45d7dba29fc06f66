#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write config/gazebo/table.sdf from the embedded simulator's scene, or another seed elsewhere.

``python scripts/write_gazebo_world.py [--seed N] [--out FILE]``. Needs mujoco (pip extra sim).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mu0_core.gazebo.table_world import table_world
from mu0_core.simulation.layout import FIRST_EVALUATION_SEED

SHIPPED = Path(__file__).resolve().parents[1] / "config" / "gazebo" / "table.sdf"


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=FIRST_EVALUATION_SEED, help="of the layout")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="file to write")
    given = parser.parse_args()
    given.out.write_text(table_world(given.seed))


if __name__ == "__main__":
    main()
