# SPDX-License-Identifier: Apache-2.0
"""What every source shares: how it is read, which frames are kept, what a reader offers."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import numpy as np

from mu0_core.errors import ConfigError, SourceError
from mu0_core.trace_extract.records import Clip, TextSpan
from mu0_core.types import CameraIntrinsics


@dataclass(frozen=True, slots=True)
class ReadSettings:
    """How sources are read.

    Attributes:
        fps: frames per second kept of faster sources (paper: 10 for own video); slower ones stay.
        max_frames: frames kept from the start; 0 = all.
        max_width: wider frames are shrunk (area) to it, intrinsics with them; 0 = never.
        intrinsics: (fx, fy, cx, cy) px at the source's size for sources that do not say, or None.
        hfov_deg: horizontal field of view instead of ``intrinsics``; square pixels, centred.
        depth_unit_m: metres per unit of integer depth images.
        topics: of bags: role (``color``, ``depth``, ``camera_info``, ``instruction``) -> topic.
        camera: image key of a LeRobot data set; "" = the first by name.
    """

    fps: float = 10.0
    max_frames: int = 0
    max_width: int = 0
    intrinsics: tuple[float, float, float, float] | None = None
    hfov_deg: float | None = None
    depth_unit_m: float = 0.001
    topics: dict[str, str] = field(default_factory=dict)
    camera: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.fps < math.inf or self.max_frames < 0 or self.max_width < 0:
            raise ConfigError(
                f"fps {self.fps} must be positive, max_frames {self.max_frames} and max_width "
                f"{self.max_width} not negative"
            )
        if not 0 < self.depth_unit_m < math.inf:
            raise ConfigError(f"depth_unit_m {self.depth_unit_m} must be positive")
        if self.hfov_deg is not None and not 0 < self.hfov_deg < 180:
            raise ConfigError(f"hfov_deg {self.hfov_deg} must lie between 0 and 180")
        if self.hfov_deg is not None and self.intrinsics is not None:
            raise ConfigError("give intrinsics or hfov_deg, not both")
        if self.intrinsics is not None:
            fx, fy, cx, cy = self.intrinsics
            if not np.isfinite(self.intrinsics).all() or min(fx, fy) <= 0:
                raise ConfigError(
                    f"intrinsics fx {fx} fy {fy} cx {cx} cy {cy}: all finite, fx and fy positive"
                )
        roles = ("color", "depth", "camera_info", "instruction")
        if unknown := sorted(set(self.topics) - set(roles)):
            raise ConfigError(f"topics for {unknown}, allowed roles: {', '.join(roles)}")

    def stated_intrinsics(self, width: int, height: int) -> CameraIntrinsics | None:
        """Return the intrinsics that the settings state for a source of this size, or None."""
        if self.intrinsics is not None:
            return CameraIntrinsics(width, height, *self.intrinsics)
        if self.hfov_deg is not None:
            focal = width / 2 / np.tan(np.radians(self.hfov_deg) / 2)
            return CameraIntrinsics(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)
        return None


@dataclass(frozen=True, slots=True)
class ClipRef:
    """A clip that a source has, before any of its frames is read. Picklable.

    Attributes:
        kind: name of the reader, e.g. ``video``.
        path: file or folder.
        name: of the episode to be; a legal directory name.
        index: which clip of the path, for sources that hold many.
    """

    kind: str
    path: Path
    name: str
    index: int = 0


@dataclass(frozen=True, slots=True)
class Reader:
    """One kind of source.

    Attributes:
        matches: whether a path is of this kind, from its name and the names in it alone.
        clips: (name, index) of each clip of a path; raises `SourceError` when it has none.
        read: one clip, its frames kept in files of the given folder; raises `SourceError`.
    """

    matches: Callable[[Path], bool]
    clips: Callable[[Path, ReadSettings], list[tuple[str, int]]]
    read: Callable[[ClipRef, ReadSettings, Path], Clip]


class FrameThinning:
    """Decides frame by frame which ones to keep: at most ``fps``, in order, from the first."""

    def __init__(self, settings: ReadSettings) -> None:
        self._fps, self._max_frames = settings.fps, settings.max_frames
        self._first_s: float | None = None
        self._slot = -1
        self._kept = 0

    @property
    def is_full(self) -> bool:
        """Whether no later frame can be kept."""
        return bool(self._max_frames) and self._kept >= self._max_frames

    def keep(self, stamp_s: float) -> bool:
        """Say whether the next frame is kept; stamps must rise."""
        if self._first_s is None:
            self._first_s = stamp_s
        # A quarter of a period is allowed for, because real stamps jitter.
        slot = math.floor((stamp_s - self._first_s) * self._fps + 0.25)
        if slot <= self._slot or self.is_full:
            return False
        self._slot = slot
        self._kept += 1
        return True


def kept_frames(stamps_s: np.ndarray, settings: ReadSettings) -> np.ndarray:
    """Return the indices of the frames to keep: at most ``fps``, in order, from the first.

    Args:
        stamps_s: (T,) seconds, strictly increasing.

    Raises:
        SourceError: there is no frame.
    """
    if not len(stamps_s):
        raise SourceError("no frames")
    thinning = FrameThinning(settings)
    return np.array([i for i, stamp in enumerate(stamps_s) if thinning.keep(float(stamp))])


def kept_texts(
    texts: Iterable[tuple[float, float, str]], kept: np.ndarray
) -> tuple[TextSpan, ...]:
    """Return the sentences about frames that were kept, in terms of those.

    Args:
        texts: (first, last, sentence), both ends included, in the unit of ``kept``.
        kept: (T,) index or time of each kept frame in the source, increasing.
    """
    spans = []
    for first, last, text in texts:
        begin = int(np.searchsorted(kept, first, side="left"))
        end = int(np.searchsorted(kept, last, side="right")) - 1
        if begin <= end and text.strip():
            spans.append(TextSpan(begin, end, " ".join(text.split())))
    return tuple(spans)


def import_extra(module: str) -> ModuleType:
    """Import a module of a package that only the extra ``extract`` installs.

    Raises:
        SourceError: it is not installed; says what to run.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise SourceError(
            f"the package {error.name} is missing; run: pip install 'mu0-ros[extract]'"
        ) from error
