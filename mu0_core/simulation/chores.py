# SPDX-License-Identifier: Apache-2.0
"""What may be asked next on a table where things have been moved already.

A layout promises that its tasks are possible at the start only. For a long film the expert needs
another task, about the table as it stands now.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mu0_core.simulation import scene
from mu0_core.simulation.layout import AREA_MAX_M, AREA_MIN_M, Layout, possible_targets
from mu0_core.simulation.world import TableWorld

_CLEAR_M = 0.085  # between a cube's centre and anything that the fingers must not touch
_UPRIGHT = 0.985  # cosine of the tilt of a cube that can be grasped
_TURNED_RAD = 0.45  # yaw, modulo a quarter turn, that the fingers can grasp
_MARGIN_M = 0.06  # beyond the area where layouts put things


@dataclass(frozen=True, slots=True)
class Chore:
    """A task about given cubes."""

    task: str
    cubes: tuple[int, ...]


def present_layout(world: TableWorld, chore: Chore | None = None) -> Layout:
    """Return the world's layout with things where they are now, and ``chore`` as a target."""
    layout = world.layout
    targets = layout.targets if chore is None else {**layout.targets, chore.task: chore.cubes}
    return replace(
        layout,
        cube_xy_m=np.array([world.cube_position_m(k)[:2] for k in range(3)]),
        bowl_xy_m=world.body_position_m("bowl")[:2],
        plate_xy_m=world.body_position_m("plate")[:2],
        targets=targets,
    )


def possible_chores(world: TableWorld) -> list[Chore]:
    """Return every task that the expert can start from here, at rest; often none is left."""
    now = present_layout(world)
    free = [k for k in range(3) if _can_be_grasped(world, now, k)]
    low = [k for k in free if world.cube_position_m(k)[2] < now.cube_half_m[k] + 0.004]
    bowl_is_free, plate_is_free = (
        np.linalg.norm(now.cube_xy_m - xy, axis=1).min() > reach
        for xy, reach in ((now.bowl_xy_m, 0.05), (now.plate_xy_m, 0.06))
    )
    chores = [Chore("press_button", ())]
    chores += [Chore("cube_in_bowl", (k,)) for k in free if bowl_is_free]
    chores += [Chore("cube_on_plate", (k,)) for k in free if plate_is_free]
    chores += [Chore("stack_cubes", (a, b)) for a in free for b in low if a != b]
    lanes = possible_targets(now)
    for task in ("push_left", "push_right"):
        chores += [Chore(task, cubes) for cubes in lanes[task] if cubes[0] in low]
    return chores


def _can_be_grasped(world: TableWorld, now: Layout, cube: int) -> bool:
    """Say whether fingers fit around a cube that stands upright with nothing on or beside it."""
    position, xy = world.cube_position_m(cube), now.cube_xy_m[cube]
    pose = world.body_pose(scene.CUBES[cube])
    yaw = np.arctan2(pose[1, 0], pose[0, 0])
    turned = abs((yaw + np.pi / 4) % (np.pi / 2) - np.pi / 4)
    if abs(pose[2, 2]) < _UPRIGHT or turned > _TURNED_RAD:
        return False
    if np.any(xy < AREA_MIN_M - _MARGIN_M) or np.any(xy > AREA_MAX_M + _MARGIN_M):
        return False
    if np.linalg.norm(xy - now.bowl_xy_m) < scene.BOWL_RADIUS_M + 0.05:
        return False
    for other in range(3):
        apart = np.linalg.norm(now.cube_xy_m[other] - xy)
        below = world.cube_position_m(other)[2] < position[2] - now.cube_half_m[cube]
        if other != cube and apart < _CLEAR_M and not below:
            return False
    return bool(np.linalg.norm(now.button_xy_m - xy) > _CLEAR_M)
