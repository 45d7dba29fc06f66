# SPDX-License-Identifier: Apache-2.0
"""The last hop: the only code that turns a proposal into a trajectory. NOT a safety-rated device.

A chunk is checked as a whole before anything moves. What is too fast is slowed along the same
path, what is wrong is rejected with a reason, and every trajectory ends at rest, so the arm stops
by itself when nobody sends another. The gate holds no clock: time is an argument.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mu0_core.control import chunk_checks as checks
from mu0_core.control.brake import brake
from mu0_core.control.chunk_checks import ChunkRejected
from mu0_core.control.commanded_motion import CommandedMotion
from mu0_core.control.decision import GateDecision, GateState, Outcome
from mu0_core.control.gate_settings import GateSettings
from mu0_core.control.joint_motion import JointMotion
from mu0_core.control.motion_planner import MotionPlanner, rate_limits
from mu0_core.control.path_timing import TimedPath
from mu0_core.control.readiness import Readiness
from mu0_core.geometry.box import Box
from mu0_core.robot.description import RobotDescription
from mu0_core.types import ActionChunk, JointTrajectory, Proprioception

Clock = Callable[[], int]  # ns, the same clock as that of the stamps
_LATCHING_CODE, _ALARM_CODE = "NON_FINITE_OUTPUT", "PROTECTIVE_STOP"
_AT_REST_RAD_S = 1e-3
_LIMITED_FROM = 1.02  # slower than this many times is reported as LIMIT


class SafetyGate:
    """Checks chunks for one arm and keeps the commanded state.

    Attributes:
        state: see `GateState`.
        commanded: where arm and gripper are meant to be.
        cause, cause_message: why it is HOLDING or LATCHED; a constant of ``msg/ErrorCode.msg``.
        counters: counts outcomes, latches and, for rejections, codes.
    """

    def __init__(
        self,
        robot: RobotDescription,
        settings: GateSettings | None = None,
        boxes: tuple[Box, ...] = (),
    ) -> None:
        self.robot = robot
        self.settings = settings or GateSettings()
        self.state = GateState.IDLE
        self.cause, self.cause_message = "SUCCESS", ""
        self.counters: Counter[str] = Counter()
        self.readiness = Readiness(self.settings)
        self._planner = MotionPlanner(robot, self.settings, boxes)
        self.commanded = CommandedMotion(robot)
        self._task, self._last_sequence = b"", -1
        self._bad_in_a_row = 0
        self._alarm = ""  # a protective stop that is still signalled

    # -- observations ----------------------------------------------------------------------------

    def observe(self, proprioception: Proprioception, now_ns: int) -> None:
        """Take joint states in: first hold position, arming and the tracking error."""
        measured = proprioception.positions_rad
        if not (np.all(np.isfinite(measured)) and np.isfinite(proprioception.gripper_m)):
            self.readiness.bad_states()
            return
        self.readiness.good_states(now_ns)
        if not self.commanded.known:
            self.commanded.begin(proprioception)
            return
        then_ns = _measured_ns(proprioception, now_ns)
        error = self.commanded.error_rad(measured, then_ns)
        if error <= self.settings.max_tracking_error_rad or self.state is GateState.LATCHED:
            return
        if self.commanded.arm_moves(then_ns):
            self._latch("TRACKING_ERROR", f"arm is {error:.3f} rad from its command")
        else:
            self.commanded.arm.set_initial(measured)  # at rest, somebody else moved the arm

    def see_points(self, points_m: np.ndarray, radius_m: float, stamp_ns: int) -> None:
        """Take the points (K, 3) of a camera, in the base frame, as obstacles of a radius.

        What lies on the arm itself is left out, going by its commanded posture.
        """
        body = self._planner.body
        if body is None or not self.commanded.known:
            return
        posture = self.commanded.state(stamp_ns)[0]
        body.see(body.without_arm(points_m, posture, 2 * radius_m), radius_m)
        self.readiness.points_seen(stamp_ns)

    def clearance_m(self, positions_rad: np.ndarray) -> float:
        """Return how near the arm stands to itself, the floor or an obstacle; NaN: not checked."""
        body = self._planner.body
        return float("nan") if body is None else body.at(positions_rad).distance_m

    def is_moving(self, now_ns: int) -> bool:
        """Say whether an accepted trajectory, of arm or gripper, is still running."""
        return self.commanded.remaining_s(now_ns) > 0

    def queue_s(self, now_ns: int) -> float:
        """Return the seconds of accepted motion left."""
        return self.commanded.remaining_s(now_ns)

    # -- chunks ----------------------------------------------------------------------------------

    def submit(
        self,
        chunk: ActionChunk,
        proprioception: Proprioception | None,
        now_ns: int,
        *,
        dry_run: bool = False,
        speed_scale: float = 1.0,
        clock: Clock | None = None,
    ) -> GateDecision:
        """Judge one chunk; a rejected one changes nothing of the motion under way.

        Args:
            chunk: the proposal.
            proprioception: newest joint states, or None if there never were any.
            now_ns: time on the clock of the observation stamps.
            dry_run: check this one but command nothing (the settings may say so for all).
            speed_scale: share of the limits for this chunk, in (0, 1], times that of the settings.
            clock: tells the time when the judgement is made; None = it took none.
        """
        try:
            timed, motion, opening, clearance_m = self._judge(
                chunk, proprioception, now_ns, speed_scale, clock
            )
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
        answer = GateDecision(
            outcome,
            "SUCCESS",
            message,
            stretch=timed.stretch,
            duration_s=timed.duration_s,
            clearance_m=clearance_m,
        )
        if self.settings.dry_run or dry_run:
            return replace(answer, message=f"dry run {message}".strip())
        arm = motion.trajectory(self.robot.arm_joints)
        self.commanded.accept_arm(arm, now_ns)
        gripper = None
        if opening is not None:
            gripper = self.commanded.accept_gripper(opening, timed, now_ns)
        return replace(answer, arm=arm, gripper=gripper)

    def _judge(
        self,
        chunk: ActionChunk,
        proprioception: Proprioception | None,
        now_ns: int,
        speed_scale: float,
        clock: Clock | None,
    ) -> tuple[TimedPath, JointMotion, np.ndarray | None, float]:
        if self.state is GateState.LATCHED:
            raise ChunkRejected(self.cause, f"latched: {self.cause_message}; call reset first")
        checks.check_form(chunk, self.robot, self.settings)
        checks.check_finite(chunk)
        if not 0 < speed_scale <= 1:
            raise ChunkRejected("INVALID_REQUEST", f"speed scale {speed_scale} is outside (0, 1]")
        self._check_ready(proprioception, now_ns)
        here, speed = self.commanded.state(now_ns)
        moving = bool(np.max(np.abs(speed)) > _AT_REST_RAD_S)
        allowed_s = checks.allowed_age_s(speed, self.robot, self.settings)
        checks.check_ages(chunk, proprioception.stamp_ns, now_ns, allowed_s, self.settings)
        checks.check_order(chunk, self._task, self._last_sequence)
        order = [chunk.joint_names.index(name) for name in self.robot.arm_joints]
        steps = np.asarray(chunk.positions_rad, dtype=float)[:, order]
        first = checks.steps_gone_by(chunk, now_ns) if moving else 0
        last = chunk.execute_steps or len(steps)
        checks.check_jumps(np.concatenate([here[None], steps[first:]]), self.settings)
        checks.check_positions(steps, self.robot)
        opening = chunk.gripper_m
        if opening is not None:
            opening = np.asarray(opening, dtype=float)[first:last]
        checks.check_gripper(opening, self.robot)
        waypoints = np.concatenate([here[None], steps[first:last]])
        starts = self.commanded.starts(now_ns, self.settings.jitter_s)
        timed, motion, clearance_m = self._planner.plan(
            waypoints, chunk.step_period_s, speed_scale, starts
        )
        if clock is not None and starts:
            checks.check_prompt((clock() - now_ns) * 1e-9, self.settings)
        return timed, motion, opening, clearance_m

    def _check_ready(self, proprioception: Proprioception | None, now_ns: int) -> None:
        known = proprioception is not None and self.commanded.known
        self.readiness.check(proprioception.positions_rad if known else None, now_ns)
        then_ns = _measured_ns(proprioception, now_ns)
        error_rad = self.commanded.error_rad(proprioception.positions_rad, then_ns)
        checks.check_tracking(error_rad, self.settings)

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
        self,
        now_ns: int,
        code: str = "CANCELED",
        message: str = "stopped",
        clock: Clock | None = None,
    ) -> JointTrajectory | None:
        """Return a braking trajectory; None when at rest, or when the one under way ends as soon.

        Args:
            now_ns: time.
            code: the cause to show while HOLDING, which the next good chunk ends.
            message: the cause in words.
            clock: tells the time when it is planned; planned too late, it is planned anew.
        """
        if not self.is_moving(now_ns):
            return None
        if self.state is not GateState.LATCHED:
            self.state, self.cause, self.cause_message = GateState.HOLDING, code, message
        limits, jitter_s = rate_limits(self.robot), self.settings.jitter_s
        while True:
            trajectory = brake(
                self.commanded.arm, now_ns * 1e-9, limits, jitter_s, self._planner.is_allowed
            )
            then_ns = now_ns if clock is None else clock()
            if trajectory is None or (then_ns - now_ns) * 1e-9 <= jitter_s:
                break
            now_ns = then_ns
        if trajectory is not None:
            self.commanded.accept_arm(trajectory, now_ns)
        return trajectory

    def alarm(self, message: str) -> None:
        """Latch as long as a protective stop is signalled, and until `reset` after that."""
        self._alarm = message
        if message and self.cause != _ALARM_CODE:
            self._latch(_ALARM_CODE, message)

    def reset(self) -> bool:
        """Leave LATCHED or HOLDING; the next chunk is judged anew, whatever its sequence.

        Returns False, and changes nothing, while a protective stop is still signalled.
        """
        if self._alarm:
            return False
        self.state, self.cause, self.cause_message = GateState.IDLE, "SUCCESS", ""
        self._task, self._last_sequence = b"", -1
        self._bad_in_a_row = 0
        return True

    def restart_clock(self) -> None:
        """Forget all times after the data clock jumped; the next joint states are the new start.

        A latch stays, and so do the counters.
        """
        self.commanded.forget()
        self.readiness.restart_clock()
        if self.state is not GateState.LATCHED:
            self.state, self.cause = GateState.HOLDING, "CLOCK_JUMP"
            self.cause_message = "the data clock jumped"

    def _latch(self, code: str, message: str) -> None:
        self.state, self.cause, self.cause_message = GateState.LATCHED, code, message
        self.counters["latch"] += 1


def _measured_ns(proprioception: Proprioception, now_ns: int) -> int:
    """Return when the arm stood there: joint states of an arm in motion come late."""
    return min(proprioception.stamp_ns, now_ns)
