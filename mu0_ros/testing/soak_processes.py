# SPDX-License-Identifier: Apache-2.0
"""The processes of a soak run: started, stopped, killed, and what each of them holds. No ROS.

Figures are of one process's life: a restarted node starts a new one. Growth is the median of the
last tenth of a life against that of the tenth after its warm-up.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mu0_core.errors import ConfigError

WARM_UP_SHARE, WARM_UP_MAX_S = 0.2, 300.0
_PART = 0.1


@dataclass
class Life:
    """Samples of one process: seconds, resident MiB, of it private, threads, open files."""

    began_s: float
    samples: list[tuple[float, float, float, int, int]] = field(default_factory=list)

    @property
    def length_s(self) -> float:
        """Return the time between the first and the last sample."""
        return self.samples[-1][0] - self.samples[0][0] if self.samples else 0.0

    def growth(self) -> dict[str, float]:
        """Return what the process held after its warm-up and at the end.

        Raises:
            ConfigError: fewer than 10 samples: growth has no meaning.
        """
        if len(self.samples) < 10:
            raise ConfigError(f"{len(self.samples)} samples of a process, needed are 10")
        table = np.array(self.samples, dtype=float)
        seconds = table[:, 0] - table[0, 0]
        warm_s = min(WARM_UP_MAX_S, WARM_UP_SHARE * seconds[-1])
        part_s = max(_PART * seconds[-1], 3 * float(np.median(np.diff(seconds))))
        first = table[(seconds >= warm_s) & (seconds <= warm_s + part_s), 1:]
        last = table[seconds >= seconds[-1] - part_s, 1:]
        before, after = np.median(first, axis=0), np.median(last, axis=0)
        growth = {"life_s": round(float(seconds[-1]), 1)}
        for k, name in enumerate(("rss", "private")):
            growth[f"{name}_mib"] = round(float(after[k]), 1)
            growth[f"{name}_growth_percent"] = round(float(100 * (after[k] / before[k] - 1)), 2)
        for k, name in enumerate(("threads", "files"), 2):
            growth[name] = int(after[k])
            growth[f"{name}_growth"] = int(after[k] - before[k])
        return growth


class Processes:
    """Named processes with one log file each.

    Args:
        commands: name -> arguments of the process.
        env: of all processes.
        logs: folder of what they say.
    """

    def __init__(
        self, commands: Mapping[str, Sequence[str]], env: Mapping[str, str], logs: Path
    ) -> None:
        self._commands, self._env, self._logs = commands, dict(env), logs
        self.running: dict[str, subprocess.Popen] = {}
        self.lives: dict[str, list[Life]] = {name: [] for name in commands}

    def start(self, name: str) -> None:
        """Start a process, or start it again."""
        with (self._logs / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                self._commands[name],
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C is for the supervisor alone
            )
        self.lives[name].append(Life(time.monotonic()))

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal; SIGKILL is waited for, and its shared memory is put away."""
        process = self.running[name]
        segments = _segments(process.pid) if number is signal.SIGKILL else []
        process.send_signal(number)
        if number is signal.SIGKILL:
            process.wait()
            _remove_orphans(segments)

    def dead(self) -> dict[str, int]:
        """Return name -> exit code of processes that are no more."""
        codes = {name: process.poll() for name, process in self.running.items()}
        return {name: code for name, code in codes.items() if code is not None}

    def sample(self) -> None:
        """Note what every process holds now."""
        for name, process in self.running.items():
            held = holdings(process.pid)
            if held is not None:
                self.lives[name][-1].samples.append((time.monotonic(), *held))

    def close(self) -> None:
        """End all processes; those that do not go are killed."""
        for process in self.running.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self.running.values():
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def holdings(pid: int) -> tuple[float, float, int, int] | None:
    """Return what a process holds; None when it is gone.

    Resident MiB as the system counts them, with images in memory that is shared with others; of
    these the private ones, where a leak would show; threads; open files.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        files = len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None
    facts = dict(line.split(":", 1) for line in status.splitlines())
    if "VmRSS" not in facts:
        return None  # it is ending
    resident, private = (int(facts[key].split()[0]) / 1024 for key in ("VmRSS", "RssAnon"))
    return resident, private, int(facts["Threads"]), files


def _segments(pid: int) -> list[Path]:
    """Return the shared memory of Fast DDS that a process has mapped."""
    try:
        lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    except OSError:
        return []
    words = {line.split(maxsplit=5)[-1] for line in lines if "/dev/shm/fastrtps_" in line}
    return [Path(word) for word in words if not word.endswith("_el")]


def _remove_orphans(segments: list[Path]) -> None:
    """Remove segments whose owner is dead: nobody holds the lock on the file beside them."""
    import fcntl

    for segment in segments:
        lock = segment.with_name(segment.name + "_el")
        try:
            with lock.open("rb") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                segment.unlink(missing_ok=True)
                lock.unlink(missing_ok=True)
        except OSError:
            continue  # somebody lives there
