# SPDX-License-Identifier: Apache-2.0
"""`GazeboTableWorld` against a small stand-in for the plugin, which knows no physics but servos.

What only Gazebo can show (contacts, pictures) is shown by scripts/gazebo_classic/run.py.
"""

import os
import socket
import struct
import threading
from xml.etree import ElementTree

import numpy as np
import pytest

pytest.importorskip("mujoco")
os.environ.setdefault("MUJOCO_GL", "egl")

from mu0_core.errors import SimulationError
from mu0_core.gazebo.classic.table_sdf import BODIES, servo_joints
from mu0_core.gazebo.classic.world import GazeboTableWorld
from mu0_core.robot.description import load_robot
from mu0_core.simulation import scene
from mu0_core.simulation.layout import sample_layout

SEED = 50_000
SERVOS = len(servo_joints(load_robot("fr3")))


class PluginStandIn:
    """Takes worlds as a `GazeboServer` does; servos obey at once, things can be moved."""

    def __init__(self):
        self.worlds, self.painted, self.closed = [], [], False
        self.moved, self.velocity = {}, {}
        self.depth = np.ones((480, 640), "<f4")

    def start(self, world, meshes):
        assert (meshes / "hand.stl").is_file()
        self.worlds.append(ElementTree.fromstring(world).find("world"))
        self._time, self._joints = 0.0, np.zeros(SERVOS)
        near, far = socket.socketpair()
        near.settimeout(5.0)
        threading.Thread(target=self._serve, args=(far,), daemon=True).start()
        return near

    def close(self):
        self.closed = True

    def _serve(self, peer):
        while head := peer.recv(4, socket.MSG_WAITALL):
            question = peer.recv(struct.unpack("<I", head)[0], socket.MSG_WAITALL)
            answer = self._answer(question[:1], question[1:])
            peer.sendall(struct.pack("<I", len(answer)) + answer)

    def _answer(self, kind, data):
        if kind == b"R":
            rgb = np.full((480, 640, 3), 7, np.uint8)
            return struct.pack("<II", 640, 480) + rgb.tobytes() + self.depth.tobytes()
        if kind == b"C":
            (length,) = struct.unpack_from("<I", data)
            self.painted.append((data[4:][:length].decode(), struct.unpack("<3f", data[-12:])))
            return b""
        if kind == b"Z":
            self.moved.clear()
            self._joints = np.zeros(SERVOS)
        else:
            self._time += 0.002 * (struct.unpack_from("<I", data)[0] if kind == b"S" else 1)
            self._joints = np.frombuffer(data[-8 * SERVOS :], "<f8")
        numbers = [self._time, *np.column_stack([self._joints, np.zeros(SERVOS)]).ravel()]
        for body in BODIES:
            numbers += [*self._place(body), 1, 0, 0, 0, *self.velocity.get(body, (0, 0, 0))]
        return np.array(numbers, "<f8").tobytes()

    def _place(self, body):
        model = self.worlds[-1].find(f"model[@name='{body.split('::')[0]}']")
        place = [float(x) for x in model.findtext("pose").split()[:3]]
        return np.array(place) + self.moved.get(body, (0, 0, 0))


@pytest.fixture
def gazebo():
    plugin = PluginStandIn()
    world = GazeboTableWorld(load_robot("fr3"), plugin)
    yield plugin, world
    world.close()
    assert plugin.closed


def test_before_the_first_reset_there_is_no_world(gazebo):
    with pytest.raises(SimulationError, match="reset first"):
        gazebo[1].render()


def test_after_a_reset_the_arm_is_at_the_start_of_the_layout_and_time_is_zero(gazebo):
    _, world = gazebo
    world.reset(SEED)
    np.testing.assert_allclose(world.tip_position_m(), sample_layout(SEED).start_tip_m, atol=2e-3)
    assert world.stamp_ns == 0 and world.opening_m() == pytest.approx(0.08)
    assert not any(world.success(task) for task in world.instructions())


def test_things_lie_where_the_layout_has_them(gazebo):
    _, world = gazebo
    world.reset(SEED)
    for index, name in enumerate(scene.CUBES):
        xy = sample_layout(SEED).cube_xy_m[index]
        np.testing.assert_allclose(world.cube_position_m(index)[:2], xy, atol=1e-5)
        np.testing.assert_array_equal(world.body_position_m(name), world.cube_position_m(index))


def test_time_and_joints_follow_steps_and_commands(gazebo):
    _, world = gazebo
    world.reset(SEED)
    target = world.proprioception().positions_rad + 0.1
    world.command_arm(target)
    world.command_gripper(0.03)
    np.testing.assert_allclose(world.arm_error_rad(), 0.1)
    world.step(0.02)
    state = world.proprioception()
    np.testing.assert_array_equal(state.positions_rad, target)
    assert state.gripper_m == pytest.approx(0.03) and state.stamp_ns == 20_000_000


def test_one_gzserver_serves_a_seed_and_another_seed_gets_its_own(gazebo):
    plugin, world = gazebo
    world.reset(SEED)
    plugin.moved["cube_a::link"] = (0.1, 0, 0)
    world.reset(SEED)
    assert len(plugin.worlds) == 1 and not plugin.moved
    world.reset(SEED + 1)
    assert len(plugin.worlds) == 2 and world.layout.seed == SEED + 1


def test_a_pressed_button_lights_up_once_and_is_dark_again_after_a_reset(gazebo):
    plugin, world = gazebo
    world.reset(SEED)
    plugin.moved["button::cap"] = (0, 0, -0.005)
    world.step(0.02)
    assert not world.success("press_button")
    plugin.moved["button::cap"] = (0, 0, -0.008)
    world.step(0.02)
    plugin.moved["button::cap"] = (0, 0, 0)
    world.step(0.02)
    assert world.success("press_button")
    assert [rgb for _, rgb in plugin.painted] == [pytest.approx(scene.BUTTON_LIT_RGB)]
    world.reset(SEED)
    assert plugin.painted[-1][1] == pytest.approx(scene.BUTTON_DARK_RGB)
    assert not world.success("press_button")


def test_a_cube_counts_as_pushed_only_at_rest(gazebo):
    plugin, world = gazebo
    world.reset(SEED)
    (cube,) = sample_layout(SEED).targets["push_left"]
    body = f"{scene.CUBES[cube]}::link"
    plugin.moved[body], plugin.velocity[body] = (0, 0.1, 0), (0, 0.2, 0)
    world.step(0.02)
    assert not world.success("push_left")
    plugin.velocity.clear()
    world.step(0.02)
    assert world.success("push_left")


def test_depth_beyond_nine_metres_is_unknown(gazebo):
    plugin, world = gazebo
    world.reset(SEED)
    plugin.depth[0, :4] = (np.inf, 9.5, np.nan, -np.inf)
    frame = world.render()
    assert np.isnan(frame.depth_m[0, :4]).all() and np.isfinite(frame.depth_m[0, 4:]).all()
    assert frame.intrinsics == world.intrinsics and frame.rgb.shape == (480, 640, 3)
