# SPDX-License-Identifier: Apache-2.0
"""One thread for long work, so that callbacks return at once. No ROS.

There is no queue: a job is taken when the worker is idle and refused otherwise, so nothing old is
ever computed. A job that hangs cannot be stopped in Python; `abandon` leaves it behind and goes on
with a new thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue


class Worker:
    """Runs one job at a time in a persistent daemon thread (torch keeps its pool for each thread).

    Args:
        name: of the thread.
        on_error: told about an exception that escapes a job.
    """

    def __init__(self, name: str, on_error: Callable[[Exception], None]) -> None:
        self._name, self._on_error = name, on_error
        self._lock = threading.Lock()
        self._began_s: float | None = None
        self._open_thread()

    def _open_thread(self) -> None:
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(
            target=self._work, args=(self._jobs,), name=self._name, daemon=True
        )
        self._thread.start()

    def _work(self, jobs: SimpleQueue) -> None:
        while (job := jobs.get()) is not None:
            try:
                job()
            except Exception as error:  # the thread lives on; the owner reports
                self._on_error(error)
            with self._lock:
                if jobs is not self._jobs:
                    return  # abandoned meanwhile
                self._began_s = None

    def try_start(self, job: Callable[[], None]) -> bool:
        """Start a job if the worker is idle; say whether it was taken."""
        with self._lock:
            if self._began_s is not None:
                return False
            self._began_s = time.monotonic()
            self._jobs.put(job)
        return True

    @property
    def busy(self) -> bool:
        """Say whether a job is under way."""
        return self._began_s is not None

    @property
    def busy_s(self) -> float:
        """Return how long the job under way has been running; 0 when idle."""
        began_s = self._began_s
        return 0.0 if began_s is None else time.monotonic() - began_s

    def abandon(self) -> None:
        """Leave a job that hangs behind; the worker is idle afterwards."""
        with self._lock:
            self._jobs.put(None)
            self._open_thread()
            self._began_s = None

    def close(self, timeout_s: float = 2.0) -> None:
        """End the thread after the job under way, for which it waits at most ``timeout_s``."""
        self._jobs.put(None)
        if self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
