# SPDX-License-Identifier: Apache-2.0
"""Start the nodes as processes and end them, whatever happens. Imports no ROS itself.

The nodes get a session of their own, so that Ctrl-C in the terminal reaches this process alone and
the nodes end in one orderly way: SIGINT, five seconds, SIGKILL.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from mu0_core.errors import ConfigError, Mu0Error
from mu0_core.paths import config_file

NODES = (
    "simulator",
    "trace_forecaster",
    "action_expert",
    "safety_gate",
    "task_server",
    "visualizer",
)
_WATCH_S = 0.5
_GRACE_S = 5.0
_CLIENT_EXIT_S = 20.0
_ENDING = (signal.SIGTERM, signal.SIGHUP)


class ProcessError(Mu0Error):
    """A node or client process ended before its time; the message says where its log is."""

    code = "NOT_READY"


class NodeProcesses:
    """Context manager around the node processes; output goes to ``log_dir/NODE.log``.

    Args:
        parameters: node name -> {parameter: value} on top of ``config/mu0.yaml``.
        log_dir: where the nodes' output goes.
        nodes: which to start.

    Raises:
        ConfigError: there is no rclpy or the messages are not built; names the command to run.
    """

    def __init__(
        self,
        parameters: Mapping[str, Mapping[str, object]] | None = None,
        log_dir: Path = Path("outputs/log"),
        nodes: Sequence[str] = NODES,
    ) -> None:
        self._parameters = parameters or {}
        self._log_dir, self._nodes = log_dir, tuple(nodes)
        self._processes: dict[str, subprocess.Popen] = {}
        self._handlers: dict[int, Any] = {}
        self.env = _environment()

    def __enter__(self) -> NodeProcesses:
        """Start the nodes; SIGTERM and SIGHUP leave through `__exit__` from now on."""
        self._log_dir.mkdir(parents=True, exist_ok=True)
        if threading.current_thread() is threading.main_thread():
            self._handlers = {number: signal.signal(number, _leave) for number in _ENDING}
        try:
            for name in self._nodes:
                with (self._log_dir / f"{name}.log").open("w") as log:
                    self._processes[name] = subprocess.Popen(
                        self._command(name),
                        env=self.env,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all nodes."""
        self._stop()

    def _command(self, name: str) -> list[str]:
        command = [
            sys.executable,
            "-m",
            f"mu0_ros.nodes.{name}_node",
            "--ros-args",
            "-r",
            "__ns:=/mu0",
            "--params-file",
            str(config_file("mu0.yaml")),
        ]
        values = dict(self._parameters.get(name, {}))
        if name != "simulator":
            values.setdefault("use_sim_time", True)
        for key, value in values.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            command += ["-p", f"{key}:={text}"]
        return command

    def _stop(self) -> None:
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in self._processes.values():
            _wait_or_kill(process, _GRACE_S)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}

    def facts(self, module: str, arguments: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Run a client module beside the nodes; yield each JSON object that it prints on a line.

        Raises:
            ProcessError: the client failed, or a node ended while it ran.
        """
        client = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        over = threading.Event()
        watch = threading.Thread(target=self._watch, args=(client, over), daemon=True)
        watch.start()
        grace_s = _GRACE_S
        try:
            for line in client.stdout:
                if line.startswith("{"):
                    yield json.loads(line)
            grace_s = _CLIENT_EXIT_S  # it has said everything and finishes its files
        finally:
            over.set()
            if grace_s == _GRACE_S and client.poll() is None:
                client.send_signal(signal.SIGINT)
            _wait_or_kill(client, grace_s)
            client.stdout.close()
            watch.join()
        ended = self.ended()
        if ended or client.returncode:
            reason = f"nodes ended: {', '.join(ended)}" if ended else "all nodes are alive"
            raise ProcessError(
                f"{module} ended with {client.returncode} ({reason}); logs are in {self._log_dir}"
            )

    def _watch(self, client: subprocess.Popen, over: threading.Event) -> None:
        """Interrupt the client as soon as a node is gone: it would wait in vain.

        A client that a shell started in the background ignores SIGINT; it is terminated.
        """
        while not over.wait(_WATCH_S):
            if self.ended():
                client.send_signal(signal.SIGINT)
                if not over.wait(_GRACE_S):
                    client.terminate()
                return

    def ended(self) -> list[str]:
        """Return the names of nodes whose process is gone."""
        return [name for name, process in self._processes.items() if process.poll() is not None]

    def resident_mb(self) -> dict[str, float]:
        """Return the resident memory of each node that /proc tells of."""
        memory = {}
        for name, process in self._processes.items():
            status = Path(f"/proc/{process.pid}/status")
            if not status.is_file():
                continue
            for line in status.read_text().splitlines():
                if line.startswith("VmRSS:"):
                    memory[name] = int(line.split()[1]) / 1024
        return memory


def _environment() -> dict[str, str]:
    """Ask ``mu0_ros.environment`` in a process of its own: this one stays free of ROS."""
    code = (
        "import json; from mu0_ros.environment import ros_environment; "
        "print(json.dumps(ros_environment()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ConfigError(reason.partition(": ")[2] or reason)
    env = json.loads(done.stdout.splitlines()[-1])
    env.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    env["PYTHONUNBUFFERED"] = "1"  # logs are whole when a node is killed
    return env


def import_in_child(code: str) -> None:
    """Run import statements in a process with the ROS environment.

    Raises:
        ConfigError: they fail; the message is the last line of what Python says.
    """
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ConfigError((done.stderr.strip().splitlines() or [f"{code} failed"])[-1])


def _wait_or_kill(process: subprocess.Popen, grace_s: float) -> None:
    try:
        process.wait(timeout=grace_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
