# SPDX-License-Identifier: Apache-2.0
"""A `Planner` that lives in another process, whose death is an error here and nothing worse.

The process is started on the first call and again after it died. A call that takes too long ends
it. What it prints goes to our standard error.
"""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from mu0_core import errors
from mu0_core.errors import Mu0Error, PlannerUnavailableError
from mu0_core.planning.planner import Collision, PathCheck
from mu0_core.planning.scene import PlanningScene
from mu0_core.robot.description import RobotDescription
from mu0_ros.planning.planner_server import scene_as

_LAST_WORDS_S = 1.0


class PlannerProcess:
    """Plans and checks for one arm; a `Planner`. Not for several threads at once.

    Args:
        robot: the arm.
        name: of the planner.
        command: arguments of ``python -m mu0_ros.planning.planner_server``.
        start_s: time allowed from the start until it is ready.
        answer_s: time allowed for an answer.
    """

    def __init__(
        self,
        robot: RobotDescription,
        name: str,
        command: Sequence[str],
        start_s: float = 30.0,
        answer_s: float = 10.0,
    ) -> None:
        self.robot, self.name = robot, name
        self._command = [sys.executable, "-m", "mu0_ros.planning.planner_server", *command]
        self._start_s, self._answer_s = start_s, answer_s
        self._process: subprocess.Popen | None = None
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._told: PlanningScene | None = None

    # -- Planner ---------------------------------------------------------------------------------

    def plan(
        self, start_rad: np.ndarray, goal_rad: np.ndarray, scene: PlanningScene, *, seed: int = 0
    ) -> np.ndarray:
        """Return a free path (K, A); errors as in `Planner`."""
        start, goal = (np.asarray(q, float).tolist() for q in (start_rad, goal_rad))
        return np.array(self._ask(scene, call="plan", start=start, goal=goal, seed=seed))

    def check(
        self, positions_rad: np.ndarray, scene: PlanningScene, *, clearance: bool = False
    ) -> PathCheck:
        """Return what lines between positions (K, A) touch first; see `Planner`."""
        path = np.atleast_2d(np.asarray(positions_rad, float)).tolist()
        found = self._ask(scene, call="check", path=path, clearance=clearance)
        hit, clearance_m = found["collision"], found["clearance_m"]
        return PathCheck(
            None if hit is None else Collision(hit[0], (hit[1], hit[2])),
            float("nan") if clearance_m is None else clearance_m,
        )

    def inverse(
        self, T_base_tip: np.ndarray, seed_rad: np.ndarray, scene: PlanningScene
    ) -> np.ndarray:
        """Return free joints (A,) near the seed that reach a pose (4, 4); see `Planner`."""
        pose, seed = (np.asarray(x, float).tolist() for x in (T_base_tip, seed_rad))
        return np.array(self._ask(scene, call="inverse", pose=pose, seed=seed))

    def close(self) -> None:
        """End the process: by the end of its input, and soon after that by force."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(_LAST_WORDS_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    # -- the process -----------------------------------------------------------------------------

    def _start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        self._told, self._lines = None, queue.Queue()
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        threading.Thread(
            target=_read, args=(self._process.stdout, self._lines), name=self.name, daemon=True
        ).start()
        self._answer(self._start_s)

    def _ask(self, scene: PlanningScene, **request: Any) -> Any:
        """Return the answer to a request.

        Raises:
            PlannerUnavailableError: the process died, does not start or does not answer.
            Mu0Error: what the planner raised.
        """
        self._start()
        if scene is not self._told:
            request["scene"] = scene_as(scene)
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except OSError:
            pass  # it died; `_answer` sees the end of its output
        result = self._answer(self._answer_s)
        self._told = scene
        return result

    def _answer(self, allowed_s: float) -> Any:
        try:
            line = self._lines.get(timeout=allowed_s)
        except queue.Empty:
            self._process.kill()
            self.close()
            raise PlannerUnavailableError(
                f"planner {self.name} gave no answer within {allowed_s} s; its process was ended"
            ) from None
        if line is None:
            process = self._process
            process.wait()
            self.close()
            raise PlannerUnavailableError(
                f"the process of planner {self.name} died with code {process.returncode}"
            )
        data = json.loads(line)
        if "error" in data:
            raise _error(*data["error"])
        return data["result"]


def _read(stream: Any, lines: queue.Queue) -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)


def _error(kind: str, code: str, message: str) -> Mu0Error:
    """Return an error of the other process as ours."""
    found = getattr(errors, kind, Mu0Error)
    error = found(message) if issubclass(found, Mu0Error) else Mu0Error(message)
    error.code = code
    return error
