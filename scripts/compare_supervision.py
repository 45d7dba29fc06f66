#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make two data sets of the same films: extracted traces, and the exact ones of the same points.

    mu0 film --out films --seeds 49000:49020
    python scripts/compare_supervision.py films --out data
    mu0 train world-model --config config/train/study.yaml --data data/extracted --out extracted
    mu0 train world-model --config config/train/study.yaml --data data/exact --out exact

Only geometry and positions of the tracked points are replaced by the truth; everything behind
tracking (filters, rows, segments, captions) runs on both in the same way.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
from functools import partial
from pathlib import Path

import numpy as np


def make(film: Path, out: Path, config: Path | None) -> str:
    """Write the two episodes of a film; return a line about them."""
    import cv2
    import torch

    from mu0_core.errors import DataError
    from mu0_core.trace_extract.episode import write_episode
    from mu0_core.trace_extract.pipeline import Pipeline
    from mu0_core.trace_extract.settings import ExtractSettings
    from mu0_core.trace_extract.sources.discover import find_clips, read_clip
    from mu0_core.trace_extract.stage_cache import StageCache
    from mu0_core.yaml_settings import read_settings

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    folders = out / "extracted" / film.name, out / "exact" / film.name
    if all(folder.is_dir() for folder in folders):
        return f"{film.name}: was there"
    settings = read_settings(ExtractSettings, config, [])
    with tempfile.TemporaryDirectory() as work:
        (ref,), _ = find_clips([film], settings.read)
        clip = read_clip(ref, settings.read, Path(work))
        pipeline = Pipeline(settings)
        try:
            found = pipeline.extract(clip, StageCache(Path(work), clip.source_hash))
            exact = pipeline.finish(clip, *exact_records(found, film))
        except DataError as error:
            return f"{film.name}: left out of both ({error})"
        for extraction, folder in zip((found, exact), folders, strict=True):
            if not folder.is_dir():
                write_episode(extraction, folder, {"supervision": folder.parent.name})
    return f"{film.name}: {len(found.slots)} and {len(exact.slots)} slots"


def exact_records(found, film: Path):
    """Return geometry, key points and tracks of an extraction with the truth in their place."""
    from mu0_core.geometry import camera, se3
    from mu0_core.simulation.film_tracks import true_tracks
    from mu0_core.simulation.film_truth import load_truth
    from mu0_core.trace_extract.records import CameraPath, Geometry, Tracks

    truth, tracks = load_truth(film), found.tracks
    frames, rows = len(truth), np.arange(len(tracks.query_frame))
    query = tracks.query_frame.astype(int)
    uv_px = np.clip(tracks.uv_px[rows, query], -0.5, np.array(found.clip.rgb.shape[2:0:-1]) - 0.51)
    true = true_tracks(truth, query, uv_px, np.arange(frames))
    known = true.body >= 0
    world_m = true.base_m[known].astype(np.float32)
    T_camera_base = se3.inverse(truth.T_base_camera)
    seen_m = np.einsum("tij,ptj->pti", T_camera_base[:, :3, :3], world_m)
    uvz = camera.project(seen_m + T_camera_base[:, :3, 3], truth.intrinsics)
    depth_m = np.stack([truth.depth_m(k) for k in range(frames)]).astype(np.float32)
    path = CameraPath(truth.T_base_camera, np.zeros(frames), "truth")
    geometry = Geometry(depth_m, truth.intrinsics, path, "truth")
    visible = true.visible[known] | (np.arange(frames) == query[known, None])
    exact = Tracks(
        uv_px=np.where(visible[..., None], uvz[..., :2], np.nan).astype(np.float32),
        world_m=np.where(visible[..., None], world_m, np.nan),
        visible=visible,
        cluster_ids=tracks.cluster_ids[known],
        query_frame=tracks.query_frame[known],
    )
    return geometry, found.keypoints, exact


def main() -> None:
    """Make the data sets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--config", type=Path, help="settings of the extraction")
    parser.add_argument("--workers", type=int, default=1, help="films at once (1)")
    args = parser.parse_args()
    films = sorted(p.parent for f in args.folders for p in f.rglob("intrinsics.json"))
    context = multiprocessing.get_context("spawn")
    with context.Pool(args.workers) as pool:
        for line in pool.imap(partial(make, out=args.out, config=args.config), films):
            print(line, flush=True)


if __name__ == "__main__":
    main()
