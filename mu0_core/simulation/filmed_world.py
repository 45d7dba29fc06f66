# SPDX-License-Identifier: Apache-2.0
"""A table world that is filmed: whenever a frame is due, picture and truth are written."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from mu0_core.simulation import scene
from mu0_core.simulation.camera_motion import HandHeldCamera
from mu0_core.simulation.film_folder import FilmWriter
from mu0_core.simulation.film_log import FilmLog
from mu0_core.simulation.sensor_noise import SensorNoise, noisy_color, noisy_depth
from mu0_core.simulation.world import TableWorld

if TYPE_CHECKING:
    from mu0_core.simulation.film import FilmSettings


class FilmIsFull(Exception):
    """The last frame has been taken."""


class FilmedWorld(TableWorld):
    """A table world whose state is filmed at every frame time while its physics are stepped."""

    _shoot: Callable[[int], None] | None = None

    def roll(
        self,
        settings: FilmSettings,
        seed: int,
        camera: HandHeldCamera,
        writer: FilmWriter,
        log: FilmLog,
    ) -> None:
        """Start filming: the first frame is taken now."""
        still = self.T_base_camera
        path = camera if settings.camera == "moving" else lambda _: still

        def shoot(index: int) -> None:
            if index == settings.frames:
                raise FilmIsFull
            self.set_camera(path(self.time_s))
            self._write_frame(settings.noise, np.random.default_rng([seed, index]), writer)
            log.add_poses(self.body_poses())

        self._shoot, self._fps, self._taken = shoot, settings.fps, 0
        self._take()

    @property
    def taken(self) -> int:
        """Number of frames that have been taken."""
        return self._taken

    def _take(self) -> None:
        self._shoot(self._taken)
        self._taken += 1

    def step(self, duration_s: float) -> None:
        """Advance the physics, stopping for a picture whenever a frame is due."""
        if self._shoot is None:
            self._advance(duration_s)
            return
        left = max(1, round(duration_s / scene.PHYSICS_STEP_S))
        while left:
            due = round(self._taken / self._fps / scene.PHYSICS_STEP_S)
            due -= round(self.time_s / scene.PHYSICS_STEP_S)
            part = min(left, due)
            self._advance(part * scene.PHYSICS_STEP_S)
            left -= part
            if part == due:
                self._take()

    def _advance(self, duration_s: float) -> None:
        super().step(duration_s)

    def _write_frame(
        self, noise: SensorNoise | None, rng: np.random.Generator, writer: FilmWriter
    ) -> None:
        frame, bodies = self.render(), self.render_body_ids()
        rgb, depth_m = frame.rgb, frame.depth_m
        if noise is not None:
            rgb = noisy_color(rgb, noise, rng)
            depth_m = noisy_depth(depth_m, frame.intrinsics, noise, rng)
        writer.add_frame(
            self.time_s,
            rgb,
            depth_m,
            frame.depth_m,
            bodies,
            self.T_base_camera,
            self.body_poses(),
        )
