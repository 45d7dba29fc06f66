# SPDX-License-Identifier: Apache-2.0
"""Did the commanded arm keep its limits? Judged sample by sample, so that it can go on for hours.

No ROS. What is judged is what the controller commands, not what the gate believes it sent.
"""

from __future__ import annotations

import numpy as np

from mu0_core.robot.description import JointLimits

_SHORTEST_S = 1e-3  # a mean acceleration over less says nothing
_ROUNDING = 1e-6


class MotionJudge:
    """Compares samples of one arm with its limits.

    Attributes:
        worst: largest share of each limit that was ever used, 1 = all of it. Position is the share
            of the range from its middle, acceleration the mean between two samples.
    """

    def __init__(self, limits: JointLimits) -> None:
        self._limits = limits
        self._last: tuple[float, np.ndarray] | None = None
        self.worst = {"position": 0.0, "velocity": 0.0, "acceleration": 0.0}

    def add(self, time_s: float, positions: np.ndarray, velocities: np.ndarray) -> list[str]:
        """Take a sample in and return what is wrong with it, usually nothing.

        Args:
            time_s: of the sample, on the clock of the arm.
            positions: (A,) rad.
            velocities: (A,) rad/s.
        """
        if not (np.isfinite(positions).all() and np.isfinite(velocities).all()):
            return [f"not finite: positions {positions}, velocities {velocities}"]
        limits = self._limits
        middle = (limits.lower_rad + limits.upper_rad) / 2
        shares = {
            "position": np.abs(positions - middle) / ((limits.upper_rad - limits.lower_rad) / 2),
            "velocity": np.abs(velocities) / limits.velocity_rad_s,
        }
        if self._last is None or time_s < self._last[0]:  # the first, or the clock was put back
            self._last = time_s, velocities.copy()
        elif (apart_s := time_s - self._last[0]) > _SHORTEST_S:  # by the mean value theorem
            mean = np.abs(velocities - self._last[1]) / apart_s
            shares["acceleration"] = mean / limits.acceleration_rad_s2
            self._last = time_s, velocities.copy()
        wrong = []
        for what, share in shares.items():
            joint = int(np.argmax(share))
            self.worst[what] = max(self.worst[what], float(share[joint]))
            if share[joint] > 1 + _ROUNDING:
                wrong.append(f"{what} of joint {joint} at {share[joint]:.4f} of its limit")
        return wrong
