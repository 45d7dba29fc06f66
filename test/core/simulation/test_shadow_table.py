# SPDX-License-Identifier: Apache-2.0
"""What is imagined without physics is what physics does."""

from __future__ import annotations

import numpy as np
import pytest

from mu0_core.simulation.demonstration import demonstrate
from mu0_core.simulation.layout import sample_layout
from mu0_core.simulation.path_bodies import PathBodies
from mu0_core.simulation.shadow_table import ShadowTable, play
from mu0_core.simulation.snapshot import SnapshotMaker, SnapshotSettings
from mu0_core.simulation.tasks import TASKS
from mu0_core.simulation.world import TableWorld


@pytest.fixture(scope="module")
def world():
    world = TableWorld(width=320, height=240)
    yield world
    world.close()


@pytest.fixture(scope="module")
def maker(world):
    return SnapshotMaker(world)


@pytest.mark.parametrize("task", TASKS)
def test_physics_ends_where_imagination_does(world, task):
    world.reset(1)
    cubes = world.layout.targets[task]
    shadow = ShadowTable.of_world(world)
    _, rounds = play(shadow, task, cubes, 8)
    assert rounds[-1].over
    assert demonstrate(world, task)
    assert world.success(task)
    real = np.array([world.cube_position_m(k) for k in range(3)])
    np.testing.assert_allclose(real, shadow.cubes_m, atol=0.02)
    np.testing.assert_allclose(world.tip_position_m(), shadow.tip_position_m(), atol=0.01)


@pytest.mark.parametrize(("aside_m", "low_m", "pressed"), [
    (0.015, 0.030, True), (0.030, 0.030, False), (0.0, 0.046, False),
])  # fmt: skip
def test_a_button_gives_under_the_fingers_alone(aside_m, low_m, pressed):
    table = ShadowTable(sample_layout(0))
    over = table.body_position_m("button") + (aside_m, 0, 0.09)
    table.place_arm(over, 0.0)
    table.step(over * (1, 1, 0) + (0, 0, low_m), 0.0)
    assert table.button_was_pressed is pressed


def test_a_copy_is_independent():
    table = ShadowTable(sample_layout(0))
    other = table.copy()
    play(other, "push_left", table.layout.targets["push_left"], 3)
    assert not np.array_equal(other.cubes_m, table.cubes_m)
    np.testing.assert_array_equal(table.tip_position_m(), table.layout.start_tip_m)


def test_links_fingers_and_cubes_move_as_rigid_bodies(world):
    world.reset(2)
    shadow = ShadowTable.of_world(world)
    path, _ = play(shadow, "cube_in_bowl", (0,), 8)
    now = world.body_poses()
    poses = PathBodies(world).poses(path, now)
    assert poses.shape == (len(path.tip_m), len(now), 4, 4)
    np.testing.assert_allclose(poses[0, :, :3, 3], now[:, :3, 3], atol=0.02)
    rotations = poses[..., :3, :3]
    identity = np.einsum("kbij,kblj->kbil", rotations, rotations)
    np.testing.assert_allclose(identity, np.broadcast_to(np.eye(3), identity.shape), atol=1e-6)
    names = [world.body_name(k) for k in range(len(now))]
    indices = [names.index(f"fr3_{side}finger") for side in ("left", "right")]
    fingers = poses[:, indices][..., :3, 3]
    apart = np.linalg.norm(fingers[:, 0] - fingers[:, 1], axis=-1)
    np.testing.assert_allclose(apart - apart[0], path.opening_m - path.opening_m[0], atol=1e-6)


def test_a_snapshot_shows_one_state_and_several_futures(maker):
    snapshots = [maker.make(seed) for seed in range(12)]
    for snapshot in filter(None, snapshots):
        first = snapshot.futures[0].tracks_m[0]
        for future in snapshot.futures:
            np.testing.assert_array_equal(future.tracks_m[0], first)
            assert future.task in TASKS and np.isfinite(future.tracks_m).all()
        assert len({f.instruction for f in snapshot.futures}) == len(snapshot.futures)
        assert len(snapshot.futures) <= SnapshotSettings().futures
    assert sum(snapshot is not None for snapshot in snapshots) >= 11


def test_a_state_out_of_reach_gives_no_snapshot(maker, monkeypatch):
    monkeypatch.setattr(
        "mu0_core.simulation.snapshot.draw_state",
        lambda table, *_: table.place_arm(np.array([0.9, 0.0, 0.3]), 0.08) or table,
    )
    assert maker.make(3) is None
