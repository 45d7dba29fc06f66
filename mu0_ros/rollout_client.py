# SPDX-License-Identifier: Apache-2.0
"""Episodes through the running nodes: one JSON line for each on standard output."""

from __future__ import annotations

import argparse
import json
import sys

from mu0_ros.client import TaskClient
from mu0_ros.client_process import run_client


def main() -> int:
    """Run episodes; used by ``mu0 rollout``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", required=True)
    parser.add_argument("--seeds", required=True)
    parser.add_argument("--max-duration", type=float, required=True)
    parser.add_argument("--instruct-as")
    args = parser.parse_args()
    return run_client(TaskClient, lambda client: _run_episodes(client, args))


def _run_episodes(client: TaskClient, args: argparse.Namespace) -> None:
    first, end = (int(x) for x in args.seeds.split(":"))
    client.wait_for_stack(90.0)
    for task in args.tasks.split(","):
        for seed in range(first, end):
            play(client, task, seed, args.max_duration, args.instruct_as)


def play(
    client: TaskClient, task: str, seed: int, max_duration_s: float, instruct_as: str | None = None
) -> None:
    """Run one episode and write it as a line of JSON.

    Args:
        client: of the stack.
        task: whose success counts.
        seed: of the scene.
        max_duration_s: of the task, in time of the data.
        instruct_as: task whose sentence is told instead.
    """
    instructed = instruct_as or task
    done = client.run_task(client.reset_scene(seed)[instructed], max_duration_s)
    record = {
        "task": task,
        "instructed": instructed,
        "seed": seed,
        "achieved": [name for name, yes in client.judge().items() if yes],
        "end": done.message,
        "duration_s": round(done.elapsed_s, 2),
    }
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
