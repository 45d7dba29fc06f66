# SPDX-License-Identifier: Apache-2.0
"""The simulator node with Gazebo Classic 11 in the place of MuJoCo; all topics and services stay.

Started by ``scripts/gazebo_classic/run.py``; not part of the product's launch. The variable
``MU0_GAZEBO_ROOT`` names the chroot, ``MU0_GAZEBO_LOG`` the folder for the output of gzserver and
for the rates.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.executors import ExternalShutdownException

from mu0_core.errors import SimulationError
from mu0_core.gazebo.classic.server import DEFAULT_ROOT, GazeboServer
from mu0_core.gazebo.classic.world import GazeboTableWorld
from mu0_ros.gazebo_classic.rates import Rates
from mu0_ros.node_process import run
from mu0_ros.nodes.simulator_node import SimulatorNode

_WRITE_EVERY = 20  # images
_START_S = 100.0


class GazeboClassicNode(SimulatorNode):
    """Steps a `GazeboTableWorld` in lockstep: simulated time is what Gazebo says."""

    def _run(self, ready: threading.Event) -> None:
        root = Path(os.environ.get("MU0_GAZEBO_ROOT", DEFAULT_ROOT))
        self._log = Path(os.environ.get("MU0_GAZEBO_LOG", "outputs/gazebo_classic"))
        self._rates = Rates()
        world = GazeboTableWorld(self._robot, GazeboServer(root, self._log))
        try:
            self._reset(world, self.settings.seed)
            world.render()
            ready.set()
            self._spin(world)
        except ExternalShutdownException:
            pass
        finally:
            world.close()

    def _reset(self, world: GazeboTableWorld, seed: int) -> dict[str, str]:
        self._rates.pause()
        return super()._reset(world, seed)

    def _ask(self, work: Callable[[GazeboTableWorld], Any]) -> Any:
        """Do as the base does, with the patience that a start of gzserver needs."""
        kept: list[Any] = []
        done = threading.Event()
        self._requests.put((work, done, kept))
        if not done.wait(_START_S):
            raise SimulationError(f"Gazebo does not answer within {_START_S:.0f} s")
        if isinstance(kept[0], Exception):
            raise kept[0]
        return kept[0]

    def _step(self, world: GazeboTableWorld) -> None:
        started, before_ns = time.monotonic(), self._sim_ns
        super()._step(world)
        late = np.max(np.abs(world.arm_error_rad()))
        self._rates.stepped(started, (self._sim_ns - before_ns) * 1e-9, float(late))

    def _publish_images(self, world: GazeboTableWorld) -> None:
        started = time.monotonic()
        super()._publish_images(world)
        self._rates.imaged(started)
        if len(self._rates.image_ms) % _WRITE_EVERY == 0:
            self._rates.write(self._log / "rates.json")


def main() -> None:
    """Run the node."""
    raise SystemExit(run(GazeboClassicNode))


if __name__ == "__main__":
    main()
