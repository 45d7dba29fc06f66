# SPDX-License-Identifier: Apache-2.0
"""What passes between sources and stages. A leaf module: it imports types and errors only.

Symbols: T frames of h x w pixels, P points, C clips. Pixels have integer centres; the episode
format counts from the image's corner instead, and only the stage ``slots`` converts. ``world`` is
a fixed frame of the clip: the camera of its first frame, unless the source knows camera poses.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mu0_core.errors import SourceError
from mu0_core.types import CameraIntrinsics


@dataclass(frozen=True, slots=True)
class TextSpan:
    """A sentence that came with the source, about the frames ``first``..``last`` (included)."""

    first: int
    last: int
    text: str

    def __post_init__(self) -> None:
        if not 0 <= self.first <= self.last or not self.text.strip():
            raise SourceError(
                f"a text needs 0 <= first <= last and words: {self.first}..{self.last} "
                f"{self.text!r}"
            )


@dataclass(frozen=True, slots=True)
class Clip:
    """The frames of one camera over time, as a source yields them.

    Attributes:
        name: of the episode to be, unique within a run; a legal directory name.
        source: what it was read from, for the manifest.
        source_hash: sha256 (hex) of the bytes it was read from.
        rgb: (T, h, w, 3) uint8; may be memory-mapped.
        depth_m: (T, h, w) float16 or float32 registered to ``rgb``, NaN where unknown; may be
            memory-mapped; None = the source has none.
        intrinsics: of both, or None = unknown.
        stamps_s: (T,) float64 strictly increasing, first frame 0.
        T_world_camera: (T, 4, 4) camera poses that the source knows, or None.
        texts: sentences that came with it.
    """

    name: str
    source: str
    source_hash: str
    rgb: np.ndarray
    depth_m: np.ndarray | None
    intrinsics: CameraIntrinsics | None
    stamps_s: np.ndarray
    T_world_camera: np.ndarray | None = None
    texts: tuple[TextSpan, ...] = ()

    def __post_init__(self) -> None:
        shape = np.shape(self.rgb)
        if len(shape) != 4 or shape[3] != 3 or 0 in shape or self.rgb.dtype != np.uint8:
            raise SourceError(
                f"{self.name}: rgb {shape} {self.rgb.dtype}, expected (T >= 1, h, w, 3) uint8"
            )
        frames, height, width, _ = shape
        if self.depth_m is not None and np.shape(self.depth_m) != shape[:3]:
            raise SourceError(f"{self.name}: depth {self.depth_m.shape}, colour {shape}")
        size = self.intrinsics and (self.intrinsics.width, self.intrinsics.height)
        if size and size != (width, height):
            raise SourceError(
                f"{self.name}: intrinsics are for {size}, frames are {width, height}"
            )
        stamps = np.asarray(self.stamps_s)
        if stamps.shape != (frames,) or stamps[0] != 0 or not (np.diff(stamps) > 0).all():
            raise SourceError(
                f"{self.name}: stamps must rise strictly from 0, one per frame ({frames})"
            )
        if self.T_world_camera is not None and self.T_world_camera.shape != (frames, 4, 4):
            raise SourceError(f"{self.name}: poses {self.T_world_camera.shape}, {frames} frames")

    def __len__(self) -> int:
        return len(self.rgb)


@dataclass(frozen=True, slots=True)
class CameraPath:
    """Stage 1, where the camera was.

    Attributes:
        T_world_camera: (T, 4, 4).
        rmse_m: (T,) residual of the alignment of each frame; 0 where the pose was given.
        source: ``given``, ``static`` or the name of the method.
    """

    T_world_camera: np.ndarray
    rmse_m: np.ndarray
    source: str


@dataclass(frozen=True, slots=True)
class Geometry:
    """Stage 1: metric depth and where the camera was.

    Attributes:
        depth_m: (T, h, w) float16 or float32; NaN where unknown.
        intrinsics: of the clip.
        path: of the camera.
        depth_source: ``sensor`` or the name of the depth model.
    """

    depth_m: np.ndarray
    intrinsics: CameraIntrinsics
    path: CameraPath
    depth_source: str

    @property
    def T_world_camera(self) -> np.ndarray:
        """Camera poses (T, 4, 4)."""
        return self.path.T_world_camera


@dataclass(frozen=True, slots=True)
class Keypoints:
    """Stage 2: points proposed on entities.

    Attributes:
        frame: (P,) int32 frame of each point.
        uv_px: (P, 2) float32.
        cluster_ids: (P,) int32 entity, the same over the whole clip.
        from_prior: (P,) bool, wanted by a prior: the limit of points per entity does not count.
        sampled_frames: (F,) int32 frames that were looked at.
        cluster_maps: (F, gh, gw) int16 entity of each patch of those frames.
    """

    frame: np.ndarray
    uv_px: np.ndarray
    cluster_ids: np.ndarray
    from_prior: np.ndarray
    sampled_frames: np.ndarray
    cluster_maps: np.ndarray


@dataclass(frozen=True, slots=True)
class Tracks:
    """Stage 3: points followed through the clip.

    Attributes:
        uv_px: (P, T, 2) float32; NaN where not seen.
        world_m: (P, T, 3) float32; NaN where not seen.
        visible: (P, T) bool.
        cluster_ids: (P,) int32.
        query_frame: (P,) int32 frame in which the point was proposed.
    """

    uv_px: np.ndarray
    world_m: np.ndarray
    visible: np.ndarray
    cluster_ids: np.ndarray
    query_frame: np.ndarray


@dataclass(frozen=True, slots=True)
class SlotRecord:
    """Stages 4 and 5: one frame t with its rows, ready for the episode writer.

    Attributes:
        frame: t.
        future, history: (K, 1..128, 3) and (K, 1..32, 3) x px, y px from the image's corner, z m,
            in the camera of frame t, at equal path length; -inf = no point.
        timed_future, timed_history: the same, one column per frame instead.
        is_moving: (K,) bool.
        cluster_ids: (K,) int32.
    """

    frame: int
    future: np.ndarray
    history: np.ndarray
    timed_future: np.ndarray
    timed_history: np.ndarray
    is_moving: np.ndarray
    cluster_ids: np.ndarray


@dataclass(frozen=True, slots=True)
class Drops:
    """Stage 6: what was left out, as counts by reason; a reason is a few words."""

    counts: dict[str, int] = field(default_factory=dict)

    def plus(self, reason: str, count: int) -> Drops:
        """Return these counts with ``count`` more for ``reason`` (nothing changes for 0)."""
        if not count:
            return self
        return Drops({**self.counts, reason: self.counts.get(reason, 0) + count})

    def joined(self, other: Drops) -> Drops:
        """Return the counts of both."""
        result = self
        for reason, count in other.counts.items():
            result = result.plus(reason, count)
        return result


@dataclass(frozen=True, slots=True)
class MotionSegments:
    """Stage 7: the clip cut where motion starts and ends.

    Attributes:
        bounds: (S, 2) int32 first and last frame of each segment, both included, in order.
        acceleration: (T,) float64 of the moving points, (image widths, heights, m / 10) / frame².
        speed: (T,) float64 the same per frame.
    """

    bounds: np.ndarray
    acceleration: np.ndarray
    speed: np.ndarray
