# SPDX-License-Identifier: Apache-2.0
"""Episodes through the nodes with Gazebo Classic below: one JSON line each on standard output.

The client of ``mu0 rollout``, with all tasks of a seed one after the other, because a new seed
starts a new gzserver, and with the patience for that.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import rclpy
from std_srvs.srv import Trigger

from mu0_ros.client import ClientError, TaskClient
from mu0_ros.client_process import run_client
from mu0_ros.rollout_client import play

_STACK_S = 240.0
_START_S = 120.0
_GATE_SEES_S = 2.0


class PatientClient(TaskClient):
    """A `TaskClient` that gives a reset two minutes, and unlatches the gate behind it.

    While a scene is laid out no joint states come, so the gate stops the arm; then the arm stands
    elsewhere, which a real one cannot, and the gate latches. Only this bench knows why.
    """

    def __init__(self) -> None:
        super().__init__()
        self._unlatch = self.create_client(Trigger, "safety_gate/reset")

    def reset_scene(self, seed: int) -> dict[str, str]:
        """Lay out a scene and unlatch the gate; return task -> instruction."""
        instructions = super().reset_scene(seed)
        end = time.monotonic() + _GATE_SEES_S
        while time.monotonic() < end:
            rclpy.spin_once(self, timeout_sec=0.1)
        future = self._unlatch.call_async(Trigger.Request())
        rclpy.spin_until_future_complete(self, future, timeout_sec=_START_S)
        if not future.done() or not future.result().success:
            raise ClientError("the safety gate could not be reset after a new scene")
        return instructions

    def _call(self, client: Any, request: Any, timeout_s: float = _START_S) -> Any:
        return super()._call(client, request, timeout_s)


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
