# SPDX-License-Identifier: Apache-2.0
"""A `TableWorld` seen in the table's own frame: what tasks, layouts and the scripted expert know.

They were made for a table of one size; an arm of another reach stands at a table of another size
(`simulated_arm`). Seen through this view all tables are alike. The tip is the middle between the
fingers, which for a gripper with one fixed finger moves as it opens.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mu0_core.robot.description import Gripper
from mu0_core.simulation.layout import Layout
from mu0_core.simulation.simulated_arm import TableFrame

if TYPE_CHECKING:
    from mu0_core.simulation.world import TableWorld


class TableView:
    """Truth of a world in the table frame; an `expert.Table`."""

    def __init__(self, world: TableWorld) -> None:
        self._world = world

    @property
    def frame(self) -> TableFrame:
        """Return the frame that everything here is in."""
        return self._world.table_frame

    @property
    def layout(self) -> Layout:
        """Return the episode's layout."""
        return self._world.layout

    @property
    def button_was_pressed(self) -> bool:
        """Say whether the button was pressed since the reset."""
        return self._world.button_was_pressed

    def tip_position_m(self) -> np.ndarray:
        """Return the middle (3,) between the fingers."""
        world = self._world
        tip, gripper = world.tip_position_m(), world.robot.gripper
        if gripper.fixed_finger:
            across = world.body_pose(world.robot.tip_frame)[:3, 1]
            tip = tip + gripper.centre_m(world.opening_m()) * across
        return self.frame.to_table(tip)

    def opening_m(self) -> float:
        """Return the measured gap between the fingers."""
        return self._world.robot.gripper.gap_m(self._world.opening_m()) / self.frame.scale

    def cube_position_m(self, index: int) -> np.ndarray:
        """Return the centre (3,) of a cube."""
        return self.frame.to_table(self._world.cube_position_m(index))

    def body_position_m(self, name: str) -> np.ndarray:
        """Return the position (3,) of a body."""
        return self.frame.to_table(self._world.body_position_m(name))

    def cube_speed_m_s(self, index: int) -> float:
        """Return the linear speed of a cube."""
        return self._world.cube_speed_m_s(index) / self.frame.scale


def tips_of(
    centres_m: np.ndarray, gaps_m: np.ndarray, frame: TableFrame, gripper: Gripper
) -> np.ndarray:
    """Return tip positions (..., 3) in the base frame, tool down, of middles between the fingers.

    Args:
        centres_m: (..., 3) and gaps_m: (...,) between the fingers, both in the table frame.
        frame, gripper: whose.
    """
    tips = frame.to_base(centres_m)
    if gripper.fixed_finger:
        tips[..., 1] += frame.scale * gaps_m / 2  # tool down, y of the tip is -y of the base
    return tips


def opening_of(gap_m: float, frame: TableFrame, gripper: Gripper) -> float:
    """Return the opening to command for a gap in the table frame, within the gripper's range."""
    opening = frame.scale * gap_m - gripper.gap_at_zero_m
    return float(np.clip(opening, gripper.closed_m, gripper.open_m))


def placed_layout(layout: Layout, frame: TableFrame) -> Layout:
    """Return a layout of the table frame in the base frame."""
    places = {
        name: frame.to_base(getattr(layout, name))
        for name in (
            "cube_xy_m", "bowl_xy_m", "plate_xy_m", "button_xy_m",
            "camera_position_m", "camera_target_m", "start_tip_m",
        )
    }  # fmt: skip
    return replace(layout, cube_half_m=frame.scale * layout.cube_half_m, **places)


def pose_world(
    world: TableWorld,
    positions_rad: np.ndarray,
    gap_m: float,
    cubes_m: np.ndarray,
    cube_yaw_rad: np.ndarray,
) -> None:
    """Do as `TableWorld.pose`, with the gap between the fingers and cubes in the table frame."""
    frame = world.table_frame
    opening = opening_of(gap_m, frame, world.robot.gripper)
    world.pose(positions_rad, opening, frame.to_base(cubes_m), cube_yaw_rad)
