# SPDX-License-Identifier: Apache-2.0
"""Episodes through the running nodes: one JSON line for each on standard output."""

from __future__ import annotations

import argparse
import json
import sys

import rclpy
from rclpy.executors import ExternalShutdownException

from mu0_core.errors import Mu0Error
from mu0_ros.client import TaskClient


def main() -> int:
    """Run episodes; used by ``mu0 rollout``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", required=True)
    parser.add_argument("--seeds", required=True)
    parser.add_argument("--max-duration", type=float, required=True)
    parser.add_argument("--instruct-as")
    args = parser.parse_args()
    first, end = (int(x) for x in args.seeds.split(":"))
    rclpy.init()
    client = TaskClient()
    try:
        client.wait_until_ready(60.0)
        for topic in ("traces", "action_chunk", "safety_status"):
            client.wait_for_topic(f"/mu0/{topic}", 90.0)
        for task in args.tasks.split(","):
            for seed in range(first, end):
                instructed = args.instruct_as or task
                done = client.run_task(client.reset_scene(seed)[instructed], args.max_duration)
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
    except Mu0Error as error:
        sys.stderr.write(f"{error.code}: {error}\n")
        return 2
    except (KeyboardInterrupt, ExternalShutdownException):
        return 130
    finally:
        client.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
