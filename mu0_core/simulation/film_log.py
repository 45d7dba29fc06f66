# SPDX-License-Identifier: Apache-2.0
"""What happens when in a film, in frames: tasks, rounds, and when anything moves."""

from __future__ import annotations

import numpy as np

from mu0_core.simulation.world import TableWorld

_MOVES_M_S = 0.01  # speed of a body's origin from which on it moves


class FilmLog:
    """Notes what the expert does while a world is filmed.

    A task or round that starts at time t belongs to the frames from round(t * fps) on.
    """

    def __init__(self, world: TableWorld, fps: float) -> None:
        self._world, self._fps = world, fps
        self._tasks: list[dict[str, object]] = []
        self._rounds: list[dict[str, object]] = []
        self._positions_m: list[np.ndarray] = []

    def _now(self) -> int:
        return round(self._world.time_s * self._fps)

    def add_poses(self, body_poses: np.ndarray) -> None:
        """Note T_base_body (B, 4, 4) in a new frame."""
        self._positions_m.append(body_poses[:, :3, 3].copy())

    def start(self, task: str, text: str) -> None:
        """Note that a task starts now."""
        self._tasks.append({"first": self._now(), "last": None, "task": task, "text": text})

    def look(self) -> None:
        """Note that a round starts now."""
        self._end_round()
        self._rounds.append({"first": self._now(), "last": None, "task": self._tasks[-1]["task"]})

    def stop(self, achieved: bool) -> None:
        """Note that the task ends now."""
        self._end_round()
        self._tasks[-1] |= {"last": self._now() - 1, "achieved": achieved}

    def close(self, frames: int) -> None:
        """Cut everything off at the end of a film of ``frames``; what runs stays unfinished."""
        if self._tasks[-1]["last"] is None:
            self._tasks[-1] |= {"last": frames - 1, "achieved": None}
        self._end_round(frames)
        for spans in (self._tasks, self._rounds):
            for span in spans:
                span["last"] = min(span["last"], frames - 1)
            spans[:] = [span for span in spans if span["first"] <= span["last"]]

    def _end_round(self, now: int | None = None) -> None:
        if self._rounds and self._rounds[-1]["last"] is None:
            self._rounds[-1]["last"] = (self._now() if now is None else now) - 1

    def texts(self) -> list[dict[str, object]]:
        """Return ``first``, ``last`` and ``text`` of each task that did not fail."""
        told = [task for task in self._tasks if task["achieved"] is not False]
        return [{k: task[k] for k in ("first", "last", "text")} for task in told]

    def segments(self) -> dict[str, object]:
        """Return the truth about time.

        ``tasks`` and ``rounds`` have first and last frame, both included. ``boundaries`` are the
        frames other than 0 where one of them starts. ``motion`` are first and last frame of each
        span between whose frames some body moves faster than 1 cm/s.
        """
        starts = {span["first"] for span in self._tasks + self._rounds} - {0}
        return {
            "tasks": self._tasks,
            "rounds": self._rounds,
            "boundaries": sorted(starts),
            "motion": self._motion(),
        }

    def _motion(self) -> list[list[int]]:
        step_m = np.linalg.norm(np.diff(np.stack(self._positions_m), axis=0), axis=2)
        moves = step_m.max(axis=1, initial=0.0) * self._fps > _MOVES_M_S
        edges = np.flatnonzero(np.diff(np.concatenate([[False], moves, [False]])))
        return [[int(a), int(b)] for a, b in edges.reshape(-1, 2)]
