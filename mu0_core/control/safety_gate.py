# SPDX-License-Identifier: Apache-2.0
"""The last hop: the only code that turns a proposal into a trajectory. NOT a safety-rated device.

A chunk is checked as a whole before anything moves. What is too fast is slowed along the same
path, what is wrong is rejected with a reason, and every trajectory ends at rest, so the arm stops
by itself when nobody sends another. The gate holds no clock: time is an argument.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from mu0_core.control import chunk_checks as checks
from mu0_core.control.brake import brake
from mu0_core.control.chunk_checks import ChunkRejected
from mu0_core.control.decision import GateDecision, GateState, Outcome
from mu0_core.control.gate_settings import GateSettings
from mu0_core.control.gripper_timing import time_gripper
from mu0_core.control.joint_motion import JointMotion
from mu0_core.control.joint_trajectory_controller import JointTrajectoryController
from mu0_core.control.motion_planner import MotionPlanner, rate_limits
from mu0_core.control.path_timing import TimedPath
from mu0_core.robot.description import RobotDescription
from mu0_core.types import ActionChunk, JointTrajectory, Proprioception

_LATCHING_CODE = "NON_FINITE_OUTPUT"
_AT_REST_RAD_S = 1e-3
_LIMITED_FROM = 1.02  # slower than this many times is reported as LIMIT


class SafetyGate:
    """Checks chunks for one arm and keeps the commanded state.

    Attributes:
        state: see `GateState`.
        cause, cause_message: why it is HOLDING or LATCHED; a constant of ``msg/ErrorCode.msg``.
        counters: counts outcomes, latches and, for rejections, codes.
    """

    def __init__(self, robot: RobotDescription, settings: GateSettings | None = None) -> None:
        self.robot = robot
        self.settings = settings or GateSettings()
        self.state = GateState.IDLE
        self.cause, self.cause_message = "SUCCESS", ""
        self.counters: Counter[str] = Counter()
        self._planner = MotionPlanner(robot, self.settings)
        self._shadow = JointTrajectoryController(robot.arm_joints)
        self._fingers = JointTrajectoryController((robot.gripper.joint,))
        self._started = False  # joint states were seen: there is a commanded state
        self._task, self._last_sequence = b"", -1
        self._bad_in_a_row = 0
        self._healthy_since_ns: int | None = None
        self._end_ns = 0

    # -- observations ----------------------------------------------------------------------------

    def observe(self, proprioception: Proprioception, now_ns: int) -> None:
        """Take joint states in: first hold position, arming and the tracking error."""
        measured = proprioception.positions_rad
        if not (np.all(np.isfinite(measured)) and np.isfinite(proprioception.gripper_m)):
            self._healthy_since_ns = None
            return
        if self._healthy_since_ns is None:
            self._healthy_since_ns = now_ns
        if not self._started:
            self._shadow.set_initial(measured)
            per_joint_m = self.robot.gripper.opening_per_joint_m
            self._fingers.set_initial(np.array([proprioception.gripper_m / per_joint_m]))
            self._started = True
            return
        error = self._tracking_error(measured, now_ns)
        if error <= self.settings.max_tracking_error_rad:
            return
        if self.state is GateState.LATCHED:
            return
        if self._shadow.remaining_s(now_ns * 1e-9) > 0:
            self._latch("TRACKING_ERROR", f"arm is {error:.3f} rad from its command")
        else:
            self._shadow.set_initial(measured)  # at rest, somebody else moved the arm

    def lose_observations(self) -> None:
        """Note that joint states stopped coming or made no sense: arming starts anew."""
        self._healthy_since_ns = None

    def _tracking_error(self, measured: np.ndarray, now_ns: int) -> float:
        return float(np.max(np.abs(self._shadow.sample(now_ns * 1e-9)[0] - measured)))

    def is_moving(self, now_ns: int) -> bool:
        """Say whether an accepted trajectory, of arm or gripper, is still running."""
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
        """Judge one chunk; a rejected one changes nothing of the motion under way.

        Args:
            chunk: the proposal.
            proprioception: newest joint states, or None if there never were any.
            now_ns: time on the clock of the observation stamps.
            dry_run: check this one but command nothing (the settings may say so for all).
            speed_scale: share of the limits for this chunk, in (0, 1], times that of the settings.
        """
        try:
            timed, motion, opening = self._judge(chunk, proprioception, now_ns, speed_scale)
        except ChunkRejected as rejection:
            return self.refuse(rejection.code, str(rejection))
        self._bad_in_a_row = 0
        self._task, self._last_sequence = chunk.task_id, chunk.sequence
        limited = timed.stretch > _LIMITED_FROM
        outcome = Outcome.LIMIT if limited else Outcome.ACCEPT
        self.counters[outcome.value] += 1
        self.state = GateState.LIMITING if limited else GateState.PASSING
        self.cause, self.cause_message = "SUCCESS", ""
        message = f"slowed {timed.stretch:.2f} times" if limited else ""
        if self.settings.dry_run or dry_run:
            message = f"dry run {message}".strip()
            return GateDecision(
                outcome, "SUCCESS", message, None, None, timed.stretch, timed.duration_s
            )
        arm = motion.trajectory(self.robot.arm_joints)
        self._shadow.accept(arm, now_ns * 1e-9)
        self._end_ns = now_ns + round(timed.duration_s * 1e9)
        gripper = None if opening is None else self._command_gripper(opening, timed, now_ns)
        return GateDecision(
            outcome, "SUCCESS", message, arm, gripper, timed.stretch, timed.duration_s
        )

    def _command_gripper(
        self, opening_m: np.ndarray, timed: TimedPath, now_ns: int
    ) -> JointTrajectory:
        hand, now_s = self.robot.gripper, now_ns * 1e-9
        here_m = float(self._fingers.sample(now_s)[0][0]) * hand.opening_per_joint_m
        trajectory = time_gripper(opening_m, here_m, timed, hand)
        self._fingers.accept(trajectory, now_s)
        self._end_ns = max(self._end_ns, now_ns + round(float(trajectory.times_s[-1]) * 1e9))
        return trajectory

    def _judge(
        self,
        chunk: ActionChunk,
        proprioception: Proprioception | None,
        now_ns: int,
        speed_scale: float,
    ) -> tuple[TimedPath, JointMotion, np.ndarray | None]:
        if self.state is GateState.LATCHED:
            raise ChunkRejected(self.cause, f"latched: {self.cause_message}; call reset first")
        checks.check_form(chunk, self.robot, self.settings)
        checks.check_finite(chunk)
        if not 0 < speed_scale <= 1:
            raise ChunkRejected("INVALID_REQUEST", f"speed scale {speed_scale} is outside (0, 1]")
        self._check_ready(proprioception, now_ns)
        here, speed = self._shadow.sample(now_ns * 1e-9)
        moving = bool(np.max(np.abs(speed)) > _AT_REST_RAD_S)
        self._check_time(chunk, proprioception, now_ns, speed)
        order = [chunk.joint_names.index(name) for name in self.robot.arm_joints]
        steps = np.asarray(chunk.positions_rad, dtype=float)[:, order]
        first = self._steps_gone_by(chunk, now_ns) if moving else 0
        last = chunk.execute_steps or len(steps)
        checks.check_jumps(np.concatenate([here[None], steps[first:]]), self.settings)
        checks.check_positions(steps, self.robot)
        opening = chunk.gripper_m
        if opening is not None:
            opening = np.asarray(opening, dtype=float)[first:last]
        checks.check_gripper(opening, self.robot)
        waypoints = np.concatenate([here[None], steps[first:last]])
        starts = ()
        if moving:
            jitter_s = self.settings.jitter_s
            around = self._shadow.ahead(now_ns * 1e-9, np.array([0.0, -jitter_s, jitter_s]))
            starts = tuple(zip(*around[:2]))
        timed, motion = self._planner.plan(waypoints, chunk.step_period_s, speed_scale, starts)
        return timed, motion, opening

    def _check_ready(self, proprioception: Proprioception | None, now_ns: int) -> None:
        if proprioception is None or not self._started:
            raise ChunkRejected("NOT_READY", "no joint states yet")
        if not np.all(np.isfinite(proprioception.positions_rad)):
            raise ChunkRejected("OBSERVATION_INVALID", "joint states are not finite")
        since_ns = now_ns if self._healthy_since_ns is None else self._healthy_since_ns
        healthy_s, arming_s = (now_ns - since_ns) * 1e-9, self.settings.arming_s
        if healthy_s < arming_s:
            raise ChunkRejected(
                "NOT_READY", f"arming: healthy for {healthy_s:.2f} of {arming_s} s"
            )
        error = self._tracking_error(proprioception.positions_rad, now_ns)
        if error > self.settings.max_tracking_error_rad:
            raise ChunkRejected(
                "TRACKING_ERROR",
                f"arm is {error:.3f} rad from the commanded state, allowed "
                f"{self.settings.max_tracking_error_rad}",
            )

    def _check_time(
        self, chunk: ActionChunk, proprioception: Proprioception, now_ns: int, speed: np.ndarray
    ) -> None:
        s = self.settings
        share = min(1.0, float(np.max(np.abs(speed) / self.robot.limits.velocity_rad_s)))
        at_rest_s = max(s.max_observation_age_at_rest_s, s.max_observation_age_s)
        allowed_s = at_rest_s + share * (s.max_observation_age_s - at_rest_s)
        checks.check_ages(chunk, proprioception.stamp_ns, now_ns, allowed_s, s)
        if chunk.task_id == self._task and chunk.sequence <= self._last_sequence:
            raise ChunkRejected(
                "DISCONTINUITY",
                f"chunk {chunk.sequence} came after chunk {self._last_sequence} of the same task",
            )

    def _steps_gone_by(self, chunk: ActionChunk, now_ns: int) -> int:
        """Return how many leading steps were meant for a time that is over."""
        late_s = (now_ns - chunk.start_ns) * 1e-9
        gone = max(0, int(np.floor(late_s / chunk.step_period_s)))
        last = chunk.execute_steps or len(chunk.positions_rad)
        if gone >= last:
            raise ChunkRejected("OBSERVATION_STALE", f"all {last} steps were meant for the past")
        return gone

    def refuse(self, code: str, message: str) -> GateDecision:
        """Count a chunk that may not run, for a reason found here or while it was decoded."""
        self.counters[Outcome.REJECT.value] += 1
        self.counters[code] += 1
        if self.state is not GateState.LATCHED:
            self.state, self.cause, self.cause_message = GateState.HOLDING, code, message
            self._bad_in_a_row = self._bad_in_a_row + 1 if code == _LATCHING_CODE else 0
            if self._bad_in_a_row >= self.settings.max_non_finite_in_a_row:
                self._latch(code, f"{self._bad_in_a_row} non-finite chunks in a row")
        return GateDecision(Outcome.REJECT, code, message)

    # -- stop and reset --------------------------------------------------------------------------

    def stop(
        self, now_ns: int, code: str = "CANCELED", message: str = "stopped"
    ) -> JointTrajectory | None:
        """Return a braking trajectory; None when at rest, or when the one under way ends as soon.

        Args:
            now_ns: time.
            code: the cause to show while HOLDING, which the next good chunk ends.
            message: the cause in words.
        """
        if not self.is_moving(now_ns):
            return None
        if self.state is not GateState.LATCHED:
            self.state, self.cause, self.cause_message = GateState.HOLDING, code, message
        trajectory = brake(
            self._shadow,
            now_ns * 1e-9,
            rate_limits(self.robot),
            self.settings.jitter_s,
            self._planner.is_allowed,
        )
        if trajectory is not None:
            self._shadow.accept(trajectory, now_ns * 1e-9)
            self._end_ns = now_ns + round(float(trajectory.times_s[-1]) * 1e9)
        return trajectory

    def reset(self) -> None:
        """Leave LATCHED or HOLDING; the next chunk is judged anew, whatever its sequence."""
        self.state, self.cause, self.cause_message = GateState.IDLE, "SUCCESS", ""
        self._task, self._last_sequence = b"", -1
        self._bad_in_a_row = 0

    def restart_clock(self) -> None:
        """Forget all times after the data clock jumped; the next joint states are the new start.

        A latch stays, and so do the counters.
        """
        self._started, self._healthy_since_ns, self._end_ns = False, None, 0
        if self.state is not GateState.LATCHED:
            self.state, self.cause = GateState.HOLDING, "CLOCK_JUMP"
            self.cause_message = "the data clock jumped"

    def _latch(self, code: str, message: str) -> None:
        self.state, self.cause, self.cause_message = GateState.LATCHED, code, message
        self.counters["latch"] += 1
