# SPDX-License-Identifier: Apache-2.0
"""The geometric action expert: an `ActionExpert` without a network, for any arm.

Forecast and robot state in, a timed joint chunk out: bodies from the traces (`traced_bodies`),
what to do with them (`strokes`), when (`timed_path`), and inverse kinematics. It gives up with a
reason where the traces do not carry a motion.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from mu0_core.action_expert.geometric.strokes import Leg, Scene, StrokeSettings, plan_stroke
from mu0_core.action_expert.geometric.timed_path import TipLimits, time_poses
from mu0_core.action_expert.geometric.traced_bodies import TracedBody, traced_bodies
from mu0_core.errors import KinematicsError
from mu0_core.geometry import se3
from mu0_core.robot.description import RobotDescription
from mu0_core.robot.kinematics import Kinematics
from mu0_core.types import ActionChunk, Proprioception, TraceForecast

MODEL_ID = "geometric"
_FEWEST_STEPS = 4
_LARGEST_STEP_RAD = 0.24  # the gate refuses chunks that jump by 0.25
_SMOOTH_STEP_RAD = 0.12  # more of it is a turn of the hand that nobody asked for


@dataclass(frozen=True, slots=True)
class GeometricSettings:
    """How the geometric expert works.

    Attributes:
        strokes: sizes of the work; limits: of the tip.
        finger_s: time that the fingers are given.
        held_m: fingers that stand this much above closed, and as much below open, hold something.
        hand_m: points so near to the arm, above the tip, are the arm's.
        link_m: points so near to links farther than hand_m from the tip are the arm's.
        reach_m: points so near to the tip are in the fingers when they hold something.
        joint_speed: share of the joints' velocity limits that a chunk asks for at most. At the
            limits a servo's lag alone is near what the gate takes for a lost arm.
        max_steps: of a chunk.
    """

    strokes: StrokeSettings = field(default_factory=StrokeSettings)
    limits: TipLimits = field(default_factory=TipLimits)
    finger_s: float = 0.5
    held_m: float = 0.008
    hand_m: float = 0.15
    link_m: float = 0.1
    reach_m: float = 0.045
    joint_speed: float = 0.7
    max_steps: int = 120

    def scaled(self, size: float) -> GeometricSettings:
        """Return the settings for an arm whose work is of another size."""
        limits = self.limits
        return replace(
            self,
            strokes=self.strokes.scaled(size),
            limits=replace(
                limits,
                speed_m_s=size * limits.speed_m_s,
                acceleration_m_s2=size * limits.acceleration_m_s2,
            ),
            held_m=size * self.held_m,
            hand_m=size * self.hand_m,
            link_m=size * self.link_m,
            reach_m=size * self.reach_m,
        )


class GeometricExpert:
    """Proposes chunks from geometry alone; deterministic, the seed changes nothing.

    Args:
        robot: the arm to command.
        settings: how, for work of the size that the FR3 does; scaled to the arm's.
    """

    model_id = MODEL_ID

    def __init__(self, robot: RobotDescription, settings: GeometricSettings | None = None) -> None:
        self.robot = robot
        self.settings = (settings or GeometricSettings()).scaled(robot.work_scale)
        self._kinematics = Kinematics(robot)

    def propose(
        self,
        forecast: TraceForecast,
        proprioception: Proprioception,
        T_base_camera: np.ndarray,
        *,
        start_ns: int,
        sequence: int = 0,
        seed: int = 0,
    ) -> ActionChunk:
        """Return a chunk of joint positions that starts at ``start_ns``, all of it to be executed.

        Raises:
            UnclearTraceError: the traces do not say what to do.
            KinematicsError: the first steps are out of reach. Later ones are cut off.
        """
        scene = self.look(forecast, proprioception, T_base_camera)
        legs = plan_stroke(scene, self.settings.strokes)
        tip = self._kinematics.tip(proprioception.positions_rad)
        poses, opening = self._timed(legs, tip, proprioception.gripper_m)
        joints = self._joints(poses, proprioception.positions_rad)
        return ActionChunk(
            joint_names=self.robot.arm_joints,
            positions_rad=joints,
            gripper_m=opening[: len(joints)],
            step_period_s=self._period_s(joints, proprioception.positions_rad),
            observation_ns=min(forecast.stamp_ns, proprioception.stamp_ns),
            start_ns=start_ns,
            sequence=sequence,
            trace_sequence=forecast.sequence,
            execute_steps=len(joints),
            model_id=self.model_id,
        )

    def look(
        self, forecast: TraceForecast, proprioception: Proprioception, T_base_camera: np.ndarray
    ) -> Scene:
        """Return what a forecast shows: which bodies are the arm, held, or neither."""
        frames = self._kinematics.link_frames(proprioception.positions_rad)
        T_base_tip = self._middle(proprioception)
        chain = np.stack([frame[:3, 3] for frame in frames.values()])
        gripper, opening = self.robot.gripper, proprioception.gripper_m
        margin = self.settings.held_m
        wide = opening > gripper.open_m - margin
        holding = gripper.closed_m + margin < opening < gripper.open_m - margin
        arm, held, others = [], [], []
        for body in traced_bodies(forecast, T_base_camera):
            if holding and self._in_fingers(body, T_base_tip):
                held.append(body)
            elif self._is_hand(body, T_base_tip, chain):
                arm.append(body)
            elif not self._is_link(body, chain):
                others.append(body)
        return Scene(
            self._upright(T_base_tip),
            holding,
            wide,
            others,
            _nearest(held, T_base_tip),
            None if not arm else np.median([b.way_m for b in arm], axis=0),
            self.robot.floor_m,
        )

    def _middle(self, proprioception: Proprioception) -> np.ndarray:
        """Return the pose (4, 4) of the middle between the fingers, oriented as the tip."""
        tip = self._kinematics.tip(proprioception.positions_rad)
        return tip @ self._T_tip_middle(proprioception.gripper_m)

    def _T_tip_middle(self, opening_m: float) -> np.ndarray:
        T = np.eye(4)
        T[1, 3] = self.robot.gripper.centre_m(opening_m)
        return T

    def _upright(self, T_base_tip: np.ndarray) -> np.ndarray:
        """Return the pose that a stroke should have.

        It is the tip's, but turned as at home for an arm that cannot keep an orientation: so it
        comes back to it where it can.
        """
        if self.robot.rotation_slack_rad == 0:
            return T_base_tip
        pose = T_base_tip.copy()
        pose[:3, :3] = self._kinematics.tip(self.robot.home_rad)[:3, :3]
        return pose

    def _in_fingers(self, body: TracedBody, T_base_tip: np.ndarray) -> bool:
        centre = se3.apply(se3.inverse(T_base_tip), body.now_m).mean(axis=0)
        return bool(np.linalg.norm(centre) < self.settings.reach_m and centre[2] > -0.02)

    def _is_hand(self, body: TracedBody, T_base_tip: np.ndarray, chain: np.ndarray) -> bool:
        """Say whether most points are above the fingers' ends (against z) and near the chain."""
        points = body.now_m
        ends = self.robot.gripper.beyond_tip_m
        above = se3.apply(se3.inverse(T_base_tip), points)[:, 2] <= ends
        near = np.min([_from_segment(points, *ab) for ab in pairwise(chain)], axis=0)
        return bool((above & (near < self.settings.hand_m)).mean() > 0.5)

    def _is_link(self, body: TracedBody, chain: np.ndarray) -> bool:
        """Say whether most points are at a link that is far from the tip, on whatever height."""
        away = np.linalg.norm(chain - chain[-1], axis=1) > self.settings.hand_m
        far = [ab for ab, *ends in zip(pairwise(chain), away, away[1:]) if all(ends)]
        if not far:
            return False
        near = np.min([_from_segment(body.now_m, *ab) for ab in far], axis=0)
        return bool((near < self.settings.link_m).mean() > 0.5)

    def _timed(
        self, legs: list[Leg], T_base_tip: np.ndarray, opening_m: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return tip poses (T, 4, 4) and openings (T,) of all legs, each from rest to rest.

        Legs say where the middle between the fingers goes; with a fixed finger the tip is led
        beside it, by what the fingers will be apart.
        """
        gripper, limits = self.robot.gripper, self.settings.limits
        half = (gripper.open_m + gripper.closed_m) / 2
        wanted = gripper.open_m if opening_m > half + self.settings.held_m else gripper.closed_m
        poses, opening, tip = [], [], T_base_tip
        T_middle_tip = se3.inverse(self._T_tip_middle(opening_m))
        for leg in legs:
            way = time_poses(np.concatenate([tip[None], leg.poses @ T_middle_tip]), limits)
            poses.append(way)
            opening.append(np.full(len(way), wanted))
            tip = way[-1]
            if leg.opens is not None:
                wanted = gripper.open_m if leg.opens else gripper.closed_m
                if not leg.on_thing:
                    T_middle_tip = se3.inverse(self._T_tip_middle(wanted))
                wait = max(1, round(self.settings.finger_s / limits.period_s))
                poses.append(np.repeat(tip[None], wait, axis=0))
                opening.append(np.full(wait, wanted))
        missing = max(0, _FEWEST_STEPS - sum(map(len, poses)))
        poses.append(np.repeat(tip[None], missing, axis=0))
        opening.append(np.full(missing, wanted))
        limit = self.settings.max_steps
        return np.concatenate(poses)[:limit], np.concatenate(opening)[:limit]

    def _period_s(self, joints: np.ndarray, start_rad: np.ndarray) -> float:
        """Return the time between steps, longer than planned where a joint would be too fast."""
        fastest = np.abs(np.diff(joints, axis=0, prepend=start_rad[None])).max(axis=0)
        least = fastest / (self.settings.joint_speed * self.robot.limits.velocity_rad_s)
        return max(self.settings.limits.period_s, float(least.max()))

    def _solve(self, pose: np.ndarray, seed_rad: np.ndarray) -> np.ndarray:
        """Return joints (A,) near the last ones.

        An arm that cannot keep an orientation keeps the one that it has rather than jump.
        """
        joints = self._kinematics.inverse(pose, seed_rad)
        jump = float(np.abs(joints - seed_rad).max())
        if jump > _SMOOTH_STEP_RAD and self.robot.rotation_slack_rad > 0:
            same = pose.copy()
            same[:3, :3] = self._kinematics.tip(seed_rad)[:3, :3]
            joints = self._kinematics.inverse(same, seed_rad)
            jump = float(np.abs(joints - seed_rad).max())
        if jump > _LARGEST_STEP_RAD:
            raise KinematicsError(f"the way leads through another posture: {jump:.2f} rad aside")
        return joints

    def _joints(self, poses: np.ndarray, seed_rad: np.ndarray) -> np.ndarray:
        low, high = self.robot.workspace_min_m, self.robot.workspace_max_m
        joints: list[np.ndarray] = []
        for pose in poses:
            pose = pose.copy()
            pose[:3, 3] = np.clip(pose[:3, 3], low + 0.005, high - 0.005)
            try:
                solved = self._solve(pose, seed_rad)
            except KinematicsError:
                if len(joints) < _FEWEST_STEPS:
                    raise
                break
            seed_rad = solved
            joints.append(seed_rad)
        return np.array(joints)


def _nearest(bodies: list[TracedBody], T_base_tip: np.ndarray) -> TracedBody | None:
    tip = T_base_tip[:3, 3]
    return min(bodies, key=lambda b: np.linalg.norm(b.now_m.mean(axis=0) - tip), default=None)


def _from_segment(points: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the distance (N,) of points from the segment a..b."""
    way = b - a
    share = np.clip((points - a) @ way / max(way @ way, 1e-12), 0, 1)
    return np.linalg.norm(points - a - share[:, None] * way, axis=1)
