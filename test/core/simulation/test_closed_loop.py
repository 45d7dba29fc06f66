# SPDX-License-Identifier: Apache-2.0
"""The direct loop around the simulator, with fakes in the place of the models."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from mu0_core.errors import ConfigError
from mu0_core.inference import runtime
from mu0_core.simulation.closed_loop import SERVO_PERIOD_S, ClosedLoop, LoopSettings
from mu0_core.simulation.world import TableWorld
from mu0_core.testing.fakes import FakeExpert, FakeForecaster, FakeSelector

SEED = 50_000
_AT_REST_RAD_S = 0.05  # the servos lag behind their last target by a trace


@pytest.fixture(scope="module")
def world() -> Iterator[TableWorld]:
    """A small camera is enough."""
    world = TableWorld(width=96, height=72)
    yield world
    world.close()


def _loop(world: TableWorld, *, forecast: str = "", expert: str = "", **settings) -> ClosedLoop:
    world.reset(SEED)
    return ClosedLoop(
        world,
        FakeSelector(),
        FakeForecaster(forecast),
        FakeExpert(world.robot, expert),
        runtime.make_monitor(),
        LoopSettings(**{"max_duration_s": 2.0, **settings}),
    )


def test_the_arm_moves_as_proposed_and_ends_at_rest(world: TableWorld) -> None:
    loop = _loop(world)
    before = world.proprioception().positions_rad
    ticks = []
    result = loop.run("go", SEED, on_tick=lambda w: ticks.append(w.proprioception()))
    assert result.end == "timeout" and result.rounds >= 1 and result.chunks_rejected == 0
    assert 2.0 <= result.duration_s < 6.0
    joints = np.array([t.positions_rad for t in ticks]) - before
    assert np.abs(joints[:, 0]).max() > 0.1  # rad; the fake asks for 0.16
    assert np.abs(joints[:, 1:]).max() < 0.02
    assert np.abs(ticks[-1].velocities_rad_s).max() < _AT_REST_RAD_S
    assert (
        np.abs(np.diff(joints[:, 0])).max() / SERVO_PERIOD_S < world.robot.limits.velocity_rad_s[0]
    )


def test_every_image_is_taken_at_rest(world: TableWorld) -> None:
    loop = _loop(world)
    speeds = []
    loop.run(
        "go",
        SEED,
        on_round=lambda frame, forecast: speeds.append(
            np.abs(world.proprioception().velocities_rad_s).max()
        ),
    )
    assert len(speeds) >= 2
    assert max(speeds) < _AT_REST_RAD_S


def test_a_still_forecast_ends_the_task_without_motion(world: TableWorld) -> None:
    loop = _loop(world)
    before = world.proprioception().positions_rad
    result = loop.run("stay", SEED)
    assert (result.end, result.progress) == ("over", 1.0)
    np.testing.assert_allclose(world.proprioception().positions_rad, before, atol=0.2)


@pytest.mark.parametrize("fault", ["jump", "nan"])
def test_bad_chunks_move_nothing_and_end_the_episode(world: TableWorld, fault: str) -> None:
    loop = _loop(world, expert=fault)
    before = world.proprioception().positions_rad
    result = loop.run("go", SEED)
    assert result.end == "rejected"
    assert result.chunks_rejected == loop.settings.max_rejected_chunks
    assert result.message
    np.testing.assert_allclose(world.proprioception().positions_rad, before, atol=0.005)


def test_one_bad_chunk_is_not_the_end(world: TableWorld) -> None:
    result = _loop(world, expert="jump:1").run("go", SEED)
    assert (result.end, result.chunks_rejected) == ("timeout", 1)


def test_a_failing_model_ends_the_episode_with_its_reason(world: TableWorld) -> None:
    result = _loop(world, forecast="exception").run("go", SEED)
    assert result.end == "failed"
    assert result.message.startswith("INFERENCE_FAILED")


def test_the_same_seed_gives_the_same_motion(world: TableWorld) -> None:
    ends = []
    for _ in range(2):
        loop = _loop(world)
        loop.run("go", SEED)
        ends.append(world.proprioception().positions_rad)
    np.testing.assert_array_equal(*ends)


@pytest.mark.parametrize("bad", [{"max_points": 0}, {"num_samples": 0}, {"max_duration_s": 0.0}])
def test_settings_are_checked(bad: dict) -> None:
    with pytest.raises(ConfigError):
        LoopSettings(**bad)
