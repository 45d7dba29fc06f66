# SPDX-License-Identifier: Apache-2.0
"""Training data: one picture of a table at rest, and what the expert would do for many sentences.

The state is one that a robot at work may look at: some rounds into a task, a little off, sometimes
far off. The futures are imagined without physics (`shadow_table`), each for a sentence of its own
about the same picture, so that nothing but the sentence tells them apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mu0_core.errors import NoQueryPointsError
from mu0_core.inference.keypoints import PlaneSelector
from mu0_core.simulation import expert
from mu0_core.simulation.layout import possible_targets
from mu0_core.simulation.path_bodies import PathBodies
from mu0_core.simulation.shadow_table import ShadowTable, play
from mu0_core.simulation.table_view import pose_world
from mu0_core.simulation.tasks import TASKS
from mu0_core.simulation.tracks import body_tracks
from mu0_core.simulation.world import TableWorld
from mu0_core.types import CameraIntrinsics, QueryPoints

# Stacking is learned late.
TASK_WEIGHTS = {
    "cube_in_bowl": 1.0,
    "cube_on_plate": 1.0,
    "stack_cubes": 1.4,
    "push_left": 0.9,
    "push_right": 0.9,
    "press_button": 0.8,
}


@dataclass(frozen=True, slots=True)
class SnapshotSettings:
    """How states are drawn. Offsets are standard deviations.

    Attributes:
        futures: sentences per picture; max_points: query points.
        rounds: most rounds of a task before the picture is taken.
        elsewhere: share of the pictures whose arm started anywhere above the table.
        off_m, far_off_m: offset of the tip after each round, and now and then.
        far_off: share of the rounds with the larger offset.
        cut: share of the pictures that are taken in the middle of a round.
        drop: share of the rounds after which the fingers are found open.
        pressed: share of the pictures in which the button was pressed before.
    """

    futures: int = 5
    max_points: int = 32
    rounds: int = 4
    elsewhere: float = 0.3
    off_m: float = 0.012
    far_off_m: float = 0.035
    far_off: float = 0.2
    cut: float = 0.12
    drop: float = 0.04
    pressed: float = 0.1


@dataclass(frozen=True, slots=True)
class Future:
    """What the expert would do for one sentence.

    Attributes:
        tracks_m: (K + 1, N, 3) of the query points, optical frame, every control period.
        tip_m: (T, 3) commands of the next round, base frame; opening_m: (T,).
    """

    task: str
    instruction: str
    tracks_m: np.ndarray
    tip_m: np.ndarray
    opening_m: np.ndarray


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A picture and its futures. ``query_body`` (N,) is the body under each point, -1 = none."""

    seed: int
    rgb: np.ndarray
    intrinsics: CameraIntrinsics
    T_base_camera: np.ndarray
    query: QueryPoints
    query_body: np.ndarray
    joints_rad: np.ndarray
    tip_m: np.ndarray
    opening_m: float
    futures: tuple[Future, ...]


