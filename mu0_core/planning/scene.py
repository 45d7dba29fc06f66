# SPDX-License-Identifier: Apache-2.0
"""What is in the way: boxes and the points of a depth camera, in the arm's base frame."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from mu0_core.errors import ConfigError, ShapeError
from mu0_core.geometry.box import Box
from mu0_core.robot.description import RobotDescription

FLOOR = "floor"
POINTS = "points"
_FLOOR_SIZE_M = (3.0, 3.0, 0.2)
_FLOOR_GAP_M = 0.01  # fingertips reach a little further than the tip, which may touch the floor


@dataclass(frozen=True, slots=True)
class PlanningScene:
    """Everything an arm may not touch, and how far its fingers are open.

    Attributes:
        boxes: solid obstacles.
        points_m: (N, 3) centres of occupied cubes in the base frame, on `voxel_centres`' grid;
            others are moved to the nearest place of it.
        voxel_m: edge of those cubes.
        gripper_m: opening of the fingers, which are part of the arm's shape; None = wide open.
    """

    boxes: tuple[Box, ...] = ()
    points_m: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    voxel_m: float = 0.01
    gripper_m: float | None = None

    def __post_init__(self) -> None:
        if self.points_m.ndim != 2 or self.points_m.shape[1] != 3:
            raise ShapeError(f"points have shape {self.points_m.shape}, expected (N, 3)")
        if not np.isfinite(self.points_m).all():
            raise ShapeError("points of a planning scene must be finite")
        if not 0.002 <= self.voxel_m <= 0.2:
            raise ConfigError(f"voxel_m {self.voxel_m}: allowed 0.002 to 0.2")
        if self.gripper_m is not None and not np.isfinite(self.gripper_m):
            raise ConfigError(f"gripper_m {self.gripper_m} is not finite")
        names = [box.name for box in self.boxes]
        if len(set(names)) != len(names):
            raise ConfigError(f"boxes of a scene need names of their own: {names}")
        if POINTS in names:
            raise ConfigError(f"a box of a scene cannot be called {POINTS!r}")

    def without_points_near(self, places_m: np.ndarray, radius_m: float) -> PlanningScene:
        """Return the scene without the points within ``radius_m`` of places (M, 3) to be touched.

        The radius counts from the surface of a cube, so that none of it reaches nearer.
        """
        if not len(places_m) or not len(self.points_m):
            return self
        from scipy.spatial import KDTree

        distance, _ = KDTree(places_m).query(self.points_m)
        return replace(self, points_m=self.points_m[distance > radius_m + self.voxel_m / 2])

    def padded(self, by_m: float) -> PlanningScene:
        """Return the scene with boxes that reach further on every side."""
        return replace(self, boxes=tuple(box.padded(by_m) for box in self.boxes))


def floor_box(robot: RobotDescription) -> Box:
    """Return what the arm stands on: a slab that ends 10 mm below the description's floor."""
    middle = robot.floor_m - _FLOOR_GAP_M - _FLOOR_SIZE_M[2] / 2
    return Box.at(FLOOR, np.array([0.0, 0.0, middle]), _FLOOR_SIZE_M)
