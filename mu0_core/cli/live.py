# SPDX-License-Identifier: Apache-2.0
"""Start programs that listen to a stack that runs already. Imports no ROS itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from mu0_core.errors import ConfigError

_GRACE_S = 10.0


def live_environment() -> dict[str, str]:
    """Return the environment of a process that joins what runs.

    Unlike processes that bring their own stack along it keeps to the user's domain and range of
    discovery, which without variables are ROS's own: domain 0, the subnet.

    Raises:
        ConfigError: there is no rclpy or the messages are not built.
    """
    from mu0_core.cli.processes import NodeProcesses

    env = NodeProcesses().env
    env["ROS_DOMAIN_ID"] = os.environ.get("ROS_DOMAIN_ID", "0")
    if "ROS_AUTOMATIC_DISCOVERY_RANGE" not in os.environ:
        env.pop("ROS_AUTOMATIC_DISCOVERY_RANGE", None)
    return env


def ros_arguments(
    namespace: str, remap: Sequence[str] = (), parameters: dict[str, object] | None = None
) -> list[str]:
    """Return ROS arguments: a namespace, rules FROM:=TO, parameters.

    Raises:
        ConfigError: a rule without := is given.
    """
    if wrong := [rule for rule in remap if ":=" not in rule]:
        raise ConfigError(f"-r {wrong[0]!r}: expected FROM:=TO")
    words = ["--ros-args", "-r", f"__ns:=/{namespace.strip('/')}"]
    for rule in remap:
        words += ["-r", rule]
    for key, value in (parameters or {}).items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        words += ["-p", f"{key}:={text}"]
    return words


def ask_process(
    module: str, words: Sequence[str], limit_s: float
) -> tuple[list[dict[str, Any]], tuple[str, str] | None]:
    """Run a module that tells what it finds as lines of JSON.

    Returns:
        What it told, and what went wrong with its cure (None: nothing did).
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", module, *words],
            env=live_environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=limit_s,
        )
    except subprocess.TimeoutExpired:
        return [], (f"no answer within {limit_s:g} s", "try again")
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if not done.returncode and told:
        return told, None
    last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    return told, (last, "source install/setup.bash")


def run_until_interrupted(module: str, arguments: Sequence[str]) -> int:
    """Run a module with its output on ours; the first Ctrl-C ends it in order. Return its code."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env=live_environment(),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    previous = signal.signal(signal.SIGTERM, lambda *_: process.send_signal(signal.SIGINT))
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        return process.wait(timeout=_GRACE_S)
    finally:
        signal.signal(signal.SIGTERM, previous)
        if process.poll() is None:
            process.kill()
            process.wait()
