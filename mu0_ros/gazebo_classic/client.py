# SPDX-License-Identifier: Apache-2.0
"""Episodes through the nodes with Gazebo Classic below: one JSON line each on standard output.

The client of ``mu0 rollout``, with all tasks of a seed one after the other, because a new seed
starts a new gzserver, and with the patience for that.
"""

from __future__ import annotations

import argparse

from mu0_ros.client import TaskClient
from mu0_ros.client_process import run_client
from mu0_ros.rollout_client import play

_STACK_S = 240.0


class PatientClient(TaskClient):
    """A `TaskClient` that gives a reset two minutes; no joint states come meanwhile."""

    answer_s, gate_sees_s = 120.0, 2.0


def main() -> int:
    """Run episodes; used by ``scripts/gazebo_classic/run.py``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", required=True)
    parser.add_argument("--seeds", required=True)
    parser.add_argument("--max-duration", type=float, required=True)
    args = parser.parse_args()
    return run_client(PatientClient, lambda client: _run_episodes(client, args))


def _run_episodes(client: PatientClient, args: argparse.Namespace) -> None:
    first, end = (int(x) for x in args.seeds.split(":"))
    client.wait_for_stack(_STACK_S)
    for seed in range(first, end):
        for task in args.tasks.split(","):
            play(client, task, seed, args.max_duration)


if __name__ == "__main__":
    raise SystemExit(main())
