# SPDX-License-Identifier: Apache-2.0
"""Start the nodes as processes and end them, whatever happens. Imports no ROS itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from mu0_core.errors import ConfigError
from mu0_core.paths import config_file

NODES = ("simulator", "trace_forecaster", "action_expert", "safety_gate", "task_server", "visualizer")


class NodeProcesses:
    """Context manager around the node processes; output goes to ``log_dir/NODE.log``.

    Args:
        parameters: node name -> {parameter: value} on top of ``config/mu0.yaml``.
        log_dir: where the nodes' output goes.
        nodes: which to start.
    """

    def __init__(
        self,
        parameters: dict[str, dict[str, object]] | None = None,
        log_dir: Path = Path("outputs/log"),
        nodes: tuple[str, ...] = NODES,
    ) -> None:
        self._parameters = parameters or {}
        self._log_dir, self._nodes = log_dir, nodes
        self._processes: dict[str, subprocess.Popen] = {}
        self.env = self._environment()

    @staticmethod
    def _environment() -> dict[str, str]:
        command = [sys.executable, "-c", "import json; from mu0_ros.environment import ros_environment; "
                   "print(json.dumps(ros_environment()))"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
            raise ConfigError(reason[0].partition(": ")[2] or reason[0])
        import json

        env = json.loads(done.stdout)
        env.setdefault("ROS_DOMAIN_ID", str(100 + os.getpid() % 100))
        return env

    def __enter__(self) -> NodeProcesses:
        self._log_dir.mkdir(parents=True, exist_ok=True)
        for name in self._nodes:
            command = [
                sys.executable, "-m", f"mu0_ros.nodes.{name}_node", "--ros-args",
                "-r", "__ns:=/mu0", "--params-file", str(config_file("mu0.yaml")),
            ]
            values = dict(self._parameters.get(name, {}))
            if name != "simulator":
                values.setdefault("use_sim_time", True)
            for key, value in values.items():
                text = str(value).lower() if isinstance(value, bool) else str(value)
                command += ["-p", f"{key}:={text}"]
            log = (self._log_dir / f"{name}.log").open("w")
            self._processes[name] = subprocess.Popen(
                command, env=self.env, stdout=log, stderr=subprocess.STDOUT
            )
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in self._processes.values():
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()

    def pids(self) -> dict[str, int]:
        """Return the process ids."""
        return {name: process.pid for name, process in self._processes.items()}

    def log_hint(self) -> str:
        """Say which nodes have ended and where their logs are."""
        ended = [n for n, p in self._processes.items() if p.poll() not in (None, 0)]
        return f"ended nodes: {ended or 'none'}; logs are in {self._log_dir}"
