# SPDX-License-Identifier: Apache-2.0
"""What is forecast and its truth, read from episodes once and the same for every model.

Points and sentence of a slot are drawn with a key of its own (seed, episode name, frame): they
depend neither on the other slots nor on what is evaluated.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mu0_core.data.cameras import CAMERAS_FILE
from mu0_core.data.episode import EpisodeReader, Steps
from mu0_core.data.evaluated_slots import evaluated_slots
from mu0_core.data.index import Opening, index_episodes
from mu0_core.data.sample import displacements
from mu0_core.data.sampling import SamplingSettings, draw_rows, eligible_rows
from mu0_core.errors import DataError
from mu0_core.evaluation.episodes.settings import EvaluateSettings
from mu0_core.types import CameraIntrinsics

SHORT_STEPS = 10  # a point with fewer valid steps is scored, but counted
_EVERY_MOVING_ROW = SamplingSettings(n_ctrl=None)


@dataclass(frozen=True)
class Scene:
    """N points of one slot.

    Attributes:
        directory: of the episode; slot: index in it; frame: of the slot.
        key: seed of everything that is drawn for the scene.
        rows: (N,) rows of the slot.
        instruction: "" when the frame has none.
        query: (N, 3) u, v in [-1, 1], z in metres now.
        truth: (N, H, 3) the same at steps 1..H; only where valid.
        valid: (N, H) bool.
        step_back: (N, 3) displacement one step ago, 0 where not known.
        known_back: (N,) bool.
        intrinsics: of the frame, None when the episode has none.
    """

    directory: Path
    slot: int
    frame: int
    key: int
    rows: np.ndarray
    instruction: str
    query: np.ndarray
    truth: np.ndarray
    valid: np.ndarray
    step_back: np.ndarray
    known_back: np.ndarray
    intrinsics: CameraIntrinsics | None

    def __len__(self) -> int:
        return len(self.rows)


@dataclass
class SceneSet:
    """Scenes in the order of their episodes, and what was left out.

    Attributes:
        scenes: that are evaluated.
        rejected: episode directory -> why it cannot be used.
        left_out: reason -> slots that are not usable for it.
        notes: what a reader of the results should know.
    """

    scenes: list[Scene] = field(default_factory=list)
    rejected: dict[Path, str] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def episodes(self) -> list[Path]:
        """Return the episode of each scene."""
        return [scene.directory for scene in self.scenes]


def read_scenes(
    directories: Sequence[Path],
    settings: EvaluateSettings,
    *,
    steps: Steps = Steps.ARC_LENGTH,
    history_len: int = 1,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> SceneSet:
    """Read what is evaluated; a broken episode is listed and the others go on.

    Args:
        directories: of the episodes.
        settings: which slots and points.
        steps: which version of the paths is the truth.
        history_len: steps back that an episode must have columns for.
        on_progress: called with episodes looked at and episodes in all.

    Raises:
        DataError: no episode has a usable slot.
    """
    opening = Opening(max(1, history_len), settings.steps, with_depth=False, steps=steps)
    index = index_episodes(directories, opening, _EVERY_MOVING_ROW, on_progress=on_progress)
    chosen = evaluated_slots(index, settings.offsets, settings.max_slots, settings.seed)
    by_episode: dict[Path, list[int]] = {}
    for directory, slot in chosen.items:
        by_episode.setdefault(directory, []).append(slot)
    result = SceneSet(rejected=dict(index.rejected), left_out=dict(index.unusable))
    counts: Counter[str] = Counter()
    for directory, slots in by_episode.items():
        try:
            result.scenes += _read(opening.open(directory), slots, settings, counts)
        except DataError as error:
            result.rejected[directory] = str(error)
    if not result.scenes:
        raise DataError(f"no episode can be evaluated; broken: {result.rejected}")
    result.notes = _notes(result.scenes, counts)
    return result


def scene_key(seed: int, directory: Path, frame: int) -> int:
    """Return the seed of a scene; it stays the same when a data set is moved."""
    text = f"{seed} {directory.name} {frame}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big")


def _read(
    episode: EpisodeReader, slots: Sequence[int], settings: EvaluateSettings, counts: Counter
) -> list[Scene]:
    lenses: Sequence[CameraIntrinsics | None] = [None] * len(episode.images)
    if (episode.directory / CAMERAS_FILE).exists():
        lenses = episode.intrinsics()
    else:
        counts[CAMERAS_FILE] += 1
    drawing = SamplingSettings(settings.points, settings.points, None)
    return [_scene(episode, k, settings.seed, drawing, lenses) for k in slots]


def _scene(
    episode: EpisodeReader,
    index: int,
    seed: int,
    drawing: SamplingSettings,
    lenses: Sequence[CameraIntrinsics | None],
) -> Scene:
    slot, size = episode.slot(index), episode.image_size
    key = scene_key(seed, episode.directory, slot.frame)
    rng = np.random.default_rng(key)
    rows = draw_rows(eligible_rows(slot, drawing, *size), drawing, rng)
    query, future, history = displacements(slot, rows, size)
    return Scene(
        directory=episode.directory,
        slot=index,
        frame=slot.frame,
        key=key,
        rows=rows,
        instruction=episode.captions.draw(slot.frame, rng),
        query=query,
        truth=query[:, None] + future,
        valid=slot.valid_future[rows, 1:],
        step_back=history[:, -1],
        known_back=slot.valid_history[rows, 1],
        intrinsics=lenses[slot.frame],
    )


def _notes(scenes: Sequence[Scene], counts: Counter) -> list[str]:
    points = sum(map(len, scenes))
    short = sum(int((s.valid.sum(axis=1) < SHORT_STEPS).sum()) for s in scenes)
    none = sum(int((~s.valid.any(axis=1)).sum()) for s in scenes)
    silent = sum(not s.instruction for s in scenes)
    parts = {
        f"{counts[CAMERAS_FILE]} episodes without {CAMERAS_FILE}: not part of errors in metres":
            counts[CAMERAS_FILE],
        f"{short} of {points} points have fewer than {SHORT_STEPS} valid steps, and count": short,
        f"{none} points have no valid step and do not count": none,
        f"{silent} of {len(scenes)} slots have no instruction": silent,
    }  # fmt: skip
    return [text for text, count in parts.items() if count]
