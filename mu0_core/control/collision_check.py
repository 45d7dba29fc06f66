# SPDX-License-Identifier: Apache-2.0
"""Whether a motion keeps clear of the arm itself, the floor and what stands around it.

Every capsule is followed along the whole motion. Between two moments no distance can shrink by
more than the joints turn times how far they reach; where that leaves a doubt, a moment in between
is looked at. So nothing slips through between samples, and a motion far from everything costs a
dozen postures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mu0_core.control.joint_motion import JointMotion
from mu0_core.geometry.box import Box
from mu0_core.robot.capsule_model import CapsuleModel
from mu0_core.robot.capsules import box_distance, point_distance, segment_distance
from mu0_core.robot.kinematics import Kinematics

FLOOR = "the floor"
_FIRST_LOOK_S = 0.08
_FAR_M = 0.1  # points of the scene beyond that are as good as none
_REFINEMENTS = 5


@dataclass(frozen=True, slots=True)
class Clearance:
    """How near a motion or a posture comes to anything.

    Attributes:
        distance_m: for a motion, what it provably keeps; NaN when nothing is checked.
        pair: names of the two that are nearest; the second may be an obstacle.
        least_m: that this pair must keep.
    """

    distance_m: float
    pair: tuple[str, str]
    least_m: float = 0.0

    @property
    def too_near(self) -> bool:
        """Say whether the pair comes nearer than it may."""
        return self.distance_m < self.least_m


class CollisionChecker:
    """Watches the capsules of one arm.

    What is watched stands in columns: pairs of capsules, capsules against the floor, against
    boxes, against points. Each column has a name, a least distance, and for every joint how far
    that joint can carry one of the two past the other.

    Args:
        kinematics: of the arm.
        model: its capsules.
        boxes: obstacles besides those of the model.
    """

    def __init__(
        self, kinematics: Kinematics, model: CapsuleModel, boxes: tuple[Box, ...] = ()
    ) -> None:
        self._kinematics, self._model = kinematics, model
        robot = kinematics.robot
        self._floor_m = robot.floor_m
        self._reach = _reach(kinematics, model)
        self._joints_before = _joints_before(kinematics)
        moved = np.array([self._joints_before[link] > 0 for link in model.links], dtype=bool)
        self._pairs = model.pairs()
        self._bodies = np.flatnonzero(moved & ~np.isin(model.links, model.tool))
        self._free = np.flatnonzero(moved)
        self._boxes = (*model.boxes, *boxes)
        self._box_turns = np.array([b.T_base_box[:3, :3] for b in self._boxes]).reshape(-1, 3, 3)
        self._box_centres = np.array([b.T_base_box[:3, 3] for b in self._boxes]).reshape(-1, 3)
        self._box_halves = np.array([b.half_m for b in self._boxes]).reshape(-1, 3)
        self._points = np.zeros((0, 3))
        self._point_radius_m = 0.0
        self._describe()

    def see(self, points_m: np.ndarray, radius_m: float) -> None:
        """Take the points (K, 3) of a camera as obstacles of a radius, instead of earlier ones."""
        self._points, self._point_radius_m = np.asarray(points_m, dtype=float), radius_m
        self._describe()

    def _describe(self) -> None:
        """List names, least distances (N,) and reach (N, A) of all columns."""
        m, reach = self._model, self._reach
        names, least, reaches = [], [], []
        for i, j in self._pairs:
            near, far = sorted((i, j), key=lambda k: self._joints_before[m.links[k]])
            names.append((m.links[near], m.links[far]))
            least.append(m.margin_m)
            between = np.arange(reach.shape[1]) >= self._joints_before[m.links[near]]
            reaches.append(np.where(between, reach[far], 0.0))
        for capsules, what, margin in (
            (self._bodies, FLOOR, 0.0),
            *((self._free, box.name, m.margin_m) for box in self._boxes),
            (self._bodies if len(self._points) else (), "points of the scene", m.margin_m),
        ):
            for i in capsules:
                names.append((m.links[i], what))
                least.append(margin)
                reaches.append(reach[i])
        self.names = names
        self._least = np.array(least)
        self._column_reach = np.array(reaches).reshape(len(names), reach.shape[1])

    def distances(
        self, positions_rad: np.ndarray, points_m: np.ndarray | None = None
    ) -> np.ndarray:
        """Return what lies between the two of each column (K, N) at postures (K, A), in m.

        Args:
            positions_rad: postures.
            points_m: those points of the scene that can come near; None = all.
        """
        m, ends = self._model, self._ends(positions_rad)
        points_m = self._points if points_m is None else points_m
        i, j = self._pairs.T
        columns = [segment_distance(ends[:, i], ends[:, j]) - m.radii_m[i] - m.radii_m[j]]
        lowest = ends[..., 2][:, self._bodies].min(axis=2)
        columns.append(lowest - m.radii_m[self._bodies] - self._floor_m)
        if self._boxes:
            columns.append(self._to_boxes(ends))
        if len(self._points):
            columns.append(self._to_points(ends, points_m).min(axis=2, initial=_FAR_M))
        return np.concatenate(columns, axis=1)

    def _ends(self, positions_rad: np.ndarray) -> np.ndarray:
        """Return the ends (K, C, 2, 3) of all capsules at postures (K, A), in the base frame."""
        m, frames = self._model, self._kinematics.link_frames(positions_rad)
        turns = np.stack([frames[link][:, :3, :3] for link in m.links], axis=1)
        origins = np.stack([frames[link][:, :3, 3] for link in m.links], axis=1)
        return np.einsum("kcij,cej->kcei", turns, m.segments_m) + origins[:, :, None]

    def _to_boxes(self, ends: np.ndarray) -> np.ndarray:
        """Return distances (K, F * N) between capsules that move and boxes, box by box."""
        free = ends[:, None, self._free]  # (K, 1, F, 2, 3)
        placed = free - self._box_centres[:, None, None]
        inside = np.einsum("knfej,njl->knfel", placed, self._box_turns)
        apart = box_distance(inside, self._box_halves[:, None])
        return (apart - self._model.radii_m[self._free]).reshape(len(ends), -1)

    def _to_points(self, ends: np.ndarray, points_m: np.ndarray) -> np.ndarray:
        """Return distances (K, B, P) between bodies and points of the scene, both with radii."""
        apart = point_distance(ends[:, self._bodies, None], points_m)
        return apart - (self._model.radii_m[self._bodies] + self._point_radius_m)[:, None]

    def _points_near(self, motion: JointMotion) -> np.ndarray:
        """Return the points (P, 3) that some body could come nearer to than `_FAR_M`."""
        if not len(self._points):
            return self._points
        away = self._to_points(self._ends(motion.positions[:1]), self._points)[0]
        carried = self._reach[self._bodies] @ motion.travel(motion.times_s[-1:])[0]
        return self._points[np.any(away - carried[:, None] < _FAR_M, axis=0)]

    def at(self, positions_rad: np.ndarray) -> Clearance:
        """Return the clearance of one posture (A,), or the least of several (K, A)."""
        if not self.names:
            return Clearance(float("nan"), ("", ""))
        return self._nearest(self.distances(np.atleast_2d(positions_rad)))

    def along(self, motion: JointMotion) -> Clearance:
        """Return the clearance that a motion keeps at every moment, or where it does not."""
        if not self.names:
            return Clearance(float("nan"), ("", ""))
        begin, end = float(motion.times_s[0]), motion.end_s
        count = max(2, int(np.ceil((end - begin) / _FIRST_LOOK_S)) + 1)
        times = np.linspace(begin, end, count)
        points = self._points_near(motion)
        found = self.distances(motion.sample(times)[0], points)
        for refinement in range(_REFINEMENTS + 1):
            if np.any(found < self._least):
                break
            turned = np.diff(motion.travel(times), axis=0)
            kept = (found[:-1] + found[1:] - turned @ self._column_reach.T) / 2
            doubtful = np.any(kept < self._least, axis=1)
            if not doubtful.any() or refinement == _REFINEMENTS:
                return self._nearest(kept)
            between = (times[:-1][doubtful] + times[1:][doubtful]) / 2
            at = np.flatnonzero(doubtful) + 1
            found = np.insert(found, at, self.distances(motion.sample(between)[0], points), axis=0)
            times = np.insert(times, at, between)
        return self._nearest(found)

    def _nearest(self, found: np.ndarray) -> Clearance:
        """Return the column that is nearest to, or furthest below, its least distance."""
        nearest = found.min(axis=0)
        column = int(np.argmin(nearest - self._least))
        return Clearance(float(nearest[column]), self.names[column], float(self._least[column]))

    def without_arm(
        self, points_m: np.ndarray, positions_rad: np.ndarray, by_m: float
    ) -> np.ndarray:
        """Return the points (K, 3) that lie further than ``by_m`` from every capsule."""
        frames, m = self._kinematics.link_frames(positions_rad), self._model
        kept = np.ones(len(points_m), dtype=bool)
        for link, segment, radius in zip(m.links, m.segments_m, m.radii_m):
            ends = segment @ frames[link][:3, :3].T + frames[link][:3, 3]
            kept &= point_distance(ends, points_m) > radius + by_m
        return points_m[kept]


def _joints_before(kinematics: Kinematics) -> dict[str, int]:
    """Return for each link of the chain how many arm joints move it."""
    count, before = 0, {kinematics.robot.base_frame: 0}
    for joint in kinematics.robot.chain:
        count += joint.name in kinematics.robot.arm_joints
        before[joint.child] = count
    return before


def _reach(kinematics: Kinematics, model: CapsuleModel) -> np.ndarray:
    """Return (C, A): no point of a capsule's segment is further from the joint's axis than that.

    The sum of the lengths from the joint to the link, so it holds in every posture.
    """
    robot = kinematics.robot
    reach = np.zeros((len(model.links), len(robot.arm_joints)))
    for row, (link, segment) in enumerate(zip(model.links, model.segments_m)):
        chain = list(robot.chain)
        names = [joint.child for joint in chain]
        last = names.index(link) if link in names else -1
        length = float(np.max(np.linalg.norm(segment, axis=1)))
        for joint in reversed(chain[: last + 1]):
            if joint.name in robot.arm_joints:
                reach[row, robot.arm_joints.index(joint.name)] = length
            length += float(np.linalg.norm(joint.origin[:3, 3]))
    return reach
