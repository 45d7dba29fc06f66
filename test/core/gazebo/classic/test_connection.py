# SPDX-License-Identifier: Apache-2.0
"""Questions and answers over a real socket pair, with a peer that speaks the plugin's format."""

import socket
import struct
import threading

import numpy as np
import pytest

from mu0_core.errors import SimulationError
from mu0_core.gazebo.classic.connection import BridgeConnection

SERVOS, BODIES = 3, 2
STATE_NUMBERS = 1 + 2 * SERVOS + 10 * BODIES


class Peer:
    """The other end: keeps what it was asked, gives each question the next answer."""

    def __init__(self, answers, pieces=1):
        self.near, self.far = socket.socketpair()
        self.near.settimeout(2.0)
        self.asked, self._answers, self._pieces = [], answers, pieces
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        for answer in self._answers:
            head = self.far.recv(4, socket.MSG_WAITALL)
            if len(head) < 4:
                return
            self.asked.append(self.far.recv(struct.unpack("<I", head)[0], socket.MSG_WAITALL))
            if answer is None:
                break
            data = struct.pack("<I", len(answer)) + answer
            for piece in np.array_split(np.frombuffer(data, np.uint8), self._pieces):
                self.far.sendall(piece.tobytes())
        self.far.close()

    def connection(self):
        return BridgeConnection(self.near, SERVOS, BODIES)


def state_bytes(seed=0):
    numbers = np.random.default_rng(seed).uniform(-1, 1, STATE_NUMBERS)
    for body in range(BODIES):
        numbers[1 + 2 * SERVOS + 10 * body + 3 :][:4] = (np.cos(0.3), 0, 0, np.sin(0.3))
    return numbers, numbers.astype("<f8").tobytes()


@pytest.mark.parametrize("pieces", [1, 7, 50])
def test_a_state_is_read_however_it_is_cut_on_the_way(pieces):
    numbers, data = state_bytes()
    state = Peer([data], pieces).connection().step(10, np.zeros(SERVOS))
    assert state.time_s == numbers[0]
    np.testing.assert_array_equal(state.positions, numbers[1:7:2])
    np.testing.assert_array_equal(state.velocities, numbers[2:8:2])
    np.testing.assert_array_equal(state.poses[:, :3, 3], numbers[7:].reshape(2, 10)[:, :3])
    np.testing.assert_array_equal(state.velocities_m_s, numbers[7:].reshape(2, 10)[:, 7:])
    turn = [[np.cos(0.6), -np.sin(0.6), 0], [np.sin(0.6), np.cos(0.6), 0], [0, 0, 1]]
    np.testing.assert_allclose(state.poses[0, :3, :3], turn, atol=1e-12)


def test_questions_are_what_the_plugin_reads():
    peer = Peer([state_bytes()[1], state_bytes()[1], b"", state_bytes()[1]])
    connection, targets = peer.connection(), np.array([0.5, -1.0, 0.02])
    connection.place(targets)
    connection.step(25, targets)
    connection.paint("a::b", (1.0, 0.5, 0.25))
    connection.restore()
    numbers = targets.astype("<f8").tobytes()
    assert peer.asked[0] == b"P" + numbers
    assert peer.asked[1] == b"S" + struct.pack("<I", 25) + numbers
    assert peer.asked[2] == b"C" + struct.pack("<I4s3f", 4, b"a::b", 1.0, 0.5, 0.25)
    assert peer.asked[3] == b"Z"


def test_images_are_rows_of_colour_then_rows_of_depth():
    rgb = np.arange(4 * 3 * 3, dtype=np.uint8).reshape(3, 4, 3)
    depth = np.linspace(0.5, 2.0, 12, dtype="<f4").reshape(3, 4)
    depth[0, 0] = np.inf
    answer = struct.pack("<II", 4, 3) + rgb.tobytes() + depth.tobytes()
    got_rgb, got_depth = Peer([answer], 5).connection().render()
    np.testing.assert_array_equal(got_rgb, rgb)
    np.testing.assert_array_equal(got_depth, depth)
    assert got_rgb.flags.writeable and got_depth.flags.writeable


@pytest.mark.parametrize("targets", [np.zeros(2), np.array([0.0, np.nan, 0.0]), np.zeros((3, 1))])
def test_wrong_targets_never_leave(targets):
    peer = Peer([])
    with pytest.raises(SimulationError, match="expected 3 finite servo targets"):
        peer.connection().step(1, targets)
    assert peer.asked == []


@pytest.mark.parametrize(
    ("ask", "answer", "message"),
    [
        ("step", b"\0" * 8, "state of 8 bytes, expected 216"),
        ("render", b"\0" * 4, "image of 4 bytes"),
        ("render", struct.pack("<II", 2, 2) + b"\0" * 27, "2x2 images need 36 bytes, .* sent 35"),
        ("step", None, "closed the connection"),
        ("render", None, "closed the connection"),
    ],
)
def test_a_wrong_answer_is_an_error_that_says_so(ask, answer, message):
    connection = Peer([answer]).connection()
    with pytest.raises(SimulationError, match=message):
        connection.render() if ask == "render" else connection.step(1, np.zeros(SERVOS))


def test_a_state_that_is_not_finite_is_refused():
    numbers, _ = state_bytes()
    numbers[2] = np.nan
    with pytest.raises(SimulationError, match="physics broke down"):
        Peer([numbers.astype("<f8").tobytes()]).connection().step(1, np.zeros(SERVOS))


def test_an_answer_longer_than_any_image_is_refused():
    near, far = socket.socketpair()
    far.sendall(struct.pack("<I", 2**31))
    with pytest.raises(SimulationError, match="answer of 2147483648 bytes"):
        BridgeConnection(near, SERVOS, BODIES).render()
    far.close()


def test_silence_ends_in_an_error():
    near, far = socket.socketpair()
    near.settimeout(0.05)
    with pytest.raises(SimulationError, match="does not answer"):
        BridgeConnection(near, SERVOS, BODIES).render()
    far.close()
