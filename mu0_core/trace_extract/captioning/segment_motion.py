# SPDX-License-Identifier: Apache-2.0
"""How the points of one motion segment moved, as a few numbers that can be said in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mu0_core.errors import DataError, ShapeError

_MOST_MOVED = 0.5  # of the largest way: these points say where the motion went
_MOVED = 0.25  # of the largest way: these points move; less may be noise of the depth
_BACK = 0.3  # of the way: what ends nearer to its start came back
_LARGEST = 90  # percentile of the ways, so that one lost track decides nothing
_MIN_TURNING_POINTS = 6
_MAX_MISFIT = 0.15  # of the points' own spread, for a turn to be believed


@dataclass(frozen=True, slots=True)
class SegmentMotion:
    """Means over the points that moved most, from where each is first seen to where it is last.

    Attributes:
        right, down: in image widths.
        away: change of depth over depth.
        way_px: largest distance of a point from where it was first seen.
        comes_back: it ends much nearer to its start than it was in between.
        turn_rad: turn in the picture, clockwise positive, -pi..pi; NaN unless the points turned
            as one rigid thing.
    """

    right: float
    down: float
    away: float
    way_px: float
    comes_back: bool
    turn_rad: float


def segment_motion(
    tracks_uvz: np.ndarray, valid: np.ndarray, first: int, last: int, width: int
) -> SegmentMotion | None:
    """Return the motion in frames ``first``..``last``; None where no point is seen twice.

    Args:
        tracks_uvz: (P, T, 3) x px, y px, z m of the moving points in one camera that stands still;
            ignored where not valid.
        valid: (P, T) bool.
        first: frame.
        last: frame, included.
        width: of the image in pixels.

    Raises:
        ShapeError: the shapes disagree.
        DataError: the frames are none of the clip's, or a valid depth is not positive.
    """
    ways = _ways(tracks_uvz, valid, first, last, width)
    if not len(ways.rows):
        return None
    moved = ways.share >= _MOST_MOVED * np.percentile(ways.share, _LARGEST)
    start, end = ways.start[moved], ways.end[moved]
    depth_change = (end[:, 2] - start[:, 2]) / start[:, 2]
    net = np.column_stack([(end - start)[:, :2] / width, depth_change]).mean(axis=0)
    return SegmentMotion(
        right=float(net[0]),
        down=float(net[1]),
        away=float(net[2]),
        way_px=float(np.percentile(ways.px, _LARGEST)),
        comes_back=bool(np.linalg.norm(net) < _BACK * ways.share[moved].mean()),
        turn_rad=_turn(start[:, :2], end[:, :2]),
    )


def moves_in_segment(
    tracks_uvz: np.ndarray, valid: np.ndarray, first: int, last: int, width: int
) -> np.ndarray:
    """Return (P,) bool, the points of a clip that move in these frames; arguments as above."""
    ways = _ways(tracks_uvz, valid, first, last, width)
    moves = np.zeros(len(valid), bool)
    if len(ways.rows):
        moves[ways.rows] = ways.share >= _MOVED * np.percentile(ways.share, _LARGEST)
    return moves


@dataclass(frozen=True, slots=True)
class _Ways:
    """Of the points seen twice: their rows, ends (K, 3), way in px, and as a share of the view."""

    rows: np.ndarray
    start: np.ndarray
    end: np.ndarray
    px: np.ndarray
    share: np.ndarray


def _ways(tracks_uvz: np.ndarray, valid: np.ndarray, first: int, last: int, width: int) -> _Ways:
    _check(tracks_uvz, valid, first, last)
    seen = valid[:, first : last + 1]
    rows = np.flatnonzero(seen.sum(axis=1) >= 2)
    seen, paths = seen[rows], np.asarray(tracks_uvz[rows, first : last + 1], float)
    if not (paths[seen][:, 2] > 0).all():
        raise DataError("a point marked valid has no positive depth; mark it as not valid")
    index = np.arange(len(rows))
    start = paths[index, seen.argmax(axis=1)]
    end = paths[index, seen.shape[1] - 1 - seen[:, ::-1].argmax(axis=1)]
    away = np.where(seen[..., None], paths - start[:, None], 0.0)
    px = np.linalg.norm(away[..., :2], axis=-1).max(axis=1)
    depth = np.abs(away[..., 2]).max(axis=1) / start[:, 2]
    return _Ways(rows, start, end, px, np.maximum(px / width, depth))


def _check(tracks: np.ndarray, valid: np.ndarray, first: int, last: int) -> None:
    if tracks.ndim != 3 or tracks.shape[2] != 3 or valid.shape != tracks.shape[:2]:
        raise ShapeError(
            f"tracks {tracks.shape}, valid {valid.shape}: expected (P, T, 3) and (P, T)"
        )
    if not 0 <= first <= last < valid.shape[1]:
        raise DataError(f"frames {first}..{last}: the clip has 0..{valid.shape[1] - 1}")


def _turn(start: np.ndarray, end: np.ndarray) -> float:
    """Return the turn that takes (N, 2) points to (N, 2), or NaN where no turn fits well."""
    if len(start) < _MIN_TURNING_POINTS:
        return float("nan")
    before = (start - start.mean(axis=0)) @ [1, 1j]
    after = (end - end.mean(axis=0)) @ [1, 1j]
    spread = np.sqrt(np.mean(np.abs(before) ** 2))
    turn = np.angle(np.vdot(before, after))  # y points down: positive is clockwise
    misfit = np.sqrt(np.mean(np.abs(after - before * np.exp(1j * turn)) ** 2))
    return float(turn) if misfit < _MAX_MISFIT * spread else float("nan")
