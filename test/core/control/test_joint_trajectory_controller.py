# SPDX-License-Identifier: Apache-2.0
"""The rules of ros2_control's trajectory controller, one by one."""

import numpy as np
import pytest

from mu0_core.control.joint_trajectory_controller import JointTrajectoryController
from mu0_core.errors import TrajectoryError
from mu0_core.types import JointTrajectory

NAMES = ("a", "b")


def controller(**options) -> JointTrajectoryController:
    c = JointTrajectoryController(NAMES, **options)
    c.set_initial(np.array([1.0, -1.0]))
    return c


def trajectory(times, positions, velocities=None, accelerations=None, names=NAMES):
    columns = [None if c is None else np.array(c, float) for c in (velocities, accelerations)]
    return JointTrajectory(names, np.array(times, float), np.array(positions, float), *columns)


GOOD = trajectory([1.0, 2.0], [[2, 0], [3, 1]])


def test_holds_the_initial_position():
    position, velocity = controller().sample(123.0)
    np.testing.assert_array_equal(position, [1, -1])
    np.testing.assert_array_equal(velocity, [0, 0])


def test_without_a_state_nothing_is_accepted():
    with pytest.raises(TrajectoryError, match="no state"):
        JointTrajectoryController(NAMES).accept(GOOD, 0.0)
    with pytest.raises(TrajectoryError, match="no state"):
        JointTrajectoryController(NAMES).sample(0.0)


@pytest.mark.parametrize("positions", [[1.0], [1.0, np.nan], [1.0, np.inf]])
def test_initial_positions_must_be_finite_and_complete(positions):
    with pytest.raises(TrajectoryError, match="finite"):
        JointTrajectoryController(NAMES).set_initial(np.array(positions))


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (trajectory([1], [[0, 0]], names=("a", "x")), "unknown joints"),
        (trajectory([1], [[0]], names=("a",)), "missing"),
        (trajectory([1], [[0, 0]], names=("a", "a")), "doubled"),
        (trajectory([1], [[0, 0, 0]]), "shape"),
        (trajectory([1, 2], [[0, 0]]), "shape"),
        (trajectory([1], [[0, 0]], velocities=[[0]]), "shape"),
        (trajectory([1], [[0, 0]], [[0, 0]], [[0]]), "shape"),
        (trajectory([1, 1], [[0, 0], [1, 1]]), "increase"),
        (trajectory([2, 1], [[0, 0], [1, 1]]), "increase"),
        (trajectory([-1, 1], [[0, 0], [1, 1]]), "negative"),
        (trajectory([np.nan], [[0, 0]]), "finite"),
        (trajectory([np.inf], [[0, 0]]), "finite"),
        (trajectory([1], [[0, np.nan]]), "finite"),
        (trajectory([1], [[0, 0]], [[np.inf, 0]]), "finite"),
        (trajectory([1], [[0, 0]], [[0.1, 0]]), "velocity at the end"),
        (trajectory([1], [[0, 0]], None, [[0, 0]]), "need velocities"),
    ],
)
def test_refuses_and_goes_on(bad, reason):
    c = controller()
    c.accept(GOOD, 0.0)
    before = c.sample(0.5)
    with pytest.raises(TrajectoryError, match=reason):
        c.accept(bad, 0.5)
    np.testing.assert_array_equal(c.sample(0.5), before)
    np.testing.assert_array_equal(c.sample(9.0)[0], [3, 1])


def test_refuses_what_is_over_already():
    with pytest.raises(TrajectoryError, match=r"ended 3\.000 s ago"):
        controller().accept(GOOD, 10.0, start_time_s=5.0)


def test_leaves_out_points_that_are_over():
    c = controller()
    c.accept(GOOD, 10.0, start_time_s=8.5)  # the point of 9.5 is over, the one of 10.5 is not
    np.testing.assert_allclose(c.sample(10.25)[0], [2, 0])
    assert c.remaining_s(10.25) == pytest.approx(0.25)


