# SPDX-License-Identifier: Apache-2.0
"""The log of a film: spans in frames, cut off where the film ends."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from mu0_core.simulation.film_log import FilmLog


@pytest.fixture
def logged():
    """Two tasks at 10 frames per second: 0 to 5.2 s in two rounds, and from 5.5 s on."""
    world = SimpleNamespace(time_s=0.0)
    log = FilmLog(world, 10.0)
    log.start("push_left", "push it")
    log.look()
    world.time_s = 2.6
    log.look()
    world.time_s = 5.2
    log.stop(True)
    world.time_s = 5.5
    log.start("press_button", "press it")
    log.look()
    return log


def add_motion(log: FilmLog, positions_m: list[float]) -> None:
    for x in positions_m:
        poses = np.tile(np.eye(4), (2, 1, 1))
        poses[1, 0, 3] = x
        log.add_poses(poses)


def test_spans_follow_each_other_and_the_last_is_cut_off(logged):
    add_motion(logged, [0.0] * 60)
    logged.close(60)
    segments = logged.segments()
    assert [(t["first"], t["last"], t["achieved"]) for t in segments["tasks"]] == [
        (0, 51, True),
        (55, 59, None),
    ]
    assert [(r["first"], r["last"]) for r in segments["rounds"]] == [(0, 25), (26, 51), (55, 59)]
    assert segments["boundaries"] == [26, 55]
    assert logged.texts() == [
        {"first": 0, "last": 51, "text": "push it"},
        {"first": 55, "last": 59, "text": "press it"},
    ]


def test_what_begins_behind_the_last_frame_is_left_out(logged):
    add_motion(logged, [0.0] * 50)
    logged.close(50)
    assert [t["last"] for t in logged.segments()["tasks"]] == [49]
    assert logged.segments()["boundaries"] == [26]


def test_a_failed_task_has_no_sentence():
    world = SimpleNamespace(time_s=0.0)
    log = FilmLog(world, 10.0)
    log.start("push_left", "push it")
    log.look()
    world.time_s = 3.0
    log.stop(False)
    add_motion(log, [0.0] * 30)
    log.close(30)
    assert log.texts() == [] and log.segments()["tasks"][0]["achieved"] is False


def test_motion_is_where_a_body_is_faster_than_a_centimetre_per_second(logged):
    still, step = [0.0] * 3, [0.002, 0.004, 0.006]
    add_motion(logged, [*still, *step, 0.0065, 0.007, 0.0, 0.0])
    logged.close(10)
    assert logged.segments()["motion"] == [[2, 5], [7, 8]]
