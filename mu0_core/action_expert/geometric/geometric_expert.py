# SPDX-License-Identifier: Apache-2.0
"""The geometric action expert: an `ActionExpert` without a network, for any arm.

Forecast and robot state in, a timed joint chunk out: bodies from the traces (`traced_bodies`),
what to do with them (`strokes`), when (`timed_path`), and inverse kinematics. It gives up with a
reason where the traces do not carry a motion.
"""

from __future__ import annotations

from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True)
class GeometricSettings:
    """How the geometric expert works.

    Attributes:
        strokes: sizes of the work; limits: of the tip.
        finger_s: time that the fingers are given.
        held_m: fingers that stand this much above closed, and as much below open, hold something.
        hand_m: points so near to the arm, above the tip, are the arm's.
        reach_m: points so near to the tip are in the fingers when they hold something.
        max_steps: of a chunk.
    """

    strokes: StrokeSettings = field(default_factory=StrokeSettings)
    limits: TipLimits = field(default_factory=TipLimits)
    finger_s: float = 0.5
    held_m: float = 0.008
    hand_m: float = 0.15
    reach_m: float = 0.045
    max_steps: int = 120


class GeometricExpert:
    """Proposes chunks from geometry alone; deterministic, the seed changes nothing.

    Args:
        robot: the arm to command.
        settings: how.
    """

    model_id = MODEL_ID

    def __init__(self, robot: RobotDescription, settings: GeometricSettings | None = None) -> None:
        self.robot, self.settings = robot, settings or GeometricSettings()
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
        poses, opening = self._timed(legs, scene.T_base_tip, proprioception.gripper_m)
        joints = self._joints(poses, proprioception.positions_rad)
        return ActionChunk(
            joint_names=self.robot.arm_joints,
            positions_rad=joints,
            gripper_m=opening[: len(joints)],
            step_period_s=self.settings.limits.period_s,
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
        T_base_tip = frames[self.robot.tip_frame]
        chain = np.stack([frame[:3, 3] for frame in frames.values()])
        gripper, opening = self.robot.gripper, proprioception.gripper_m
        margin = self.settings.held_m
        wide = opening > gripper.open_m - margin
        holding = gripper.closed_m + margin < opening < gripper.open_m - margin
        arm, held, others = [], [], []
        for body in traced_bodies(forecast, T_base_camera):
            if holding and self._in_fingers(body, T_base_tip):
                held.append(body)
            elif self._is_arm(body, T_base_tip, chain):
                arm.append(body)
            else:
                others.append(body)
        return Scene(
            T_base_tip,
            holding,
            wide,
            others,
            _nearest(held, T_base_tip),
            None if not arm else np.median([b.way_m for b in arm], axis=0),
            self.robot.floor_m,
        )

    def _in_fingers(self, body: TracedBody, T_base_tip: np.ndarray) -> bool:
        centre = se3.apply(se3.inverse(T_base_tip), body.now_m).mean(axis=0)
        return bool(np.linalg.norm(centre) < self.settings.reach_m and centre[2] > -0.02)

    def _is_arm(self, body: TracedBody, T_base_tip: np.ndarray, chain: np.ndarray) -> bool:
        """Say whether most points are above the tip (against its z) and near the chain."""
        points = body.now_m
        above = se3.apply(se3.inverse(T_base_tip), points)[:, 2] < 0.0
        near = np.min([_from_segment(points, *ab) for ab in pairwise(chain)], axis=0)
        return bool((above & (near < self.settings.hand_m)).mean() > 0.5)

    def _timed(
        self, legs: list[Leg], T_base_tip: np.ndarray, opening_m: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return tip poses (T, 4, 4) and openings (T,) of all legs, each from rest to rest."""
        gripper, limits = self.robot.gripper, self.settings.limits
        half = (gripper.open_m + gripper.closed_m) / 2
        wanted = gripper.open_m if opening_m > half + self.settings.held_m else gripper.closed_m
        poses, opening, tip = [], [], T_base_tip
        for leg in legs:
            way = time_poses(np.concatenate([tip[None], leg.poses]), limits)
            poses.append(way)
            opening.append(np.full(len(way), wanted))
            tip = leg.poses[-1]
            if leg.opens is not None:
                wanted = gripper.open_m if leg.opens else gripper.closed_m
                wait = max(1, round(self.settings.finger_s / limits.period_s))
                poses.append(np.repeat(tip[None], wait, axis=0))
                opening.append(np.full(wait, wanted))
        missing = max(0, _FEWEST_STEPS - sum(map(len, poses)))
        poses.append(np.repeat(tip[None], missing, axis=0))
        opening.append(np.full(missing, wanted))
        limit = self.settings.max_steps
        return np.concatenate(poses)[:limit], np.concatenate(opening)[:limit]

    def _joints(self, poses: np.ndarray, seed_rad: np.ndarray) -> np.ndarray:
        low, high = self.robot.workspace_min_m, self.robot.workspace_max_m
        joints: list[np.ndarray] = []
        for pose in poses:
            pose = pose.copy()
            pose[:3, 3] = np.clip(pose[:3, 3], low + 0.005, high - 0.005)
            try:
                seed_rad = self._kinematics.inverse(pose, seed_rad)
            except KinematicsError:
                if len(joints) < _FEWEST_STEPS:
                    raise
                break
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
