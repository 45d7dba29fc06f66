# SPDX-License-Identifier: Apache-2.0
"""A picture of what each stage found, for the report and for looking at."""

from __future__ import annotations

import cv2
import numpy as np

from mu0_core.data.depth_render import render_depth
from mu0_core.evaluation.trace_colour import phase_colours
from mu0_core.trace_extract.records import Geometry, Keypoints, SlotRecord, Tracks

_TRAIL_FRAMES = 15
_DEPTH_RANGE_M = (0.25, 2.15)


def geometry_picture(rgb: np.ndarray, geometry: Geometry, width: int = 480) -> np.ndarray:
    """Return colour and depth of the first, middle and last frame, and the camera's path.

    Args:
        rgb: (T, h, w, 3) uint8; geometry: of the same frames.
        geometry: see above.
        width: of one image in pixels.
    """
    frames = [0, len(rgb) // 2, len(rgb) - 1]
    rows = [
        np.hstack([_fit(rgb[k], width), _fit(_depth_colours(geometry.depth_m[k]), width)])
        for k in frames
    ]
    return np.vstack([*rows, _path_picture(geometry, 2 * width)])


def clusters_picture(rgb: np.ndarray, keypoints: Keypoints, width: int = 480) -> np.ndarray:
    """Return three frames with their entities in colour and the proposed points."""
    chosen = np.unique(np.linspace(0, len(keypoints.sampled_frames) - 1, 3).round().astype(int))
    panels = []
    for k in chosen:
        frame = int(keypoints.sampled_frames[k])
        image = rgb[frame].copy()
        tint = _entity_colours(keypoints.cluster_maps[k])
        tint = cv2.resize(tint, image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        image = cv2.addWeighted(image, 0.55, tint, 0.45, 0)
        for u, v in keypoints.uv_px[keypoints.frame == frame]:
            cv2.circle(image, (round(float(u)), round(float(v))), 2, (255, 255, 255), -1)
        panels.append(_fit(image, width))
    return np.hstack(panels)


def tracks_picture(rgb: np.ndarray, tracks: Tracks, width: int = 480) -> np.ndarray:
    """Return three frames with their visible points and the way that these came."""
    panels = []
    for frame in np.linspace(min(_TRAIL_FRAMES, len(rgb) - 1), len(rgb) - 1, 3).astype(int):
        image = rgb[frame].copy()
        first = max(0, frame - _TRAIL_FRAMES)
        for track in np.flatnonzero(tracks.visible[:, frame]):
            colour = _colour(int(tracks.cluster_ids[track]))
            path = tracks.uv_px[track, first : frame + 1]
            _polyline(image, path[np.isfinite(path).all(axis=1)], [colour] * len(path))
            u, v = tracks.uv_px[track, frame]
            cv2.circle(image, (round(float(u)), round(float(v))), 2, colour, -1, cv2.LINE_AA)
        panels.append(_fit(image, width))
    return np.hstack(panels)


def slots_picture(rgb: np.ndarray, slots: list[SlotRecord], width: int = 480) -> np.ndarray:
    """Return up to three slots with the future of their moving points, as training will see it."""
    chosen = [slots[k] for k in np.unique(np.linspace(0, len(slots) - 1, 3).round().astype(int))]
    panels = []
    for slot in chosen:
        image = rgb[slot.frame].copy()
        for path in slot.future[slot.is_moving]:
            path = path[np.isfinite(path).all(axis=1), :2] - 0.5
            shades = phase_colours(np.linspace(0, 1, max(2, len(path)))) * 255
            _polyline(image, path, shades.tolist())
        panels.append(_fit(image, width))
    return np.hstack(panels)


def _fit(image: np.ndarray, width: int) -> np.ndarray:
    height = round(image.shape[0] * width / image.shape[1])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def _depth_colours(depth_m: np.ndarray) -> np.ndarray:
    rendered = render_depth(np.asarray(depth_m, np.float32), *np.log(_DEPTH_RANGE_M))
    return (rendered * 255).astype(np.uint8)


def _path_picture(geometry: Geometry, width: int, height: int = 120) -> np.ndarray:
    """Return the camera's position over the frames: x red, y green, z blue, scale in the text."""
    image = np.full((height, width, 3), 255, np.uint8)
    position = geometry.T_world_camera[:, :3, 3]
    reach = max(0.01, float(np.abs(position).max()))
    columns = np.linspace(8, width - 8, len(position))
    for axis, colour in enumerate(((200, 40, 40), (30, 140, 30), (40, 60, 210))):
        rows = height / 2 - position[:, axis] / reach * (height / 2 - 18)
        _polyline(image, np.column_stack([columns, rows]), [colour] * len(rows))
    text = f"camera x y z, +-{reach:.3f} m, {geometry.path.source}"
    cv2.putText(image, text, (8, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return image


def _entity_colours(entity_map: np.ndarray) -> np.ndarray:
    return np.array([[_colour(int(e)) for e in row] for row in entity_map], np.uint8)


def _colour(entity: int) -> tuple[int, int, int]:
    """Return a colour of its own for each entity."""
    hue = np.uint8([[[int(entity * 67) % 180, 220, 255]]])
    return tuple(int(c) for c in cv2.cvtColor(hue, cv2.COLOR_HSV2RGB)[0, 0])


def _polyline(image: np.ndarray, path: np.ndarray, colours: list) -> None:
    corners = np.rint(path).astype(int)
    for a, b, colour in zip(corners, corners[1:], colours[1:]):
        cv2.line(image, tuple(map(int, a)), tuple(map(int, b)), colour, 1, cv2.LINE_AA)
