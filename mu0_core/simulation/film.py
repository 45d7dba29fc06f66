# SPDX-License-Identifier: Apache-2.0
"""Film scripted demonstrations with an RGB-D camera, together with the exact truth.

Measuring data for extraction, not training data: a film shows one table over any time, task after
task without a cut, and everything in it follows from its task, seed and settings.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from mu0_core.errors import ConfigError, KinematicsError, SimulationError
from mu0_core.simulation import scene
from mu0_core.simulation.camera_motion import CameraMotion, HandHeldCamera
from mu0_core.simulation.chores import Chore, possible_chores, present_layout
from mu0_core.simulation.demonstration import TipServo, demonstrate
from mu0_core.simulation.expert import CONTROL_PERIOD_S, SPEED_M_S
from mu0_core.simulation.film_folder import FilmWriter
from mu0_core.simulation.film_log import FilmLog
from mu0_core.simulation.filmed_world import FilmedWorld, FilmIsFull
from mu0_core.simulation.hand_world import HandWorld
from mu0_core.simulation.sensor_noise import SensorNoise
from mu0_core.simulation.tasks import NEW_TASKS, TASKS, get_task, targets_of
from mu0_core.simulation.world import TableWorld

CAMERAS = ("static", "moving")
EMBODIMENTS = ("arm", "hand")
_FREE_LOW_M, _FREE_HIGH_M = np.array([0.36, -0.25, 0.20]), np.array([0.58, 0.25, 0.34])
_REST_S = 0.3  # between two tasks, and at the end of a single film


@dataclass(frozen=True, slots=True)
class FilmSettings:
    """How a film is made.

    Attributes:
        camera: one of `CAMERAS`.
        frames: length of the film; the most that a single film may have.
        fps: frames per simulated second, at most 500.
        width, height: of the pictures, px.
        textured: table and floor have a texture; without one they are plain.
        noise: of the sensor; None = exact pictures (depth still comes in millimetres).
        motion: of the moving camera.
        embodiment: one of `EMBODIMENTS`; a hand's films are single.
        single: the film ends when its task is over, instead of going on with others.
    """

    camera: str = "static"
    frames: int = 60
    fps: float = 10.0
    width: int = 640
    height: int = 480
    textured: bool = True
    noise: SensorNoise | None = field(default_factory=SensorNoise)
    motion: CameraMotion = field(default_factory=CameraMotion)
    embodiment: str = "arm"
    single: bool = False

    def __post_init__(self) -> None:
        if self.embodiment not in EMBODIMENTS:
            raise ConfigError(
                f"embodiment {self.embodiment!r}: expected one of {', '.join(EMBODIMENTS)}"
            )
        if self.embodiment == "hand" and not self.single:
            raise ConfigError("films of a hand are single: it does one task")
        if self.camera not in CAMERAS:
            raise ConfigError(f"camera {self.camera!r}: expected one of {', '.join(CAMERAS)}")
        if self.frames < 1 or not 0 < self.fps <= 1 / scene.PHYSICS_STEP_S:
            raise ConfigError(f"frames {self.frames} and fps {self.fps}: expected >= 1, 0 .. 500")
        if not (0 < self.width <= 1280 and 0 < self.height <= 960):
            raise ConfigError(f"{self.width}x{self.height}: expected at most 1280x960")


def film_name(settings: FilmSettings, task: str, seed: int) -> str:
    """Return the folder name of a film."""
    kind = f"{settings.embodiment}_" if settings.single else ""
    return f"{kind}{settings.camera}_{task}_{seed}"


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
        SimulationError: unknown task, no renderer, or a single film whose task is not achieved.
        DataError: the folder exists.
    """
    get_task(task)
    world = (HandWorld if settings.embodiment == "hand" else FilmedWorld)(
        width=settings.width,
        height=settings.height,
        texture_seed=seed if settings.textured else None,
    )
    try:
        with FilmWriter(folder) as writer:
            world.reset(seed)
            description, log = world.instruction(task), FilmLog(world, settings.fps)
            camera = HandHeldCamera(world.layout, _camera_seed(task, seed), settings.motion)
            world.roll(settings, seed, camera, writer, log)
            try:
                if settings.single:
                    _act_once(world, task, seed, log)
                else:
                    _act(world, Chore(task, targets_of(world.layout, task)), seed, log)
            except FilmIsFull:
                _check_room(settings, task, seed)
            log.close(world.taken)
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


def _camera_seed(task: str, seed: int) -> int:
    """Return a seed of its own for each task, so that films of one scene are seen differently."""
    return seed * len(TASKS) + [*TASKS, *NEW_TASKS].index(task)


def _check_room(settings: FilmSettings, task: str, seed: int) -> None:
    if settings.single:
        raise SimulationError(
            f"{task} of seed {seed} is not over after {settings.frames} frames; film more of them"
        )


def _act_once(world: FilmedWorld, task: str, seed: int, log: FilmLog) -> None:
    """Do one task and rest."""
    log.start(task, world.instruction(task))
    if isinstance(world, HandWorld):
        over = world.demonstrate(task, log)
    else:
        over = demonstrate(world, task, on_look=log.look)
    achieved = over and world.success(task)
    if not achieved:
        raise SimulationError(f"{task} of seed {seed} was not achieved; film another seed")
    world.step(_REST_S)
    log.stop(achieved)


def _act(world: TableWorld, chore: Chore, seed: int, log: FilmLog) -> None:
    """Do one task after another, for ever."""
    rng = np.random.default_rng([seed, 31])
    while True:
        if chore.task == "press_button":
            world.button_was_pressed = False  # its lamp goes out
        world.layout = present_layout(world, chore)
        log.start(chore.task, world.instruction(chore.task))
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
