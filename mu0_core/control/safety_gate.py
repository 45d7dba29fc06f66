# SPDX-License-Identifier: Apache-2.0
"""The last hop: the only code that turns a proposal into a trajectory. NOT a safety-rated device.

A chunk is checked as a whole before anything moves. What is too fast is slowed along the same path,
what is wrong is rejected with a reason, and every trajectory ends at rest, so the arm stops by itself
when nobody sends another. The gate holds no clock: time is an argument.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from mu0_core.control import chunk_checks as checks
from mu0_core.control.chunk_checks import ChunkRejected
from mu0_core.control.decision import GateDecision, GateState, Outcome
from mu0_core.control.gate_settings import GateSettings
from mu0_core.control.joint_trajectory_controller import JointTrajectoryController
from mu0_core.control.path_timing import TimedPath, time_path
from mu0_core.robot.description import RobotDescription
from mu0_core.robot.kinematics import Kinematics
from mu0_core.types import ActionChunk, JointTrajectory, Proprioception

_LATCHING_CODE = "NON_FINITE_OUTPUT"


class SafetyGate:
    """Checks chunks for one arm and keeps the commanded state.

    ``counters`` counts outcomes and, for rejections, codes.
    """

    def __init__(self, robot: RobotDescription, settings: GateSettings | None = None) -> None:
        self.robot = robot
        self.settings = settings or GateSettings()
        self.state = GateState.IDLE
        self.cause, self.cause_message = "SUCCESS", ""
        self.counters: Counter[str] = Counter()
        self._kinematics = Kinematics(robot)
        self._shadow = JointTrajectoryController(robot.arm_joints)
        self._opening_m: float | None = None
        self._task, self._last_sequence = b"", -1
        self._bad_in_a_row = 0
        self._healthy_since_ns: int | None = None
        self._end_ns = 0
        self._stretch = 1.0

    # -- observations ----------------------------------------------------------------------------

    def observe(self, proprioception: Proprioception, now_ns: int) -> None:
        """Take joint states in: first hold position, arming and the tracking error."""
        measured = proprioception.positions_rad
        if not np.all(np.isfinite(measured)):
            self._healthy_since_ns = None
            return
        if self._healthy_since_ns is None:
            self._healthy_since_ns = now_ns
        if self._opening_m is None:
            self._shadow.set_initial(measured)
            self._opening_m = proprioception.gripper_m
            return
        if self.settings.dry_run or not self.is_moving(now_ns):
            if self.state != GateState.LATCHED:
                self._follow_if_displaced(measured)
            return
        error = float(np.max(np.abs(self._shadow.sample(now_ns * 1e-9)[0] - measured)))
        if error > self.settings.max_tracking_error_rad:
            self._latch("TRACKING_ERROR", f"arm is {error:.3f} rad from its command")

    def _follow_if_displaced(self, measured: np.ndarray) -> None:
        """At rest the commanded state follows an arm that was moved by somebody else."""
        commanded, _ = self._shadow.sample(np.inf)
        if np.max(np.abs(commanded - measured)) > self.settings.max_tracking_error_rad:
            self._shadow.set_initial(measured)

    def is_moving(self, now_ns: int) -> bool:
        """Say whether an accepted trajectory is still running."""
        return now_ns < self._end_ns

    def queue_s(self, now_ns: int) -> float:
        """Return the seconds of accepted motion left."""
        return max(0.0, (self._end_ns - now_ns) * 1e-9)

    # -- chunks ----------------------------------------------------------------------------------

    def submit(
        self,
        chunk: ActionChunk,
        proprioception: Proprioception | None,
        now_ns: int,
        *,
        dry_run: bool = False,
        speed_scale: float = 1.0,
    ) -> GateDecision:
        """Judge one chunk.

        Args:
            chunk: the proposal.
            proprioception: newest joint states, or None if there never were any.
            now_ns: time on the clock of the observation stamps.
            dry_run: check this one but command nothing (the settings may say so for all).
            speed_scale: of this chunk, 0..1, on top of that of the settings.
        """
        try:
            timed, order, opening = self._judge(chunk, proprioception, now_ns, speed_scale)
        except ChunkRejected as rejection:
            return self._reject(rejection, now_ns)
        self._bad_in_a_row = 0
        self._task, self._last_sequence = chunk.task_id, chunk.sequence
        limited = timed.stretch > 1.02
        outcome = Outcome.LIMIT if limited else Outcome.ACCEPT
        self.counters[outcome.value] += 1
        self.state = GateState.LIMITING if limited else GateState.PASSING
        self.cause, self.cause_message = "SUCCESS", ""
        message = f"slowed {timed.stretch:.2f} times" if limited else ""
        if self.settings.dry_run or dry_run:
            return GateDecision(
                outcome, "SUCCESS", "dry run", None, None, timed.stretch, timed.duration_s
            )
        arm = self._trajectory(timed)
        now_s = now_ns * 1e-9
        self._shadow.accept(arm, now_s)
        self._end_ns = now_ns + round(timed.duration_s * 1e9)
        self._stretch = timed.stretch
        gripper = None if opening is None else self._gripper(opening, timed)
        return GateDecision(
            outcome, "SUCCESS", message, arm, gripper, timed.stretch, timed.duration_s
        )

    def _judge(
        self,
        chunk: ActionChunk,
        proprioception: Proprioception | None,
        now_ns: int,
        speed_scale: float,
    ) -> tuple[TimedPath, list[int], np.ndarray | None]:
        if self.state == GateState.LATCHED:
            raise ChunkRejected(self.cause, f"latched: {self.cause_message}; call reset first")
        checks.check_form(chunk, self.robot, self.settings)
        checks.check_finite(chunk)
        self._check_time(chunk, proprioception, now_ns)
        order = [chunk.joint_names.index(name) for name in self.robot.arm_joints]
        count = chunk.execute_steps or len(chunk.positions_rad)
        steps = np.asarray(chunk.positions_rad, dtype=float)[:, order]
        here, speed = self._shadow.sample(now_ns * 1e-9)
        if np.max(np.abs(speed)) > 1e-3:
            raise ChunkRejected("BUSY", "the last chunk is still running")
        waypoints = np.concatenate([here[None], steps])
        checks.check_jumps(waypoints, self.settings)
        checks.check_positions(steps, self.robot)
        opening = None if chunk.gripper_m is None else np.asarray(chunk.gripper_m, float)[:count]
        checks.check_gripper(opening, self.robot)
        limits, share = self.robot.limits, self.settings.limit_share
        scale = self.settings.speed_scale * float(np.clip(speed_scale, 0.01, 1.0))
        timed = time_path(
            waypoints[: count + 1],
            chunk.step_period_s,
            self.settings.ramp_s,
            limits.velocity_rad_s * share * scale,
            limits.acceleration_rad_s2 * share * scale**2,
            limits.jerk_rad_s3 * share * scale**3,
        )
        if timed.stretch * scale > self.settings.max_stretch:
            raise ChunkRejected(
                "LIMIT_VIOLATION",
                f"would have to be slowed {timed.stretch:.1f} times, allowed "
                f"{self.settings.max_stretch}",
            )
        dense, _ = timed.sample(np.linspace(0, timed.duration_s, 60))
        checks.check_positions(dense, self.robot)
        checks.check_workspace(dense, self._kinematics)
        return timed, order, opening

    def _check_time(
        self, chunk: ActionChunk, proprioception: Proprioception | None, now_ns: int
    ) -> None:
        s = self.settings
        if proprioception is None or self._opening_m is None:
            raise ChunkRejected("NOT_READY", "no joint states yet")
        if not np.all(np.isfinite(proprioception.positions_rad)):
            raise ChunkRejected("OBSERVATION_INVALID", "joint states are not finite")
        state_age = (now_ns - proprioception.stamp_ns) * 1e-9
        if not -0.05 <= state_age <= s.max_state_age_s:
            raise ChunkRejected(
                "OBSERVATION_STALE", f"joint states are {state_age:.3f} s old, allowed {s.max_state_age_s}"
            )
        healthy_s = (
            0.0 if self._healthy_since_ns is None else (now_ns - self._healthy_since_ns) * 1e-9
        )
        if healthy_s < s.arming_s:
            raise ChunkRejected("NOT_READY", f"arming: healthy for {healthy_s:.2f} of {s.arming_s} s")
        allowed = s.max_observation_age_s if self.is_moving(now_ns) else s.max_observation_age_at_rest_s
        age = (now_ns - chunk.observation_ns) * 1e-9
        if not -0.05 <= age <= allowed:
            raise ChunkRejected(
                "OBSERVATION_STALE", f"observation is {age:.3f} s old, allowed 0..{allowed}"
            )
        if chunk.task_id == self._task and chunk.sequence <= self._last_sequence:
            raise ChunkRejected(
                "DISCONTINUITY",
                f"chunk {chunk.sequence} came after chunk {self._last_sequence} of the same task",
            )

    def _trajectory(self, timed: TimedPath) -> JointTrajectory:
        count = max(2, int(np.ceil(timed.duration_s / self.settings.sample_period_s)))
        times = np.linspace(0, timed.duration_s, count + 1)[1:]
        positions, velocities = timed.sample(times)
        velocities[-1] = 0.0
        return JointTrajectory(self.robot.arm_joints, times, positions, velocities)

    def _gripper(self, opening_m: np.ndarray, timed: TimedPath) -> JointTrajectory:
        """Follow the openings at the times of their steps, at no more than the gripper's speed."""
        gripper = self.robot.gripper
        due = timed.time_of_steps(np.arange(len(opening_m)))  # a change starts with its step
        times, openings = [], []
        now, here = 0.0, self._opening_m
        for at, target in zip(due, opening_m):
            if abs(target - here) < 1e-6:
                continue
            begin = max(now, at)
            if begin > now + 1e-6:
                times.append(begin)
                openings.append(here)
            now = max(begin, now) + abs(target - here) / gripper.speed_m_s
            here = target
            times.append(now)
            openings.append(here)
        if not times:
            times, openings = [max(0.05, timed.duration_s)], [here]
        self._opening_m = float(here)
        positions = np.array(openings)[:, None] / gripper.opening_per_joint_m
        return JointTrajectory((gripper.joint,), np.array(times), positions)

    def _reject(self, rejection: ChunkRejected, now_ns: int) -> GateDecision:
        self.counters["reject"] += 1
        self.counters[rejection.code] += 1
        if self.state != GateState.LATCHED:
            self.state = GateState.HOLDING
            self.cause, self.cause_message = rejection.code, str(rejection)
            if rejection.code == _LATCHING_CODE:
                self._bad_in_a_row += 1
                if self._bad_in_a_row >= self.settings.max_rejected_in_a_row:
                    self._latch(rejection.code, f"{self._bad_in_a_row} non-finite chunks in a row")
        return GateDecision(Outcome.REJECT, rejection.code, str(rejection))

    # -- stop and reset --------------------------------------------------------------------------

    def stop(self, now_ns: int) -> JointTrajectory | None:
        """Return a braking trajectory from the commanded state, or None when at rest already."""
        now_s = now_ns * 1e-9
        if self._opening_m is None:
            return None
        here, speed = self._shadow.sample(now_s)
        if np.max(np.abs(speed)) < 1e-6:
            return None
        deceleration = self.robot.limits.acceleration_rad_s2 * self.settings.limit_share
        duration = max(float(np.max(np.abs(speed) / deceleration)), self.settings.sample_period_s)
        times = np.linspace(0, duration, 8)[1:]
        remaining = 1 - times / duration
        travelled = duration / 2 * (1 - remaining**2)
        positions = here + speed * travelled[:, None]
        limits = self.robot.limits
        positions = np.clip(positions, limits.lower_rad, limits.upper_rad)
        brake = JointTrajectory(
            self.robot.arm_joints, times, positions, speed * remaining[:, None]
        )
        self._shadow.accept(brake, now_s)
        self._end_ns = now_ns + round(duration * 1e9)
        if self.state != GateState.LATCHED:
            self.state, self.cause, self.cause_message = GateState.HOLDING, "CANCELED", "stopped"
        return brake

    def reset(self) -> None:
        """Leave LATCHED or HOLDING; the next chunk is judged anew."""
        self.state, self.cause, self.cause_message = GateState.IDLE, "SUCCESS", ""
        self._bad_in_a_row = 0

    def _latch(self, code: str, message: str) -> None:
        self.state, self.cause, self.cause_message = GateState.LATCHED, code, message
        self.counters["latch"] += 1
