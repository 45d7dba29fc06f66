#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run the loop of nodes for long, with a random fault every 2 s (row 56 of the fault catalogue).

    python scripts/soak.py --minutes 60 --seed 0 --json docs/results/soak.json

Ctrl-C ends it with the result so far. It sets the ROS environment up by itself. Tests take domains
from 1 to 199, so without a ROS_DOMAIN_ID it takes one above them.
"""

from __future__ import annotations

import os
import sys

from mu0_ros.environment import ros_environment

if __name__ == "__main__":
    module = "mu0_ros.testing.soak"
    domain = int(os.environ.get("ROS_DOMAIN_ID", 200 + os.getpid() % 30))
    env = ros_environment(domain_id=domain)
    os.execve(sys.executable, [sys.executable, "-m", module, *sys.argv[1:]], env)
