# SPDX-License-Identifier: Apache-2.0
"""Points that keep their distances are one group; those that part are not."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mu0_core.errors import ConfigError
from mu0_core.trace_extract.records import Tracks
from mu0_core.trace_extract.stages.rigid_groups import (
    RigidSettings,
    leave_out_loners,
    split_rigid,
)


def body(count, angular=0.0, speed=(0.0, 0.0, 0.0), frames=30, seed=0):
    """Return (count, frames, 3) points of a rigid body that turns and moves."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(-0.1, 0.1, (count, 3))
    time = np.arange(frames)
    turns = Rotation.from_rotvec(np.outer(time, [0, 0, angular])).as_matrix()
    moved = np.einsum("tij,nj->nti", turns, points) + np.outer(time, speed)
    return moved + rng.normal(0, 0.001, moved.shape)


def tracks_of(world, clusters):
    world = world.astype(np.float32)
    visible = np.isfinite(world).all(axis=-1)
    clusters = np.asarray(clusters, np.int32)
    return Tracks(world[..., :2], world, visible, clusters, np.zeros(len(world), np.int32))


def test_two_bodies_in_one_entity_are_told_apart():
    world = np.concatenate([body(10), body(8, angular=0.05, speed=(0.01, 0, 0), seed=1)])
    groups = split_rigid(tracks_of(world, [3] * 18), RigidSettings()).cluster_ids
    assert len(set(groups[:10])) == len(set(groups[10:])) == 1 and groups[0] != groups[10]


def test_groups_never_join_entities_and_count_from_zero():
    world = body(12)
    groups = split_rigid(tracks_of(world, [5] * 6 + [9] * 6), RigidSettings()).cluster_ids
    assert groups.tolist() == [0] * 6 + [1] * 6


def test_a_point_seen_with_only_some_of_its_body_still_belongs_to_it():
    world = np.concatenate([body(9), body(6, speed=(0.02, 0, 0), seed=2)])
    world[0, :12] = np.nan  # the first two never meet, the others saw both
    world[1, 10:] = np.nan
    groups = split_rigid(tracks_of(world, [0] * 15), RigidSettings()).cluster_ids
    assert groups[0] == groups[1] == groups[8] != groups[9]


def test_switched_off_it_changes_nothing():
    tracks = tracks_of(body(4), [7, 7, 8, 8])
    assert split_rigid(tracks, RigidSettings(enabled=False)) is tracks


def test_a_point_that_moves_like_no_other_is_left_out_and_counted():
    world = np.concatenate([body(9), body(4, speed=(0.02, 0, 0), seed=2)])
    world = np.concatenate([world, body(1, speed=(0, 0.03, 0), seed=3), body(1, seed=4) + 1.0])
    grouped = split_rigid(tracks_of(world, [0] * 14 + [1]), RigidSettings())
    kept, drops = leave_out_loners(grouped, RigidSettings())
    assert drops.counts == {"tracks that move like no other": 1}
    assert len(kept.cluster_ids) == 14  # the loner at rest stays
    assert leave_out_loners(grouped, RigidSettings(min_members=1))[1].counts == {}


def test_one_point_is_a_group():
    assert split_rigid(tracks_of(body(1), [4]), RigidSettings()).cluster_ids.tolist() == [0]


def test_impossible_settings_are_refused():
    with pytest.raises(ConfigError, match="min_shared_frames 1"):
        RigidSettings(min_shared_frames=1)