def test_starts_later_when_told_so():
    c = controller()
    c.accept(GOOD, 0.0, start_time_s=1.0)
    np.testing.assert_allclose(c.sample(1.0)[0], [1.5, -0.5])  # on the way to the first point at 2
    np.testing.assert_allclose(c.sample(3.0)[0], [3, 1])


def test_positions_alone_are_joined_linearly():
    c = controller()
    c.accept(GOOD, 0.0)
    position, velocity = c.sample(0.5)
    np.testing.assert_allclose(position, [1.5, -0.5])
    np.testing.assert_allclose(velocity, [1, 1])


def test_velocities_make_it_cubic():
    c = controller()
    c.accept(trajectory([1.0], [[2, 0]], [[0, 0]]), 0.0)
    t = 0.3
    np.testing.assert_allclose(c.sample(t)[0], np.array([1, -1]) + (3 * t**2 - 2 * t**3))
    np.testing.assert_allclose(c.sample(t)[1], 6 * t * (1 - t) * np.ones(2))


def test_accelerations_make_it_quintic():
    c = controller()
    c.accept(trajectory([1.0], [[2, 0]], [[0, 0]], [[0, 0]]), 0.0)
    t = 0.3
    rise = 10 * t**3 - 15 * t**4 + 6 * t**5
    np.testing.assert_allclose(c.sample(t)[0], np.array([1, -1]) + rise)


def test_holds_the_last_point_at_rest():
    c = controller()
    c.accept(GOOD, 0.0)
    position, velocity = c.sample(2.0)
    np.testing.assert_array_equal(position, [3, 1])
    np.testing.assert_array_equal(velocity, [0, 0])
    assert c.remaining_s(5.0) == 0.0


def test_joints_are_taken_by_name():
    c = controller()
    c.accept(trajectory([1.0], [[10, 20]], names=("b", "a")), 0.0)
    np.testing.assert_array_equal(c.sample(2.0)[0], [20, 10])


def test_replacing_goes_on_from_the_commanded_state():
    c = controller()
    c.accept(trajectory([1.0], [[2, 0]], [[0, 0]], [[0, 0]]), 0.0)
    before = c.commanded(0.4)
    c.accept(trajectory([1.0], [[1, -1]], [[0, 0]], [[0, 0]]), 0.4)
    for now, then in zip(c.commanded(0.4), before):
        np.testing.assert_allclose(now, then, atol=1e-9)
    np.testing.assert_array_equal(c.sample(1.4)[0], [1, -1])


def test_empty_means_hold_here():
    c = controller()
    c.accept(GOOD, 0.0)
    c.accept(JointTrajectory(NAMES, np.zeros(0), np.zeros((0, 2))), 0.5)
    np.testing.assert_allclose(c.sample(0.5)[0], [1.5, -0.5])
    np.testing.assert_allclose(c.sample(9.0)[0], [1.5, -0.5])


def test_end_velocity_may_be_allowed():
    c = controller(allow_nonzero_velocity_at_end=True)
    c.accept(trajectory([1.0], [[2, 0]], [[1, 1]]), 0.0)
    np.testing.assert_array_equal(c.sample(1.0)[1], [0, 0])  # the end is held all the same


def test_partial_joints_may_be_allowed():
    c = controller(allow_partial_joints=True)
    c.accept(trajectory([1.0], [[5]], names=("b",)), 0.0)
    np.testing.assert_array_equal(c.sample(1.0)[0], [1, 5])


def test_look_ahead_is_the_future():
    c = controller()
    c.accept(GOOD, 100.0)
    ahead = c.ahead(100.25, np.array([0.0, 0.5, 9.0]))
    for k, dt in enumerate((0.0, 0.5, 9.0)):
        np.testing.assert_allclose(ahead[0][k], c.sample(100.25 + dt)[0])


def test_wall_clock_times_keep_their_digits():
    now = 1.8e9
    c = controller()
    c.accept(trajectory(np.arange(1, 101) * 0.02, np.linspace([1, -1], [2, 0], 101)[1:]), now)
    np.testing.assert_allclose(c.sample(now + 1.0)[0], [1.5, -0.5], atol=1e-6)
    np.testing.assert_allclose(c.sample(now + 1.01)[1], [0.5, 0.5], rtol=1e-6)
