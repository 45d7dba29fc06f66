# SPDX-License-Identifier: Apache-2.0
"""One random episode: where objects lie, what they look like, where lamp and camera are.

Everything follows from the seed. Training uses seeds below `FIRST_EVALUATION_SEED` only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mu0_core.errors import SimulationError

FIRST_EVALUATION_SEED = 50_000

CUBE_COLOURS = {
    "red": (0.82, 0.10, 0.10),
    "green": (0.12, 0.62, 0.18),
    "blue": (0.12, 0.22, 0.82),
    "yellow": (0.92, 0.80, 0.10),
}
UNSEEN_CUBE_COLOURS = {
    "purple": (0.48, 0.12, 0.62),
    "orange": (0.93, 0.45, 0.08),
    "cyan": (0.08, 0.72, 0.78),
}
_TABLE_COLOURS = ((0.55, 0.42, 0.30), (0.45, 0.45, 0.47), (0.70, 0.66, 0.60), (0.35, 0.28, 0.24))
_BOWL_COLOURS = ((0.85, 0.85, 0.88), (0.35, 0.20, 0.12), (0.20, 0.20, 0.22))
_PLATE_COLOURS = ((0.95, 0.95, 0.95), (0.75, 0.85, 0.95), (0.15, 0.15, 0.17))
_CAP_COLOURS = ((0.95, 0.45, 0.05), (0.80, 0.15, 0.70), (0.05, 0.75, 0.80))

AREA_MIN_M, AREA_MAX_M = np.array([0.36, -0.28]), np.array([0.62, 0.28])
PUSH_DISTANCE_M = 0.11
_RADII_M = {"bowl": 0.075, "plate": 0.08, "button": 0.05, "cube": 0.033}
_FINGER_CLEARANCE_M = 0.035


@dataclass(frozen=True, slots=True)
class Layout:
    """One episode's scene. Positions in the base frame; colours are RGB in 0..1.

    ``colours[k]`` names the colour of cube k. ``targets`` gives for each task the cube indices it
    is about (see `tasks`). ``round_cubes`` puts cylinders of the same size in place of the cubes.
    """

    seed: int
    colours: tuple[str, str, str]
    cube_rgb: np.ndarray
    cube_xy_m: np.ndarray
    cube_yaw_rad: np.ndarray
    cube_half_m: np.ndarray
    bowl_xy_m: np.ndarray
    plate_xy_m: np.ndarray
    button_xy_m: np.ndarray
    bowl_rgb: np.ndarray
    plate_rgb: np.ndarray
    cap_rgb: np.ndarray
    table_rgb: np.ndarray
    floor_rgb: np.ndarray
    lamp_direction: np.ndarray
    lamp_rgb: np.ndarray
    camera_position_m: np.ndarray
    camera_target_m: np.ndarray
    camera_fovy_deg: float
    start_tip_m: np.ndarray
    targets: dict[str, tuple[int, ...]]
    round_cubes: bool = False


def sample_layout(seed: int) -> Layout:
    """Draw an episode in which every task of `tasks` is possible.

    Raises:
        SimulationError: no arrangement found (practically impossible; names the seed).
    """
    rng = np.random.default_rng(seed)
    for _ in range(2000):
        placed = _place(rng)
        if placed is not None:
            break
    else:
        raise SimulationError(f"no free arrangement of the table for seed {seed}")
    xy, left, right = placed
    names = list(CUBE_COLOURS)
    rng.shuffle(names)
    colours = tuple(names[:3])
    shade = lambda rgb, s=0.06: np.clip(np.array(rgb) + rng.uniform(-s, s, 3), 0, 1)  # noqa: E731
    pick = lambda options, s=0.05: shade(options[rng.integers(len(options))], s)  # noqa: E731
    stack = rng.permutation(3)[:2]
    targets = {
        "cube_in_bowl": (int(rng.integers(3)),),
        "cube_on_plate": (int(rng.integers(3)),),
        "stack_cubes": (int(stack[0]), int(stack[1])),
        "push_left": (left,),
        "push_right": (right,),
        "press_button": (),
    }
    return Layout(
        seed=seed,
        colours=colours,
        cube_rgb=np.stack([shade(CUBE_COLOURS[c]) for c in colours]),
        cube_xy_m=xy[:3],
        cube_yaw_rad=rng.uniform(-0.25, 0.25, 3),
        cube_half_m=rng.uniform(0.020, 0.024, 3),
        bowl_xy_m=xy[3],
        plate_xy_m=xy[4],
        button_xy_m=xy[5],
        bowl_rgb=pick(_BOWL_COLOURS),
        plate_rgb=pick(_PLATE_COLOURS),
        cap_rgb=pick(_CAP_COLOURS),
        table_rgb=pick(_TABLE_COLOURS, 0.08),
        floor_rgb=rng.uniform(0.2, 0.6, 3),
        lamp_direction=np.array([rng.uniform(-0.6, 0.3), rng.uniform(-0.6, 0.6), -1.0]),
        lamp_rgb=rng.uniform(0.5, 0.75) * rng.uniform(0.92, 1.0, 3),
        camera_position_m=np.array([1.22, 0.0, 0.72]) + rng.uniform(-0.05, 0.05, 3),
        camera_target_m=np.array([0.43, 0.0, 0.09]) + rng.uniform(-0.02, 0.02, 3),
        camera_fovy_deg=float(rng.uniform(37.0, 40.0)),
        start_tip_m=np.array([0.40, 0.0, 0.26]) + rng.uniform(-1, 1, 3) * (0.06, 0.12, 0.05),
        targets=targets,
    )


def possible_targets(layout: Layout) -> dict[str, list[tuple[int, ...]]]:
    """Return for each task all cubes, or ordered pairs of cubes, that it can be about."""
    single = [(k,) for k in range(3)]
    xy = np.vstack([layout.cube_xy_m, layout.bowl_xy_m, layout.plate_xy_m, layout.button_xy_m])
    radii = _radii()
    lanes = {s: [(k,) for k in range(3) if _lane_free(xy, radii, k, s)] for s in (1, -1)}
    return {
        "cube_in_bowl": single,
        "cube_on_plate": single,
        "stack_cubes": [(a, b) for a in range(3) for b in range(3) if a != b],
        "push_left": lanes[1],
        "push_right": lanes[-1],
        "press_button": [()],
    }


def _radii() -> np.ndarray:
    return np.array([_RADII_M["cube"]] * 3 + [_RADII_M[k] for k in ("bowl", "plate", "button")])


def _place(rng: np.random.Generator) -> tuple[np.ndarray, int, int] | None:
    """Try to place three cubes, bowl, plate and button; None if something is in the way.

    Returns positions (6, 2) and the cubes that may be pushed left (+y) and right (-y).
    """
    radii = _radii()
    xy = np.zeros((6, 2))
    for index in (3, 4, 5, 0, 1, 2):
        done = [3, 4, 5, 0, 1, 2][: [3, 4, 5, 0, 1, 2].index(index)]
        for _ in range(20):
            candidate = rng.uniform(AREA_MIN_M, AREA_MAX_M)
            gap = 0.015 if index > 2 else _FINGER_CLEARANCE_M
            if all(
                np.linalg.norm(candidate - xy[j]) > radii[index] + radii[j] + gap for j in done
            ):
                xy[index] = candidate
                break
        else:
            return None
    lanes = {side: [k for k in range(3) if _lane_free(xy, radii, k, side)] for side in (1, -1)}
    if not lanes[1] or not lanes[-1]:
        return None
    return xy, int(rng.choice(lanes[1])), int(rng.choice(lanes[-1]))


def _lane_free(xy: np.ndarray, radii: np.ndarray, cube: int, side: int) -> bool:
    """Say whether cube can be pushed along ``side`` * y with the closed gripper behind it."""
    end = xy[cube, 1] + side * (PUSH_DISTANCE_M + 0.02)
    if not AREA_MIN_M[1] - 0.06 <= end <= AREA_MAX_M[1] + 0.06:
        return False
    low, high = sorted([xy[cube, 1] - side * 0.10, end])
    for other in range(len(xy)):
        if other == cube:
            continue
        across = abs(xy[other, 0] - xy[cube, 0]) < radii[other] + 0.04
        along = low - radii[other] - 0.02 < xy[other, 1] < high + radii[other] + 0.02
        if across and along:
            return False
    return True
