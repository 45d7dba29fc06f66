# SPDX-License-Identifier: Apache-2.0
"""Hours of tasks with a random fault every 2 s, and the universal assertions judged all the while.

Every node is a process of its own, with fakes as models and the mock robot as the arm. Nodes are
killed only in the last part of the run, so that each process lives long enough to show whether it
grows. Ctrl-C ends the run with the result so far.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from mu0.msg import TaskStatus
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from mu0_ros.environment import ros_environment
from mu0_ros.task_states import ENDED
from mu0_ros.testing.soak_faults import FAULTS, NODES, SoakFault
from mu0_ros.testing.soak_processes import Processes
from mu0_ros.testing.soak_result import SoakResult
from mu0_ros.testing.soak_world import SoakWorld

PERIOD_S, SAMPLE_S, WRITE_S = 2.0, 2.0, 60.0
TOLD_S, STILL_S, START_S, TASK_S = 1.0, 20.0, 60.0, 15.0
LEAK_LIFE_S = 600.0  # a shorter life is all warm-up
LEAKS = {"rss_growth_percent": 5.0, "threads_growth": 0, "files_growth": 0}
PARAMETERS = {
    "trace_forecaster": {"backend": "fake", "max_image_age_s": 0.4},
    "action_expert": {"backend": "fake"},
    "task_server": {"inference_timeout_s": 5.0},
}


def commands(namespace: str) -> dict[str, list[str]]:
    """Return name -> arguments of every process."""
    modules = {name: [f"mu0_ros.nodes.{name}_node"] for name in NODES}
    for name in ("trace_forecaster", "action_expert"):
        modules[name] = ["mu0_ros.testing.faulty_node", name]
    modules["mock_robot"] = ["mu0_ros.testing.soak_robot"]
    found = {}
    for name, module in modules.items():
        found[name] = [sys.executable, "-m", *module, "--ros-args", "-r", f"__ns:={namespace}"]
        for key, value in PARAMETERS.get(name, {}).items():
            found[name] += ["-p", f"{key}:={value}"]
    return found


class Soak:
    """One run.

    Args:
        world: eyes and hands.
        processes: what runs.
        minutes: how long.
        seed: of faults and tasks.
        kills_from: share of the run after which nodes are killed too.
    """

    def __init__(
        self,
        world: SoakWorld,
        processes: Processes,
        minutes: float,
        seed: int,
        kills_from: float,
    ) -> None:
        self._world, self._processes = world, processes
        self._length_s, self._kills_from = minutes * 60.0, kills_from
        self._random = np.random.default_rng(seed)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(world)
        self.result = SoakResult(seed)
        self.stopped = False
        self._began_s = self._sampled_s = self._moved_s = time.monotonic()
        self._commands = self._wrong = 0
        self._fault = "none"

    # -- time ------------------------------------------------------------------------------------

    def _now_s(self) -> float:
        return time.monotonic() - self._began_s

    def _over(self) -> bool:
        return self.stopped or self._now_s() > self._length_s

    def _turn(self, until_s: float) -> None:
        """Serve everything until a time of the run."""
        while self._now_s() < until_s and not self.stopped:
            self._executor.spin_once(timeout_sec=0.02)
            self._world.tend()
            self._watch()

    def _wait(self, condition: Any, within_s: float) -> bool:
        end_s = self._now_s() + within_s
        while not condition() and self._now_s() < end_s and not self.stopped:
            self._turn(self._now_s() + 0.02)
        return bool(condition())

    def _fail(self, assertion: str, what: str) -> None:
        self.result.fail(assertion, self._now_s(), self._fault, what)

    # -- what holds always -----------------------------------------------------------------------

    def _watch(self) -> None:
        world = self._world
        for name, code in self._processes.dead().items():
            self._fail("no other process dies", f"{name} ended with {code}")
            self._processes.start(name)
        report = world.report
        if report["wrong"] < self._wrong:
            self._wrong = 0  # the mock robot was started again
        new, self._wrong = report["wrong"] - self._wrong, report["wrong"]
        for _, text in report["wrongs"][-new:] if new else ():
            self._fail("the arm keeps its limits", text)
        while world.ended_twice:
            self._fail("a task ends once", world.ended_twice.pop())
        if report["commands"] != self._commands:
            self._commands, self._moved_s = report["commands"], time.monotonic()
        if time.monotonic() - self._moved_s > STILL_S:
            self._fail("a new task succeeds", f"nothing has moved for {STILL_S:.0f} s")
            self._moved_s = time.monotonic()
        if time.monotonic() - self._sampled_s > SAMPLE_S:
            self._sampled_s = time.monotonic()
            self._processes.sample()
            self._look_for_strangers()

    def _look_for_strangers(self) -> None:
        """Note another stack in this ROS_DOMAIN_ID: what is heard then says nothing.

        A node that was killed is seen for another 20 s, so this ends with the first one.
        """
        kills = any(len(lives) > 1 for lives in self._processes.lives.values())
        if not kills and self._world.count_publishers("task_status") > 1:
            self._fail("nobody else is here", "a second task server: take another ROS_DOMAIN_ID")

    # -- faults ----------------------------------------------------------------------------------

    def run(self, write: Any) -> None:
        """Break things until the time is over; ``write`` is called once a minute."""
        if not self._wait(lambda: self._commands > 0, START_S):
            self._fail("a new task succeeds", f"nothing moved in the first {START_S:.0f} s")
        self._began_s = time.monotonic()  # the run begins when the stack is up
        written_s = due_s = self._now_s()
        while not self._over():
            self._strike()
            due_s = max(due_s + PERIOD_S, self._now_s() + 0.2)
            self._turn(due_s)
            if self._now_s() - written_s > WRITE_S:
                written_s = self._now_s()
                write(self.finished())
        self._finale()

    def _strike(self) -> None:
        """Break one thing, mend it, and judge what happened in between."""
        world, random = self._world, self._random
        share = self._now_s() / self._length_s
        fault = random.choice([f for f in FAULTS if share >= self._kills_from or not f.kills])
        self._fault = fault.kind
        self.result.faults[fault.kind] += 1
        world.broken = True
        moving, running, struck_s = world.moving, world.running, time.time()
        fault.strike(world)
        if fault.kills:
            self._processes.running.pop(fault.kills)
        self._turn(self._now_s() + float(random.uniform(*fault.lasts_s)))
        running = running and world.running
        fault.mend(world)
        if fault.kills and not self._wait(lambda: fault.kills in world.beats, START_S):
            self._fail("no other process dies", f"{fault.kills} did not come back")
        if not self.stopped:
            self._judge(fault, moving, running, struck_s)
        world.broken = False
        self._fault = f"after {fault.kind}"

    def _judge(self, fault: SoakFault, moving: bool, running: bool, struck_s: float) -> None:
        world = self._world
        if fault.rest_s is not None and moving:
            left_s = fault.rest_s - (time.time() - struck_s)
            self._wait(lambda: world.rest_after(struck_s) is not None, left_s)
            rest_s = world.rest_after(struck_s)
            if rest_s is None or rest_s > fault.rest_s:
                self._fail("the arm comes to rest", f"{rest_s} s, allowed {fault.rest_s}")
            if rest_s is not None:
                self.result.rested(fault.kind, rest_s)
        if not (fault.codes and running):
            return
        told = set(fault.codes)
        if not self._wait(lambda: told & world.causes_since(struck_s), TOLD_S):
            heard = sorted(world.causes_since(struck_s))
            self._fail("the cause is told", f"heard {heard}, expected one of {fault.codes}")

    def _finale(self) -> None:
        """Show that a new task moves and one with nothing to do succeeds, without a restart."""
        world, self._fault = self._world, "the end"
        world.broken, stopped, self.stopped = False, self.stopped, False
        before = self._commands
        if not self._wait(lambda: self._commands > before, TASK_S):
            self._fail("a new task succeeds", f"no motion within {TASK_S:.0f} s of the end")
        world.broken = True  # no more tasks but this one
        world.cancel()
        self._wait(lambda: world.status.state in (*ENDED, TaskStatus.STATE_IDLE), 5.0)
        good = world.ends["succeeded"]
        world.begin("stay")
        if not self._wait(lambda: world.ends["succeeded"] > good, TASK_S):
            self._fail("a new task succeeds", f"it did not within {TASK_S:.0f} s of the end")
        self._judge_leaks()
        self.stopped = stopped

    def _judge_leaks(self) -> None:
        for name, held in self.finished().facts["processes"].items():
            grown = [
                f"{key} {held[key]}"
                for key, allowed in LEAKS.items()
                if held["life_s"] >= LEAK_LIFE_S and held[key] > allowed
            ]
            if grown:
                self._fail("nothing leaks", f"{name}: {', '.join(grown)}")

    # -- result ----------------------------------------------------------------------------------

    def finished(self) -> SoakResult:
        """Return the result so far."""
        world, processes = self._world, {}
        for name, lives in self._processes.lives.items():
            life = max(lives, key=lambda x: x.length_s)
            if len(life.samples) >= 10:
                processes[name] = {**life.growth(), "lives": len(lives)}
        self.result.facts = {
            "duration_s": round(self._now_s(), 1),
            "tasks": world.tasks,
            "requests": world.requests,
            "ends": dict(sorted(world.ends.items())),
            "chunks": dict(world.judged),
            "commands": self._commands,
            "shares_of_limits": {k: round(v, 4) for k, v in world.report["worst"].items()},
            "kills_from": self._kills_from,
            "processes": processes,
        }
        return self.result


def main(arguments: list[str] | None = None) -> int:
    """Run, print Markdown; return 0 when every universal assertion held."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="written every minute and at the end")
    parser.add_argument("--kills-from", type=float, default=0.7, help="share of the run")
    parser.add_argument("--logs", type=Path, help="folder of what the nodes say")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        logs = given.logs or Path(folder)
        logs.mkdir(parents=True, exist_ok=True)
        namespace = "/mu0"
        rclpy.init(
            args=["--ros-args", "-r", f"__ns:={namespace}"],
            signal_handler_options=SignalHandlerOptions.NO,
        )
        processes = Processes(commands(namespace), ros_environment(), logs)
        world = SoakWorld(processes, np.random.default_rng(given.seed + 1))
        soak = Soak(world, processes, given.minutes, given.seed, given.kills_from)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: setattr(soak, "stopped", True))

        def write(result: SoakResult) -> None:
            if given.json is not None:
                try:
                    result.write(given.json)
                except OSError as error:  # a full disk must not end the run
                    sys.stderr.write(f"cannot write {given.json}: {error}\n")

        try:
            for name in processes.lives:
                processes.start(name)
            soak.run(write)
        finally:
            result = soak.finished()
            processes.close()
            world.destroy_node()
            rclpy.try_shutdown()
            sys.stdout.write(result.markdown())
            write(result)
    return 1 if result.failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
