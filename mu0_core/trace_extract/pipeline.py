# SPDX-License-Identifier: Apache-2.0
"""One clip through all stages. No files besides the stage cache; `episode` writes the result."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from mu0_core.data.captions import Captions
from mu0_core.errors import DataError
from mu0_core.trace_extract.models import Models
from mu0_core.trace_extract.records import (
    CameraPath,
    Clip,
    Drops,
    Geometry,
    Keypoints,
    MotionSegments,
    SlotRecord,
    Tracks,
)
from mu0_core.trace_extract.settings import ExtractSettings
from mu0_core.trace_extract.stage_cache import StageCache
from mu0_core.trace_extract.stages.captions import MovingPoints, caption_segments
from mu0_core.trace_extract.stages.compensation import displacement_px, seen_from
from mu0_core.trace_extract.stages.filters import clean_tracks, coverage
from mu0_core.trace_extract.stages.geometry import (
    ClipDepth,
    clip_camera,
    clip_depth,
    clip_intrinsics,
)
from mu0_core.trace_extract.stages.keypoints import propose_keypoints
from mu0_core.trace_extract.stages.reconstruction import Reconstructed, reconstruct_clip
from mu0_core.trace_extract.stages.rigid_groups import leave_out_loners, split_rigid
from mu0_core.trace_extract.stages.segments import motion_segments
from mu0_core.trace_extract.stages.slots import build_slots
from mu0_core.types import CameraIntrinsics

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Extraction:
    """All records of a clip.

    Attributes:
        coverage: mean share of the picture that tracks cover.
        drops: what was left out, by reason.
        seconds: per stage; nearly nothing for stages that came from the cache.
    """

    clip: Clip
    geometry: Geometry
    keypoints: Keypoints
    tracks: Tracks
    slots: list[SlotRecord]
    segments: MotionSegments
    captions: Captions
    coverage: float
    drops: Drops
    seconds: dict[str, float]


class Pipeline:
    """The stages with their models; one per process, used for one clip after the other."""

    def __init__(self, settings: ExtractSettings) -> None:
        self.settings = settings
        self._models = Models(settings.backends)
        self._seconds: dict[str, float] = {}

    def extract(self, clip: Clip, cache: StageCache) -> Extraction:
        """Run all stages.

        Raises:
            SourceError: the clip lacks depth or intrinsics.
            DataError: the clip yields no episode; says why (camera lost, nothing moves, tracks
                cover too little).
        """
        s = self.settings
        self._seconds = {}
        geometry = self._timed("geometry", lambda: self._geometry(clip, cache))
        keypoints = self._timed(
            "keypoints",
            lambda: cache.get(
                "keypoints-1",
                (s.keypoints, s.backends.saliency, s.backends.hands),
                Keypoints,
                lambda: propose_keypoints(
                    clip.rgb, geometry, self._models.features, s.keypoints, self._models.priors
                ),
            ),
        )
        raw = self._timed(
            "tracking",
            lambda: cache.get(
                "tracks-1",
                s.backends.tracker,
                Tracks,
                lambda: self._models.tracker.track(clip.rgb, geometry, keypoints),
            ),
        )
        return self.finish(clip, geometry, keypoints, raw)

    def _geometry(self, clip: Clip, cache: StageCache) -> Geometry:
        """Run stage 1; measured depth stays where it is, everything else is kept."""
        s = self.settings
        if clip.depth_m is None and s.backends.reconstruction:
            return self._reconstruction(clip, cache)
        if clip.depth_m is None:
            depth = cache.get(
                "depth-1", s.backends.depth, ClipDepth,
                lambda: clip_depth(clip, self._models.depth),
            )  # fmt: skip
        else:
            depth = clip_depth(clip, None)
        path = cache.get(
            "camera-1", s.camera, CameraPath, lambda: clip_camera(clip, depth.depth_m, s.camera)
        )
        return Geometry(depth.depth_m, clip_intrinsics(clip), path, depth.source)

    def _reconstruction(self, clip: Clip, cache: StageCache) -> Geometry:
        s, model = self.settings, self._models.reconstruction
        found = cache.get(
            "reconstruction-1", (s.backends.reconstruction, s.reconstruction), Reconstructed,
            lambda: reconstruct_clip(clip.rgb, model, s.reconstruction),
        )  # fmt: skip
        lens = clip.intrinsics or CameraIntrinsics(*clip.rgb.shape[2:0:-1], *found.focal_px)
        path = CameraPath(found.T_world_camera, found.rmse_m, model.name)
        return Geometry(found.depth_m, lens, path, model.name)

    def finish(
        self, clip: Clip, geometry: Geometry, keypoints: Keypoints, raw: Tracks
    ) -> Extraction:
        """Run the stages behind tracking, which are too fast to be kept.

        Raises:
            DataError: nothing moves, or the tracks cover too little.
        """
        s = self.settings
        tracks, drops = self._timed("filters", lambda: clean_tracks(raw, geometry, s.filters))
        share = float(coverage(tracks, geometry, s.filters).mean())
        if share < s.filters.min_coverage:
            raise DataError(
                f"{clip.name}: tracks cover {share:.0%} of the picture, at least "
                f"{s.filters.min_coverage:.0%} needed"
            )
        grouped = self._timed("rigid groups", lambda: split_rigid(tracks, s.rigid))
        tracks, loners = leave_out_loners(grouped, s.rigid)
        slots, fewer = self._timed("slots", lambda: build_slots(tracks, geometry, s.slots))
        drops = drops.joined(loners).joined(fewer)
        if not slots:
            raise DataError(f"{clip.name}: nothing moves by itself far enough")
        points = moving_points(tracks, geometry, s)
        size = (geometry.intrinsics.width, geometry.intrinsics.height)
        segments = self._timed(
            "segments", lambda: motion_segments(points.uvz, points.valid, *size, s.segments)
        )
        captions = self._timed(
            "captions",
            lambda: caption_segments(
                clip.rgb, clip.texts, segments, points, self._models.captioner, s.captions
            ),
        )
        return Extraction(
            clip, geometry, keypoints, tracks, slots, segments, captions, share, drops,
            dict(self._seconds),
        )  # fmt: skip

    def _timed(self, stage: str, run: Callable[[], Result]) -> Result:
        begin = time.perf_counter()
        result = run()
        self._seconds[stage] = self._seconds.get(stage, 0.0) + time.perf_counter() - begin
        return result


def moving_points(tracks: Tracks, geometry: Geometry, settings: ExtractSettings) -> MovingPoints:
    """Return the tracks that move anywhere in the clip, seen from the first camera."""
    whole = replace(settings.slots.moving, window_frames=max(2, tracks.visible.shape[1]))
    far = displacement_px(tracks, geometry, 0, whole)
    moves = far > settings.slots.moving.min_displacement_px
    uvz = seen_from(tracks.world_m[moves], geometry.T_world_camera[0], geometry)
    valid = tracks.visible[moves] & np.isfinite(uvz).all(axis=-1)
    return MovingPoints(uvz, tracks.uv_px[moves], valid)
