#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Accuracy and speed of `mu0 extract` on films with exact truth (`mu0 film`).

    mu0 film --out films --camera static --seeds 49000:49004
    mu0 film --out films --camera moving --seeds 49000:49004
    python scripts/measure_extraction.py films --json docs/results/extraction.json

Every film is one process of its own, so that its peak memory is known. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

COLUMNS = {
    "error_m_median": ("3D error, all", 1000, "mm"),
    "moving_error_m_median": ("3D error, moving", 1000, "mm"),
    "moving_error_m_p95": ("95 %", 1000, "mm"),
    "camera_m_max": ("camera, worst", 1000, "mm"),
    "camera_deg_max": ("", 1, "deg"),
    "apd": ("3D-APD", 100, "%"),
    "aj": ("3D-AJ", 100, "%"),
    "moving_recall": ("recall of moving cells", 100, "%"),
    "object_recall": ("of objects", 100, "%"),
    "moving_precision": ("precision of moving", 100, "%"),
    "rigid_purity": ("pairs of a group that are rigid", 100, "%"),
    "first_fifth_error_m": ("3D error, first fifth of the clip", 1000, "mm"),
    "last_fifth_error_m": ("last fifth", 1000, "mm"),
    "cpu_s_per_frame": ("CPU", 1000, "ms/frame"),
    "peak_gb": ("memory", 1, "GB"),
}
CUTS = {"paper": "segments F1, paper's constants", "short": "segments F1, tabletop.yaml"}
TOLERANCE = 5  # frames between a found and a true boundary


def measure(film: Path) -> dict[str, float]:
    """Extract one film and compare it with its truth."""
    import cv2
    import torch

    from mu0_core.evaluation.extraction_score import score_clip
    from mu0_core.trace_extract.pipeline import Pipeline
    from mu0_core.trace_extract.settings import ExtractSettings
    from mu0_core.trace_extract.sources.discover import find_clips, read_clip
    from mu0_core.trace_extract.stage_cache import StageCache

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    settings = ExtractSettings()
    pipeline = Pipeline(settings)
    work = Path(tempfile.mkdtemp())
    try:
        (ref,), _ = find_clips([film], settings.read)
        begin = time.process_time()
        clip = read_clip(ref, settings.read, work)
        found = pipeline.extract(clip, StageCache(work, clip.source_hash))
        elapsed = time.process_time() - begin
        kept = np.arange(len(clip))
        scores = score_clip(found.tracks, found.geometry, film, kept)
        scores |= errors_over_time(found.tracks, found.geometry, film)
        cuts = boundaries(found, film)
    finally:
        shutil.rmtree(work)
    scores |= {f"seconds_{stage}": value for stage, value in found.seconds.items()}
    scores["cpu_s_per_frame"] = elapsed / len(clip)
    scores["peak_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    scores["frames"] = len(clip)
    return scores | cuts


def boundaries(found, film: Path) -> dict[str, list]:
    """Return boundaries of segments found with two settings, and the halts they should lie in."""
    from mu0_core.evaluation.segment_score import halts, inner_boundaries
    from mu0_core.simulation.film_truth import load_truth
    from mu0_core.trace_extract.pipeline import moving_points
    from mu0_core.trace_extract.settings import ExtractSettings
    from mu0_core.trace_extract.stages.segments import PAPER, SHORT, motion_segments

    points = moving_points(found.tracks, found.geometry, ExtractSettings())
    size = found.geometry.intrinsics.width, found.geometry.intrinsics.height
    cuts = {"halts": halts(load_truth(film).segments["motion"]).tolist()}
    for name, settings in (("paper", PAPER), ("short", SHORT)):
        segments = motion_segments(points.uvz, points.valid, *size, settings)
        cuts[name] = inner_boundaries(segments.bounds).tolist()
    return cuts


def errors_over_time(tracks, geometry, film: Path) -> dict[str, float]:
    """Return the median 3D error in the first and last fifth of a clip, and `rigid_purity`.

    `rigid_purity` is the share of pairs of moving points in one group whose true distance stays
    the same to 1 cm.
    """
    from mu0_core.evaluation.compared_clip import compare, way_m
    from mu0_core.simulation.film_truth import load_truth
    from mu0_core.trace_extract.stages.rigid_groups import RigidSettings, distance_change

    kept = np.arange(tracks.visible.shape[1])
    compared = compare(tracks, geometry, load_truth(film), kept)
    true_m, fifth = compared.true_m, -(-len(kept) // 5)
    both = compared.tracks.visible & compared.true.visible
    error = np.where(both, np.linalg.norm(compared.found_m - true_m, axis=-1), np.nan)
    moves = way_m(true_m) > 0.03
    change = distance_change(true_m[moves].astype(np.float32), RigidSettings())
    groups = tracks.cluster_ids[moves]
    pairs = np.triu(groups[:, None] == groups[None], 1)
    return {
        "first_fifth_error_m": float(np.nanmedian(error[:, :fifth])),
        "last_fifth_error_m": float(np.nanmedian(error[:, -fifth:])),
        "rigid_purity": float((change[pairs] < 0.01).mean()) if pairs.any() else float("nan"),
    }


def table(rows: dict[str, list[dict[str, float]]]) -> str:
    """Return medians over the films of each kind as Markdown (camera and memory: the worst).

    Boundaries of segments are pooled over the films of a kind.
    """
    from mu0_core.evaluation.segment_score import score_boundaries

    heads = [f"{title} [{unit}]" if title else f"[{unit}]" for title, _, unit in COLUMNS.values()]
    heads += CUTS.values()
    lines = ["| films | clips | " + " | ".join(heads) + " |", "|---" * (len(heads) + 2) + "|"]
    for kind, scores in rows.items():
        cells = []
        for key, (_, factor, _) in COLUMNS.items():
            values = np.array([s[key] for s in scores]) * factor
            worst = key.startswith("camera") or key == "peak_gb"
            value = np.nanmax(values) if worst else np.nanmedian(values)
            cells.append(f"{value:.2f}" if abs(value) < 10 else f"{value:.0f}")
        true = [np.array(s["halts"]).reshape(-1, 2) for s in scores]
        for name in CUTS:
            found = [np.array(s[name]) for s in scores]
            cells.append(f"{score_boundaries(found, true, TOLERANCE).f1:.2f}")
        lines.append(f"| {kind} | {len(scores)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure every film below the given folders."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--json", type=Path, help="write the numbers of every film")
    parser.add_argument("--workers", type=int, default=1, help="films at once (1)")
    args = parser.parse_args()
    films = sorted(p.parent for f in args.folders for p in f.rglob("intrinsics.json"))
    context = multiprocessing.get_context("spawn")
    rows: dict[str, list[dict[str, float]]] = {}
    results: dict[str, dict[str, float]] = {}
    with context.Pool(args.workers, maxtasksperchild=1) as pool:
        for film, scores in zip(films, pool.imap(measure, films, chunksize=1)):
            kind = f"{film.name.split('_')[0]} camera, {int(scores['frames'])} frames"
            rows.setdefault(kind, []).append(scores)
            results[film.name] = scores
            print(f"{film.name}: {scores['moving_error_m_median'] * 1000:.1f} mm", flush=True)
            if args.json is not None:
                args.json.parent.mkdir(parents=True, exist_ok=True)
                args.json.write_text(json.dumps(results, indent=1) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
