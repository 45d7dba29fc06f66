# SPDX-License-Identifier: Apache-2.0
"""Questions to the plugin in Gazebo Classic and its answers, over a stream socket.

The format is told in ``scripts/gazebo_classic/bridge_plugin.cc``: a uint32 length and that many
bytes, little-endian. The world moves only while a question is answered.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

import numpy as np

from mu0_core.errors import SimulationError
from mu0_core.geometry import se3

_BODY_NUMBERS = 10
_LONGEST_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class GazeboState:
    """The truth after a step.

    Attributes:
        time_s: simulated time.
        positions: (J,) rad or m, and velocities: (J,), of the servos.
        poses: (B, 4, 4) T_world_body.
        velocities_m_s: (B, 3) of the bodies.
    """

    time_s: float
    positions: np.ndarray
    velocities: np.ndarray
    poses: np.ndarray
    velocities_m_s: np.ndarray


class BridgeConnection:
    """One end of the socket. Not thread-safe.

    Args:
        peer: connected stream socket; its time-out is how long an answer may take.
        servos: number of joints that the plugin moves.
        bodies: number of bodies that it reports.
    """

    def __init__(self, peer: socket.socket, servos: int, bodies: int) -> None:
        self._peer, self._servos, self._bodies = peer, servos, bodies

    def restore(self) -> GazeboState:
        """Put everything back to where the world file has it, joints to 0."""
        return self._state(b"Z")

    def place(self, positions: np.ndarray) -> GazeboState:
        """Put the joints (J,) somewhere, at rest."""
        return self._state(b"P" + self._targets(positions))

    def step(self, steps: int, targets: np.ndarray) -> GazeboState:
        """Let the servos move towards targets (J,) for a number of physics steps."""
        return self._state(b"S" + struct.pack("<I", steps) + self._targets(targets))

    def render(self) -> tuple[np.ndarray, np.ndarray]:
        """Return colour (h, w, 3) uint8 and depth (h, w) float32 in metres, as Gazebo gives it.

        Raises:
            SimulationError: no answer, or one of the wrong size.
        """
        answer = self._ask(b"R")
        if len(answer) < 8:
            raise SimulationError(f"image of {len(answer)} bytes from Gazebo; at least 8 needed")
        width, height = struct.unpack_from("<II", answer)
        pixels = width * height
        if len(answer) != 8 + 7 * pixels:
            raise SimulationError(
                f"{width}x{height} images need {8 + 7 * pixels} bytes, Gazebo sent {len(answer)}"
            )
        rgb = np.frombuffer(answer, np.uint8, 3 * pixels, 8).reshape(height, width, 3)
        depth = np.frombuffer(answer, "<f4", pixels, 8 + 3 * pixels).reshape(height, width)
        return rgb.copy(), depth.copy()

    def paint(self, visual: str, rgb: tuple[float, float, float]) -> None:
        """Give a visual another colour."""
        name = visual.encode()
        self._ask(b"C" + struct.pack("<I", len(name)) + name + struct.pack("<3f", *rgb))

    def close(self) -> None:
        """End the connection; the plugin ends with it."""
        self._peer.close()

    def _targets(self, targets: np.ndarray) -> bytes:
        targets = np.asarray(targets, dtype="<f8")
        if targets.shape != (self._servos,) or not np.all(np.isfinite(targets)):
            raise SimulationError(f"expected {self._servos} finite servo targets: {targets}")
        return targets.tobytes()

    def _state(self, question: bytes) -> GazeboState:
        answer = self._ask(question)
        expected = 8 * (1 + 2 * self._servos + _BODY_NUMBERS * self._bodies)
        if len(answer) != expected:
            raise SimulationError(f"state of {len(answer)} bytes, expected {expected}")
        numbers = np.frombuffer(answer, "<f8")
        if not np.all(np.isfinite(numbers)):
            raise SimulationError("Gazebo's state is not finite: its physics broke down")
        joints = numbers[1 : 1 + 2 * self._servos].reshape(-1, 2)
        bodies = numbers[1 + 2 * self._servos :].reshape(-1, _BODY_NUMBERS)
        poses = [se3.from_quat_xyzw(b[:3], np.roll(b[3:7], -1)) for b in bodies]
        return GazeboState(
            float(numbers[0]),
            joints[:, 0].copy(),
            joints[:, 1].copy(),
            np.array(poses).reshape(-1, 4, 4),
            bodies[:, 7:].copy(),
        )

    def _ask(self, question: bytes) -> bytes:
        try:
            self._peer.sendall(struct.pack("<I", len(question)) + question)
            (length,) = struct.unpack("<I", self._receive(4))
            if length > _LONGEST_BYTES:
                raise SimulationError(f"answer of {length} bytes; at most {_LONGEST_BYTES}")
            return self._receive(length)
        except OSError as error:
            raise SimulationError(
                f"Gazebo does not answer ({error or type(error).__name__}); see its log"
            ) from error

    def _receive(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            piece = self._peer.recv(min(2**20, length - len(data)))
            if not piece:
                raise SimulationError("Gazebo closed the connection; see its log")
            data += piece
        return bytes(data)
