# SPDX-License-Identifier: Apache-2.0
"""Whether extraction finds what moves, and whether what it calls moving does move."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mu0_core.evaluation.compared_clip import ComparedClip, way_m
from mu0_core.evaluation.track_metrics import moving_precision, moving_recall
from mu0_core.simulation import scene
from mu0_core.simulation.film_tracks import anchor, positions
from mu0_core.trace_extract.records import Tracks
from mu0_core.trace_extract.stages.compensation import MovingSettings, displacement_px

CELLS = 16  # per side of the picture, as in the coverage filter
EVERY_FRAMES = 10  # between the frames that are looked at
STILL_M = 0.01  # a point that goes less far within the window does not move
OBJECTS = (*scene.CUBES, "bowl", "plate")
_LEAST_PX = 50  # of an object that must show


def moving_labels(compared: ComparedClip) -> dict[str, float]:
    """Return ``moving_recall``, ``moving_precision`` and ``object_recall`` of the paper's test.

    The test for moving points is 40 px (at 640 px of width) within 64 frames. In every tenth
    frame the picture is cut into 16 x 16 cells. A cell moves when the true point under its middle
    passes the test with its true way; it is found when a track that is visible in it passes the
    test with its own way. ``object_recall`` is the same with an object (cube, bowl, plate) in
    place of a cell, because most moving cells show the arm: it moves when the true point in the
    middle of its pixels passes, and is found when a passing track's true point belongs to it.

    A label is right when the true point of the track goes further than 1 cm within the window:
    the threshold of the test is about 6 cm, and what lies between is neither missed nor wrong.
    """
    settings, tracks = MovingSettings(), compared.tracks
    cells, objects, labels = [], [], []
    for frame in range(0, max(len(compared.kept) - 1, 1), EVERY_FRAMES):
        far = displacement_px(tracks, compared.geometry, frame, settings)
        moving = tracks.visible[:, frame] & (far > settings.min_displacement_px)
        rows, columns = (np.indices((CELLS, CELLS)).reshape(2, -1) + 0.5) / CELLS
        lens = compared.truth.intrinsics
        middles = np.column_stack([columns * lens.width, rows * lens.height]) - 0.5
        truly = _moves(compared, frame, middles, settings)
        cells.append((truly, _cells_of(compared, frame, moving)))
        bodies, middles = _objects(compared, frame)
        truly = _moves(compared, frame, middles, settings)
        objects.append((truly, np.isin(bodies, compared.true.body[moving])))
        window = slice(frame, frame + settings.window_frames)
        labels.append(way_m(compared.true_m[moving, window]) > STILL_M)
    recall, of_objects = (
        moving_recall(*(np.concatenate(x) for x in zip(*pairs, strict=True)))
        for pairs in (cells, objects)
    )
    precision = moving_precision(np.concatenate(labels))
    return {
        "moving_recall": recall,
        "object_recall": of_objects,
        "moving_precision": precision,
    }


def _moves(
    compared: ComparedClip, frame: int, uv_px: np.ndarray, settings: MovingSettings
) -> np.ndarray:
    """Return (N,) whether the true points under pixels (N, 2) of the film pass the test."""
    truth, window = compared.truth, compared.kept[frame : frame + settings.window_frames]
    anchors = anchor(truth, int(compared.kept[frame]), uv_px)
    base_m = positions(truth, anchors, window)
    way = Tracks(
        uv_px=np.empty((len(uv_px), len(window), 2)),
        world_m=base_m,
        visible=np.ones(base_m.shape[:2], bool),
        cluster_ids=anchors.body,
        query_frame=np.zeros(len(uv_px), int),
    )
    path = replace(compared.geometry.path, T_world_camera=truth.T_base_camera[compared.kept])
    exact = replace(compared.geometry, intrinsics=truth.intrinsics, path=path)
    return displacement_px(way, exact, 0, settings) > settings.min_displacement_px


def _objects(compared: ComparedClip, frame: int) -> tuple[np.ndarray, np.ndarray]:
    """Return body ids (N,) of the objects that show, and for each its most inner pixel (N, 2)."""
    truth = compared.truth
    shown = truth.bodies(int(compared.kept[frame]))
    found, middles = [], []
    for body, name in enumerate(truth.body_names):
        rows, columns = np.nonzero(shown == body)
        if name not in OBJECTS or len(rows) < _LEAST_PX:
            continue
        inner = np.hypot(rows - rows.mean(), columns - columns.mean()).argmin()
        found.append(body)
        middles.append((columns[inner], rows[inner]))
    return np.array(found, int), np.array(middles, float).reshape(-1, 2)


def _cells_of(compared: ComparedClip, frame: int, chosen: np.ndarray) -> np.ndarray:
    """Return (cells,) which cells hold one of the chosen tracks in a frame."""
    clip = compared.geometry.intrinsics
    share = (compared.tracks.uv_px[chosen, frame] + 0.5) / [clip.width, clip.height]
    column, row = np.clip((share * CELLS).astype(int), 0, CELLS - 1).T
    held = np.zeros(CELLS * CELLS, bool)
    held[row * CELLS + column] = True
    return held
