# SPDX-License-Identifier: Apache-2.0
"""A joint-trajectory controller with the rules of ros2_control's (Jazzy), for simulation.

It validates names, sizes and times, requires rest at the end, interpolates linearly, by cubic or by
quintic pieces depending on the fields given, and holds the last point. A new trajectory replaces the
running one from the commanded state. Unlike the original it also refuses non-finite numbers, since
physics must never see them.
"""

from __future__ import annotations

import numpy as np
from scipy.interpolate import BPoly

from mu0_core.errors import TrajectoryError
from mu0_core.types import JointTrajectory


class JointTrajectoryController:
    """Interpolates trajectories of named joints. Times are seconds of the caller's clock."""

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
        self._pieces: BPoly | None = None

    def set_initial(self, positions: np.ndarray) -> None:
        """Hold at these positions (A,) until a trajectory comes."""
        positions = np.asarray(positions, dtype=float)
        if positions.shape != (len(self.joint_names),) or not np.all(np.isfinite(positions)):
            raise TrajectoryError(f"initial positions must be {len(self.joint_names)} finite numbers")
        self._hold, self._pieces = positions, None

    def accept(
        self, trajectory: JointTrajectory, now_s: float, start_time_s: float | None = None
    ) -> None:
        """Replace the running trajectory; an empty one means hold here.

        Args:
            trajectory: see `JointTrajectory`.
            now_s: current time.
            start_time_s: time of its zero; None = now.

        Raises:
            TrajectoryError: a rule is broken; the running trajectory goes on.
        """
        if self._hold is None:
            raise TrajectoryError("no state yet: the controller has no position to start from")
        if len(trajectory.times_s) == 0:
            self.hold(now_s)
            return
        times, positions, velocities, accelerations = self._checked(trajectory)
        start = now_s if start_time_s is None else start_time_s
        times = times + start
        if times[-1] <= now_s:
            raise TrajectoryError(f"trajectory ended {now_s - times[-1]:.3f} s ago")
        here, speed = self.sample(now_s)
        future = times > now_s + 1e-9
        times = np.concatenate([[now_s], times[future]])
        columns = [np.concatenate([here[None], positions[future]])]
        if velocities is not None:
            columns.append(np.concatenate([speed[None], velocities[future]]))
            if accelerations is not None:
                columns.append(np.concatenate([np.zeros((1, len(here))), accelerations[future]]))
        values = np.stack(columns, axis=1)  # (K, derivatives, A)
        self._pieces = BPoly.from_derivatives(times, values)
        self._hold = positions[-1]

    def _checked(self, trajectory: JointTrajectory) -> tuple:
        names = tuple(trajectory.joint_names)
        if len(set(names)) != len(names):
            raise TrajectoryError(f"joint names are doubled: {names}")
        unknown = sorted(set(names) - set(self.joint_names))
        if unknown:
            raise TrajectoryError(f"unknown joints {unknown}; this controller has {self.joint_names}")
        missing = sorted(set(self.joint_names) - set(names))
        if missing and not self._allow_partial:
            raise TrajectoryError(f"joints {missing} are missing")
        times = np.asarray(trajectory.times_s, dtype=float)
        count = len(times)
        if not np.all(np.isfinite(times)) or times[0] < 0 or np.any(np.diff(times) <= 0):
            raise TrajectoryError("times must be finite, not negative and strictly increasing")
        order = [names.index(n) if n in names else -1 for n in self.joint_names]
        result = [times]
        fields = (
            ("positions", trajectory.positions, True),
            ("velocities", trajectory.velocities, False),
            ("accelerations", trajectory.accelerations, False),
        )
        for label, field, required in fields:
            if field is None and not required:
                result.append(None)
                continue
            field = np.asarray(field, dtype=float)
            if field.shape != (count, len(names)):
                raise TrajectoryError(
                    f"{label} have shape {field.shape}, expected {(count, len(names))}"
                )
            if not np.all(np.isfinite(field)):
                raise TrajectoryError(f"{label} are not finite")
            full = np.zeros((count, len(self.joint_names)))
            if label == "positions":
                full[:] = self._hold
            for column, source in enumerate(order):
                if source >= 0:
                    full[:, column] = field[:, source]
            result.append(full)
        if result[2] is None and result[3] is not None:
            raise TrajectoryError("accelerations need velocities")
        if result[2] is not None and not self._allow_end_velocity:
            if np.max(np.abs(result[2][-1])) > 1e-6:
                raise TrajectoryError(f"velocity at the end must be zero: {result[2][-1]}")
        return tuple(result)

    def sample(self, now_s: float) -> tuple[np.ndarray, np.ndarray]:
        """Return commanded positions and velocities (A,) at a time."""
        if self._hold is None:
            raise TrajectoryError("no state yet")
        if self._pieces is None or now_s >= self._pieces.x[-1]:
            return self._hold.copy(), np.zeros(len(self.joint_names))
        now_s = max(now_s, self._pieces.x[0])
        return self._pieces(now_s), self._pieces(now_s, nu=1)

    def remaining_s(self, now_s: float) -> float:
        """Return how much of the running trajectory is left; 0 at rest."""
        return 0.0 if self._pieces is None else float(max(0.0, self._pieces.x[-1] - now_s))

    def hold(self, now_s: float) -> None:
        """Stop here, at once."""
        positions, _ = self.sample(now_s)
        self._hold, self._pieces = positions, None
