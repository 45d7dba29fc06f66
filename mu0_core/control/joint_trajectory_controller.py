# SPDX-License-Identifier: Apache-2.0
"""A joint-trajectory controller with the rules of ros2_control's (Jazzy), for simulation.

It validates names, sizes and times, requires rest at the end, interpolates by linear, cubic or
quintic pieces depending on the fields given, and holds the last point. A new trajectory replaces
the running one and starts from the commanded state of that moment.

Unlike the original it refuses non-finite numbers, since physics must never see them, and a
trajectory that is over at the moment it arrives, which the original would jump to.
"""

from __future__ import annotations

import numpy as np

from mu0_core.control.joint_motion import JointMotion
from mu0_core.errors import TrajectoryError
from mu0_core.types import JointTrajectory

_END_VELOCITY_TOLERANCE = 1e-6


class JointTrajectoryController:
    """Interpolates trajectories of named joints. Times are seconds of the caller's clock.

    Args:
        joint_names: (A,) order of all arrays that come out.
        allow_nonzero_velocity_at_end: accept trajectories that do not end at rest.
        allow_partial_joints: accept trajectories of some joints; the others stay where they are.
    """

    def __init__(
        self,
        joint_names: tuple[str, ...],
        *,
        allow_nonzero_velocity_at_end: bool = False,
        allow_partial_joints: bool = False,
    ) -> None:
        self.joint_names = tuple(joint_names)
        self._allow_end_velocity = allow_nonzero_velocity_at_end
        self._allow_partial = allow_partial_joints
        self._hold: np.ndarray | None = None
        self._motion: JointMotion | None = None
        self._accepted_s = 0.0  # times of `_motion` count from here

    def set_initial(self, positions: np.ndarray) -> None:
        """Hold at these positions (A,) until a trajectory comes."""
        positions = np.array(positions, dtype=float)
        if positions.shape != (len(self.joint_names),) or not np.all(np.isfinite(positions)):
            raise TrajectoryError(f"expected {len(self.joint_names)} finite initial positions")
        self._hold, self._motion = positions, None

    def accept(
        self, trajectory: JointTrajectory, now_s: float, start_time_s: float | None = None
    ) -> None:
        """Replace the running trajectory; an empty one means hold here.

        Args:
            trajectory: see `JointTrajectory`.
            now_s: current time.
            start_time_s: time of its zero; None = now. Points that are over already are left out.

        Raises:
            TrajectoryError: a rule is broken; the running trajectory goes on.
        """
        if self._hold is None:
            raise TrajectoryError("no state yet: the controller has no position to start from")
        if len(trajectory.times_s) == 0:
            self.hold(now_s)
            return
        times = self._checked_times(trajectory)
        if start_time_s is not None:
            times = times + (start_time_s - now_s)
        if times[-1] <= 0:
            raise TrajectoryError(f"trajectory ended {-times[-1]:.3f} s ago")
        here = self.commanded(now_s)
        columns = self._checked_columns(trajectory, here[0])
        ahead = times > 1e-9
        self._motion = JointMotion(
            np.concatenate([[0.0], times[ahead]]),
            *(np.concatenate([now[None], column[ahead]]) for now, column in zip(here, columns)),
        )
        self._accepted_s = now_s
        self._hold = columns[0][-1]

    def _checked_times(self, trajectory: JointTrajectory) -> np.ndarray:
        times = np.asarray(trajectory.times_s, dtype=float)
        if times.ndim != 1 or not np.all(np.isfinite(times)):
            raise TrajectoryError("times must be one row of finite numbers")
        if times[0] < 0 or np.any(np.diff(times) <= 0):
            raise TrajectoryError("times must not be negative and must strictly increase")
        return times

    def _checked_columns(self, trajectory: JointTrajectory, here: np.ndarray) -> list[np.ndarray]:
        """Return positions and, as far as given, velocities and accelerations in our order."""
        names = tuple(trajectory.joint_names)
        if len(set(names)) != len(names):
            raise TrajectoryError(f"joint names are doubled: {names}")
        unknown = sorted(set(names) - set(self.joint_names))
        if unknown:
            raise TrajectoryError(f"unknown joints {unknown}; known are {self.joint_names}")
        missing = sorted(set(self.joint_names) - set(names))
        if missing and not (self._allow_partial and names):
            raise TrajectoryError(f"joints {missing} are missing")
        if trajectory.velocities is None and trajectory.accelerations is not None:
            raise TrajectoryError("accelerations need velocities")
        index = [self.joint_names.index(name) for name in names]
        columns = []
        for label in ("positions", "velocities", "accelerations"):
            field = getattr(trajectory, label)
            if field is None and label != "positions":
                break
            field = np.asarray(field, dtype=float)
            expected = (len(trajectory.times_s), len(names))
            if field.shape != expected:
                raise TrajectoryError(f"{label} have shape {field.shape}, expected {expected}")
            if not np.all(np.isfinite(field)):
                raise TrajectoryError(f"{label} are not finite")
            rest = here if label == "positions" else np.zeros_like(here)
            full = np.tile(rest, (len(field), 1))
            full[:, index] = field
            columns.append(full)
        if len(columns) > 1 and not self._allow_end_velocity:
            if np.max(np.abs(columns[1][-1])) > _END_VELOCITY_TOLERANCE:
                raise TrajectoryError(f"velocity at the end must be zero: {columns[1][-1]}")
        return columns

    def commanded(self, now_s: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return commanded positions, velocities and accelerations (A,) at a time."""
        if self._hold is None:
            raise TrajectoryError("no state yet")
        if self._motion is None or now_s - self._accepted_s >= self._motion.end_s:
            rest = np.zeros(len(self.joint_names))
            return self._hold.copy(), rest, rest.copy()
        return self._motion.sample(max(0.0, now_s - self._accepted_s))

    def sample(self, now_s: float) -> tuple[np.ndarray, np.ndarray]:
        """Return commanded positions and velocities (A,) at a time."""
        return self.commanded(now_s)[:2]

    def ahead(
        self, now_s: float, times_s: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return what is commanded (K, A) in ``times_s`` (K,) seconds from now."""
        if self._motion is None:
            rest = np.zeros((len(times_s), len(self.joint_names)))
            return rest + self.sample(now_s)[0], rest, rest.copy()
        return self._motion.sample(now_s - self._accepted_s + np.asarray(times_s, dtype=float))

    def remaining_s(self, now_s: float) -> float:
        """Return how much of the running trajectory is left; 0 at rest."""
        if self._motion is None:
            return 0.0
        return max(0.0, self._motion.end_s - (now_s - self._accepted_s))

    def hold(self, now_s: float) -> None:
        """Stop here, at once."""
        positions, _ = self.sample(now_s)
        self._hold, self._motion = positions, None
