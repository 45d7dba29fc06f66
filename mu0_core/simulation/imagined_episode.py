# SPDX-License-Identifier: Apache-2.0
"""Episodes of the released format with exact traces, imagined without physics.

One episode per seed: a table in some state, and for each of several sentences about it what the
expert would do. A sentence has a picture at rest, the same for all of them, and pictures on the
way, whose points have a past. Hundreds of scenes a minute, where a film has one demonstration in
ten seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from mu0_core.data.arc_length import resample_tracks
from mu0_core.data.captions import CaptionEntry, Captions
from mu0_core.data.episode_writer import FUTURE_COLUMNS, HISTORY_COLUMNS, EpisodeWriter
from mu0_core.errors import ConfigError, NoQueryPointsError
from mu0_core.geometry import camera
from mu0_core.inference.keypoints import PlaneSelector
from mu0_core.simulation.layout import possible_targets, sample_layout
from mu0_core.simulation.path_bodies import PathBodies
from mu0_core.simulation.shadow_table import ShadowPath, ShadowTable, play
from mu0_core.simulation.snapshot import (
    SnapshotSettings,
    draw_sentences,
    draw_state,
    draw_task,
)
from mu0_core.simulation.table_view import pose_world
from mu0_core.simulation.tasks import TASKS, get_task
from mu0_core.simulation.tracks import body_tracks
from mu0_core.simulation.unseen import make_unseen
from mu0_core.simulation.world import TableWorld
from mu0_core.types import CameraIntrinsics, QueryPoints, RgbdFrame

CAPTIONER = "simulator"
_MOVES_M = 0.01  # a point moves when its way fills a box with at least this diagonal
_LEAST_STEPS = 3  # on either side of a picture on the way


@dataclass(frozen=True, slots=True)
class ImaginedSettings:
    """What an episode shows.

    Attributes:
        tasks: that the sentences are about.
        unseen: how scenes differ from those of a training, see `unseen`; None = not at all.
        on_the_way: sentences that also have a picture on the way, at most.
        side_px: width and height of the stored pictures.
        state: how states and sentences are drawn.
    """

    tasks: tuple[str, ...] = tuple(TASKS)
    unseen: str | None = None
    on_the_way: int = 3
    side_px: int = 224
    state: SnapshotSettings = field(default_factory=SnapshotSettings)

    def __post_init__(self) -> None:
        for name in self.tasks:
            get_task(name)
        if not self.tasks or self.on_the_way < 0 or self.side_px < 14:
            raise ConfigError(f"tasks, on_the_way >= 0 and side_px >= 14 are needed: {self}")


@dataclass(frozen=True, slots=True)
class _Picture:
    """A picture, the points that will move, and their way (K, N, 3) in the optical frame in m."""

    frame: RgbdFrame
    entity: np.ndarray
    tracks_m: np.ndarray
    now: int
    texts: tuple[str, ...]


class ImaginedEpisodes:
    """Makes the episode of a seed, in one world; everything follows from the seed."""

    def __init__(self, world: TableWorld, settings: ImaginedSettings) -> None:
        self._world, self._settings = world, settings
        self._selector, self._bodies = PlaneSelector(), PathBodies(world)

    def write(self, seed: int, folder: Path) -> bool:
        """Write the episode of ``seed`` to ``folder``; return False when its state shows nothing.

        Raises:
            DataError: the folder exists.
        """
        pictures = self._pictures(seed)
        if not pictures:
            return False
        _write(pictures, self._world.T_base_camera, self._settings.side_px, folder)
        return True

    def _pictures(self, seed: int) -> list[_Picture]:
        world, settings = self._world, self._settings
        rng = np.random.default_rng([seed, 43])
        layout = sample_layout(seed)
        if settings.unseen is not None:
            layout = make_unseen(layout, settings.unseen)
        world.set_layout(layout)
        targets = {k: v for k, v in possible_targets(layout).items() if k in settings.tasks}
        task, cubes = draw_task(rng, targets)
        table = draw_state(ShadowTable(layout), task, cubes, settings.state, rng)
        world.button_was_pressed = table.button_was_pressed
        start = self._bodies.joints(table.tip_position_m(), table.opening_m())
        if np.isnan(start).any():
            return []
        pose_world(world, start, table.opening_m(), table.cubes_m, table.yaw_rad)
        seen = self._look()
        if seen is None:
            return []
        poses_now, found = world.body_poses(), []
        chosen = draw_sentences(rng, task, cubes, targets, table.held, settings.state.futures)
        for number, (name, about) in enumerate(chosen):
            path, _ = play(table.copy(), name, about)
            poses = self._bodies.poses(path, poses_now)
            if np.isnan(poses).any():
                continue
            texts = tuple(TASKS[name].instruction(layout, k, about) for k in range(3))
            if layout.round_cubes:  # what lies there is no cube
                texts = tuple(t for t in texts if " cube" not in t) or texts
            found.append(self._picture(seen, poses, 0, texts))
            if number < settings.on_the_way and len(poses) > 2 * _LEAST_STEPS + 1:
                now = int(rng.integers(_LEAST_STEPS, len(poses) - _LEAST_STEPS))
                there = self._look_at(path, now)
                if there is not None:
                    found.append(self._picture(there, poses, now, texts))
        return [p for p in found if len(p.entity)]

    def _look_at(self, path: ShadowPath, now: int) -> tuple | None:
        """Return what is seen in state ``now`` of a path."""
        joints = self._bodies.joints(path.tip_m[now], path.opening_m[now])
        pose_world(self._world, joints, path.opening_m[now], path.cubes_m[now], path.yaw_rad[now])
        return self._look()

    def _look(self) -> tuple[RgbdFrame, QueryPoints, np.ndarray] | None:
        frame, ids = self._world.render(), self._world.render_body_ids()
        try:
            query = self._selector.select(frame, self._settings.state.max_points)
        except NoQueryPointsError:
            return None
        pixel = query.uv_px.astype(int)
        return frame, query, ids[pixel[:, 1], pixel[:, 0]]

    def _picture(self, seen: tuple, poses: np.ndarray, now: int, texts: tuple) -> _Picture:
        frame, query, bodies = seen
        T_base_camera = self._world.T_base_camera
        tracks = body_tracks(query, bodies, frame.intrinsics, T_base_camera, poses, now)
        moves = _moves(tracks[now:])
        return _Picture(frame, np.maximum(bodies, -1)[moves], tracks[:, moves], now, texts)


def _moves(tracks_m: np.ndarray) -> np.ndarray:
    """Return (N,) bool of tracks (K, N, 3)."""
    return np.linalg.norm(np.ptp(tracks_m, axis=0), axis=-1) > _MOVES_M


def _write(
    pictures: Sequence[_Picture], T_base_camera: np.ndarray, side: int, folder: Path
) -> None:
    lens = _scaled(pictures[0].frame.intrinsics, side)
    matrix = np.array([[lens.fx, 0, lens.cx], [0, lens.fy, lens.cy], [0, 0, 1]])
    colours = [cv2.resize(p.frame.rgb, (side, side), interpolation=cv2.INTER_AREA)
               for p in pictures]  # fmt: skip
    depths = [cv2.resize(p.frame.depth_m, (side, side), interpolation=cv2.INTER_NEAREST)
              for p in pictures]  # fmt: skip
    count = len(pictures)
    captions = [CaptionEntry(k, k, p.texts, captioner=CAPTIONER) for k, p in enumerate(pictures)]
    writer = EpisodeWriter(
        np.stack(colours),
        np.stack(depths),
        np.tile(matrix, (count, 1, 1)),
        np.tile(np.linalg.inv(T_base_camera), (count, 1, 1)),
        Captions(tuple(captions)),
    )
    for k, picture in enumerate(pictures):
        moving = np.ones(len(picture.entity), bool)
        writer.add_slot(k, *_paths(picture, lens), moving, picture.entity)
    writer.write(folder)


def _scaled(lens: CameraIntrinsics, side: int) -> CameraIntrinsics:
    """Return the intrinsics of the picture squeezed to a square (pixels with integer centres)."""
    x, y = side / lens.width, side / lens.height
    return CameraIntrinsics(
        side, side, lens.fx * x, lens.fy * y,
        (lens.cx + 0.5) * x - 0.5, (lens.cy + 0.5) * y - 0.5,
    )  # fmt: skip


def _paths(picture: _Picture, lens: CameraIntrinsics) -> tuple[np.ndarray, np.ndarray]:
    """Return future and history (N, columns, 3) at equal path length, from the image's corner."""
    places = camera.project(picture.tracks_m, lens).transpose(1, 0, 2)
    places[..., :2] += 0.5
    now, size = picture.now, (lens.width, lens.height)
    paths = ((places[:, now:], FUTURE_COLUMNS), (places[:, now::-1], HISTORY_COLUMNS))
    future, history = (
        resample_tracks(p, np.ones(p.shape[:2], bool), *size, max_steps=columns).points
        for p, columns in paths
    )
    return future, history
