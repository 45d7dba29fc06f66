# SPDX-License-Identifier: Apache-2.0
"""Film scripted demonstrations with an RGB-D camera, together with the exact truth.

Measuring data for extraction, not training data: a film shows one table over any time, task after
task without a cut, and everything in it follows from its task, seed and settings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from mu0_core.errors import ConfigError, KinematicsError
from mu0_core.simulation import scene
from mu0_core.simulation.camera_motion import CameraMotion, HandHeldCamera
from mu0_core.simulation.chores import Chore, possible_chores, present_layout
from mu0_core.simulation.demonstration import TipServo, demonstrate
from mu0_core.simulation.expert import CONTROL_PERIOD_S, SPEED_M_S
from mu0_core.simulation.film_folder import FilmWriter
from mu0_core.simulation.film_log import FilmLog
from mu0_core.simulation.sensor_noise import SensorNoise, noisy_color, noisy_depth
from mu0_core.simulation.tasks import TASKS, get_task
from mu0_core.simulation.world import TableWorld

CAMERAS = ("static", "moving")
_FREE_LOW_M, _FREE_HIGH_M = np.array([0.36, -0.25, 0.20]), np.array([0.58, 0.25, 0.34])
_REST_S = 0.3  # between two tasks


@dataclass(frozen=True, slots=True)
class FilmSettings:
    """How a film is made.

    Attributes:
        camera: one of `CAMERAS`.
        frames: length of the film.
        fps: frames per simulated second, at most 500.
        width, height: of the pictures, px.
        textured: table and floor have a texture; without one they are plain.
        noise: of the sensor; None = exact pictures (depth still comes in millimetres).
        motion: of the moving camera.
    """

    camera: str = "static"
    frames: int = 60
    fps: float = 10.0
    width: int = 640
    height: int = 480
    textured: bool = True
    noise: SensorNoise | None = field(default_factory=SensorNoise)
    motion: CameraMotion = field(default_factory=CameraMotion)

    def __post_init__(self) -> None:
        if self.camera not in CAMERAS:
            raise ConfigError(f"camera {self.camera!r}: expected one of {', '.join(CAMERAS)}")
        if self.frames < 1 or not 0 < self.fps <= 1 / scene.PHYSICS_STEP_S:
            raise ConfigError(f"frames {self.frames} and fps {self.fps}: expected >= 1, 0 .. 500")
        if not (0 < self.width <= 1280 and 0 < self.height <= 960):
            raise ConfigError(f"{self.width}x{self.height}: expected at most 1280x960")


def film_name(camera: str, task: str, seed: int) -> str:
    """Return the folder name of a film."""
    return f"{camera}_{task}_{seed}"


def film(folder: Path, task: str, seed: int, settings: FilmSettings) -> None:
    """Film an episode from its first task on, until the film is full.

    When the expert is done it gets another possible task at random; when there is none, or it
    fails, the arm moves to a random free place.

    Args:
        folder: to be made.
        task: the first one, about the targets of the episode's layout.
        seed: of the episode, of what follows, of texture, noise and camera motion.
        settings: how.

    Raises:
        SimulationError: unknown task, no renderer.
        DataError: the folder exists.
    """
    get_task(task)
    world = FilmedWorld(
        width=settings.width,
        height=settings.height,
        texture_seed=seed if settings.textured else None,
    )
    try:
        with FilmWriter(folder) as writer:
            world.reset(seed)
            description, log = world.instructions()[task], FilmLog(world, settings.fps)
            hand = HandHeldCamera(world.layout, _hand_seed(task, seed), settings.motion)
            world.roll(settings, seed, hand, writer, log)
            try:
                _act(world, Chore(task, world.layout.targets[task]), seed, log)
            except _FilmIsFull:
                log.close(settings.frames)
            names = [world.body_name(k) for k in range(len(world.body_poses()))]
            about = {"seed": seed, "task": task, "settings": asdict(settings)}
            writer.finish(
                world.intrinsics,
                settings.fps,
                description,
                log.texts(),
                names,
                log.segments(),
                about,
            )
    finally:
        world.close()


def _hand_seed(task: str, seed: int) -> int:
    """Return a seed of its own for each task, so that films of one scene are seen differently."""
    return seed * len(TASKS) + list(TASKS).index(task)


class _FilmIsFull(Exception):
    """The last frame has been taken."""


class FilmedWorld(TableWorld):
    """A table world whose state is filmed at every frame time while its physics are stepped."""

    _shoot: Callable[[int], None] | None = None

    def roll(
        self,
        settings: FilmSettings,
        seed: int,
        hand: HandHeldCamera,
        writer: FilmWriter,
        log: FilmLog,
    ) -> None:
        """Start filming: the first frame is taken now."""
        still = self.T_base_camera
        path = hand if settings.camera == "moving" else lambda _: still

        def shoot(index: int) -> None:
            if index == settings.frames:
                raise _FilmIsFull
            self.set_camera(path(self.time_s))
            self._write_frame(settings.noise, np.random.default_rng([seed, index]), writer)
            log.add_poses(self.body_poses())

        self._shoot, self._fps, self._taken = shoot, settings.fps, 0
        self._take()

    def _take(self) -> None:
        self._shoot(self._taken)
        self._taken += 1

    def step(self, duration_s: float) -> None:
        """Advance the physics, stopping for a picture whenever a frame is due."""
        if self._shoot is None:
            super().step(duration_s)
            return
        left = max(1, round(duration_s / scene.PHYSICS_STEP_S))
        while left:
            due = round(self._taken / self._fps / scene.PHYSICS_STEP_S)
            due -= round(self.time_s / scene.PHYSICS_STEP_S)
            part = min(left, due)
            super().step(part * scene.PHYSICS_STEP_S)
            left -= part
            if part == due:
                self._take()

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


def _act(world: TableWorld, chore: Chore, seed: int, log: FilmLog) -> None:
    """Do one task after another, for ever."""
    rng = np.random.default_rng([seed, 31])
    while True:
        if chore.task == "press_button":
            world.button_was_pressed = False  # its lamp goes out
        world.layout = present_layout(world, chore)
        log.start(chore.task, world.instructions()[chore.task])
        try:
            over = demonstrate(world, chore.task, on_look=log.look)
        except KinematicsError:
            over = False
        log.stop(over and world.success(chore.task))
        world.step(_REST_S)
        chores = [c for c in possible_chores(world) if c != chore]
        while not over or not chores:
            _move_freely(world, rng)
            chores, over = possible_chores(world), True
        chore = chores[rng.integers(len(chores))]


def _move_freely(world: TableWorld, rng: np.random.Generator) -> None:
    """Lift the arm and move it to a random place above the table."""
    servo, start = TipServo(world), world.tip_position_m()
    opening_m = min(world.opening_m(), world.robot.gripper.open_m)
    goal = rng.uniform(_FREE_LOW_M, _FREE_HIGH_M)
    above = np.array([*start[:2], goal[2]])
    try:
        for a, b in ((start, above), (above, goal)):
            steps = max(1, round(np.linalg.norm(b - a) / SPEED_M_S / CONTROL_PERIOD_S))
            for k in range(1, steps + 1):
                servo.move(a + (b - a) * k / steps, opening_m, CONTROL_PERIOD_S)
    except KinematicsError:
        world.step(_REST_S)  # stays where it is; time goes on
    world.step(_REST_S)
