# SPDX-License-Identifier: Apache-2.0
"""An extraction on disk: an episode of the released format, pictures and what made it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from mu0_core.data.episode_writer import EpisodeWriter
from mu0_core.trace_extract.pictures import (
    clusters_picture,
    geometry_picture,
    slots_picture,
    tracks_picture,
)
from mu0_core.trace_extract.pictures_segments import segments_picture
from mu0_core.trace_extract.pipeline import Extraction

FACTS_FILE = "extraction.json"
PICTURES = "pictures"


def write_episode(extraction: Extraction, folder: Path, facts: dict[str, object]) -> None:
    """Write the episode to ``folder``, which must not exist; it is there whole or not at all.

    Args:
        extraction: of one clip.
        folder: of the episode.
        facts: further entries of `FACTS_FILE`, for the manifest.

    Raises:
        DataError: the folder exists, or a value does not fit the format.
        OSError: the disk is full or not writable.
    """
    clip, geometry = extraction.clip, extraction.geometry
    lens = geometry.intrinsics
    matrix = np.array([[lens.fx, 0, lens.cx], [0, lens.fy, lens.cy], [0, 0, 1]])
    writer = EpisodeWriter(
        clip.rgb,
        geometry.depth_m,
        np.tile(matrix, (len(clip), 1, 1)),
        np.linalg.inv(geometry.T_world_camera),
        extraction.captions,
    )
    for slot in extraction.slots:
        writer.add_slot(
            slot.frame,
            slot.future,
            slot.history,
            slot.is_moving,
            slot.cluster_ids,
            (slot.timed_future, slot.timed_history),
        )

    def finish(partial: Path) -> None:
        _write_motion(partial, extraction)
        (partial / "description.txt").write_text(
            "\n".join(dict.fromkeys(t.text for t in clip.texts)) + "\n", encoding="utf-8"
        )
        write_pictures(extraction, partial / PICTURES)
        text = json.dumps({**episode_facts(extraction), **facts}, indent=1, default=str)
        (partial / FACTS_FILE).write_text(text + "\n", encoding="utf-8")

    writer.write(folder, finish)


def episode_facts(extraction: Extraction) -> dict[str, object]:
    """Return what the manifest says about an episode."""
    clip, geometry = extraction.clip, extraction.geometry
    return {
        "source": clip.source,
        "source_sha256": clip.source_hash,
        "frames": len(clip),
        "size": [geometry.intrinsics.width, geometry.intrinsics.height],
        "depth": geometry.depth_source,
        "camera": geometry.path.source,
        "tracks": len(extraction.tracks.query_frame),
        "entities": len(np.unique(extraction.tracks.cluster_ids)),
        "slots": len(extraction.slots),
        "rows": int(sum(len(slot.is_moving) for slot in extraction.slots)),
        "segments": len(extraction.segments.bounds),
        "captions": len(extraction.captions.entries),
        "coverage": round(extraction.coverage, 3),
        "dropped": extraction.drops.counts,
        "seconds": {stage: round(s, 2) for stage, s in extraction.seconds.items()},
    }


def write_pictures(extraction: Extraction, folder: Path) -> None:
    """Write a JPEG of the result of each stage that has one."""
    rgb = extraction.clip.rgb
    pictures = {
        "1_geometry": geometry_picture(rgb, extraction.geometry),
        "2_keypoints": clusters_picture(rgb, extraction.keypoints),
        "3_tracks": tracks_picture(rgb, extraction.tracks),
        "5_traces": slots_picture(rgb, extraction.slots),
        "7_segments": segments_picture(extraction.segments, extraction.captions),
    }
    folder.mkdir()
    for name, picture in pictures.items():
        cv2.imwrite(str(folder / f"{name}.jpg"), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))


def _write_motion(folder: Path, extraction: Extraction) -> None:
    """Write speed, acceleration and the segments of the clip."""
    segments = extraction.segments
    np.savez(
        folder / "acceleration.npz",
        acceleration=segments.acceleration,
        speed=segments.speed,
        segments=segments.bounds,
    )
