#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kill a node while the arm moves, again and again, and time how long the arm takes to rest.

    python scripts/measure_kill.py --times 100 --json docs/results/kill.json

Nodes as processes round a mock arm, `kill -9` at a moment of the motion that a seed chooses, no
restart of anything else. A failure is an arm that is not at rest within the published bound, left
its limits, or moves again. After each kill the node is started anew and the arm must move for a
new task.
"""

from __future__ import annotations

import argparse
import json
import time
import traceback
from pathlib import Path

import numpy as np
from mu0.msg import TaskStatus

from mu0_ros.testing.fault_loop import NODES, FaultLoop

BOUND_S = 1.0
GATE_BOUND_S = 1.2  # nobody brakes: the trajectory under way ends at rest by itself
FAR_RAD = 0.06
STILL_S = 0.5  # the arm must stay at rest for so long
RESTART_S, LATEST_S = 60.0, 10.0
TOPICS = {
    "trace_forecaster": "/mu0/traces",
    "action_expert": "/mu0/action_chunk",
    "safety_gate": "/mu0/safety_status",
    "task_server": "/mu0/task_status",
}
ENDED_OR_IDLE = (
    TaskStatus.STATE_IDLE,
    TaskStatus.STATE_SUCCEEDED,
    TaskStatus.STATE_CANCELED,
    TaskStatus.STATE_ABORTED,
)
PATIENCE = {"task_server": {"inference_timeout_s": 1.5}}


def moved_far(loop: FaultLoop) -> bool:
    """Keep tasks running; say whether the arm went far enough for its motion to be judged."""
    moving_again(loop)
    return float(np.ptp(np.array(loop.robot.motion.positions), axis=0).max()) > FAR_RAD


class NotTried(RuntimeError):
    """The loop did not get into motion, for a busy machine or a fault of the bench."""


def wait_for(loop: FaultLoop, name: str) -> None:
    """Wait until a process takes part."""
    probe = loop.bench.probe

    def there() -> bool:
        offers = probe.get_publishers_info_by_topic(TOPICS[name])
        return len([p for p in offers if p.node_name == name]) > 0

    loop.bench.until(there, RESTART_S, f"process {name}")


def moving_again(loop: FaultLoop) -> bool:
    """Ask for a task if none runs; say whether the arm moves at speed."""
    if not loop.status or loop.status[-1].state in ENDED_OR_IDLE:
        loop.start()
    return loop.speed() > 0.1


def kill_once(name: str, rng: np.random.Generator) -> tuple[float, str]:
    """Return the seconds to rest after one kill, and what went wrong (empty: nothing).

    Raises:
        NotTried: the arm did not move in the first place, so nothing was killed.
    """
    with FaultLoop(PATIENCE, processes=(name,)) as loop:
        try:
            wait_for(loop, name)
            loop.bench.until(lambda: moving_again(loop), RESTART_S, "motion")
            loop.bench.spin_for(float(rng.uniform(0.0, 0.5)))
            loop.bench.until(lambda: moving_again(loop), RESTART_S, "motion")
        except AssertionError as error:
            raise NotTried(str(error)) from error
        began_s = time.monotonic()
        loop.kill(name)
        rest_s = float("nan")
        try:
            loop.bench.until(lambda: loop.robot.at_rest, LATEST_S, "rest")
            rest_s = time.monotonic() - began_s
            assert rest_s <= bound_of(name), f"at rest after more than {bound_of(name)} s"
            if name == "safety_gate":
                loop.bench.spin_for(STILL_S)
                assert loop.robot.at_rest, "it moved again although the gate is dead"
            loop.spawn(name)
            wait_for(loop, name)
            loop.bench.until(lambda: moving_again(loop), RESTART_S, "a task after the restart")
            loop.bench.until(lambda: moved_far(loop), RESTART_S, "a motion worth judging")
            loop.judge(new_task=False)
        except AssertionError as error:
            where = traceback.extract_tb(error.__traceback__)[-1].line
            return rest_s, str(error).splitlines()[0] if str(error) else f"failed: {where}"
    return rest_s, ""


def bound_of(name: str) -> float:
    """Return the published bound for a kill of a node, in s."""
    return GATE_BOUND_S if name == "safety_gate" else BOUND_S


def measure(name: str, times: int, seed: int) -> dict[str, object]:
    """Kill one kind of node many times."""
    rests, failures, not_tried = [], [], 0
    while len(rests) < times:
        k = len(rests)
        try:
            rest_s, wrong = kill_once(name, np.random.default_rng([seed, k]))
        except NotTried as error:
            not_tried += 1
            print(f"{name} {k + 1}/{times}: not tried: {error}", flush=True)
            if not_tried > max(3, times):
                raise
            continue
        rests.append(rest_s)
        if wrong:
            failures.append(f"{k}: {wrong}")
        print(f"{name} {k + 1}/{times}: {rest_s:.2f} s {wrong}", flush=True)
    known = [r for r in rests if np.isfinite(r)]
    return {
        "times": times,
        "survived": times - len(failures),
        "not_tried": not_tried,
        "bound_s": bound_of(name),
        "median_s": round(float(np.median(known)), 3) if known else None,
        "max_s": round(max(known), 3) if known else None,
        "failures": failures,
    }


def main() -> None:
    """Kill every kind of node that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", nargs="*", default=list(NODES), choices=list(NODES))
    parser.add_argument("--times", type=int, default=100, help="of each kind of node")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    result = {}
    for name in given.nodes:
        result[name] = measure(name, given.times, given.seed)
        if given.json:
            given.json.write_text(json.dumps(result, indent=1) + "\n")
    print("| killed | survived | median to rest | longest | bound |\n|---|---|---|---|---|")
    for name, row in result.items():
        print(
            f"| {name} | {row['survived']} of {row['times']} | {row['median_s']} s | "
            f"{row['max_s']} s | {row['bound_s']} s |"
        )


if __name__ == "__main__":
    main()