@dataclass(slots=True)
class SnapshotMaker:
    """Makes the snapshot of a seed, in one world; everything follows from the seed."""

    world: TableWorld
    settings: SnapshotSettings = field(default_factory=SnapshotSettings)
    _selector: PlaneSelector = field(default_factory=PlaneSelector)
    _bodies: PathBodies | None = None

    def make(self, seed: int) -> Snapshot | None:
        """Return the snapshot, or None when the state is out of reach or shows no points."""
        world = self.world
        if self._bodies is None:
            self._bodies = PathBodies(world)
        rng = np.random.default_rng([seed, 11])
        world.reset(seed)
        targets = possible_targets(world.layout)
        task, cubes = draw_task(rng, targets)
        table = draw_state(ShadowTable(world.layout), task, cubes, self.settings, rng)
        joints = self._bodies.joints(table.tip_position_m(), table.opening_m())
        if np.isnan(joints).any():
            return None
        pose_world(world, joints, table.opening_m(), table.cubes_m, table.yaw_rad)
        world.button_was_pressed = table.button_was_pressed
        frame, ids = world.render(), world.render_body_ids()
        try:
            query = self._selector.select(frame, self.settings.max_points)
        except NoQueryPointsError:
            return None
        pixel = query.uv_px.astype(int)
        bodies = ids[pixel[:, 1], pixel[:, 0]]
        futures = []
        for name, about in draw_sentences(
            rng, task, cubes, targets, table.held, self.settings.futures
        ):
            path, rounds = play(table.copy(), name, about)
            poses = self._bodies.poses(path, world.body_poses())
            if np.isnan(poses).any():
                continue
            sentence = TASKS[name].instruction(world.layout, int(rng.integers(3)), about)
            tracks = body_tracks(query, bodies, frame.intrinsics, world.T_base_camera, poses, 0)
            futures.append(
                Future(
                    name, sentence, tracks.astype(np.float32), rounds[0].tip_m, rounds[0].opening_m
                )
            )
        if not futures:
            return None
        return Snapshot(
            seed, frame.rgb, frame.intrinsics, world.T_base_camera, query, bodies, joints,
            world.tip_position_m(), world.opening_m(), tuple(futures),
        )  # fmt: skip


def draw_state(
    table: ShadowTable,
    task: str,
    cubes: tuple[int, ...],
    settings: SnapshotSettings,
    rng: np.random.Generator,
) -> ShadowTable:
    """Return the table as it stands some rounds into a task, with errors like a robot's."""
    if rng.random() < settings.elsewhere:
        tip = rng.uniform([0.33, -0.28, 0.09], [0.62, 0.28, 0.32])
        table.place_arm(tip, float(rng.choice([expert.OPEN_M, expert.CLOSED_M])))
    table.button_was_pressed = bool(rng.random() < settings.pressed)
    for _ in range(int(rng.integers(settings.rounds + 1))):
        planned = expert.plan_round(table, task, cubes)
        cut = rng.random() < settings.cut / settings.rounds
        last = int(rng.integers(4, expert.ROUND_STEPS)) if cut else expert.ROUND_STEPS
        for tip, opening in zip(planned.tip_m[:last], planned.opening_m[:last], strict=True):
            table.step(tip, opening)
        if cut:
            break
        _disturb(table, settings, rng)
        if planned.over:
            break
    return table


def _disturb(table: ShadowTable, settings: SnapshotSettings, rng: np.random.Generator) -> None:
    far = rng.random() < settings.far_off
    tip = table.tip_position_m()
    offset = rng.normal(0, settings.far_off_m if far else settings.off_m, 3)
    low = tip[2] < 0.06
    offset[:2] *= 0.3 if low else 1.0
    offset[2] = abs(offset[2]) if low else offset[2]
    goal = tip + offset
    goal[2] = max(goal[2], 0.012)
    opening = table.opening_m()
    if rng.random() < settings.drop and opening < expert.GRIPPED_M:
        opening = expert.OPEN_M
    table.place_arm(goal, opening)


def draw_task(
    rng: np.random.Generator, targets: dict[str, list[tuple[int, ...]]]
) -> tuple[str, tuple[int, ...]]:
    """Return a possible task and what it is about; tasks without a target are left out."""
    names = [name for name in TASK_WEIGHTS if targets.get(name)]
    weights = np.array([TASK_WEIGHTS[name] for name in names])
    name = names[rng.choice(len(names), p=weights / weights.sum())]
    return name, targets[name][rng.integers(len(targets[name]))]


def draw_sentences(
    rng: np.random.Generator,
    task: str,
    cubes: tuple[int, ...],
    targets: dict[str, list[tuple[int, ...]]],
    held: int | None,
    count: int,
) -> list[tuple[str, tuple[int, ...]]]:
    """Return the task at hand and others; with a cube in hand, only what it can be about."""
    chosen = [(task, cubes)]
    for _ in range(20 * count):
        if len(chosen) == count:
            break
        name, about = draw_task(rng, targets)
        if held is not None and (name.startswith("pu") or held not in about[:1]):
            continue
        if (name, about) not in chosen:
            chosen.append((name, about))
    return chosen
