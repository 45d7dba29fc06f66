# SPDX-License-Identifier: Apache-2.0
"""A picture of motion segments and their captions over the frames of a clip, for the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mu0_core.data.captions import CaptionEntry, Captions
from mu0_core.errors import ConfigError
from mu0_core.trace_extract.records import MotionSegments

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DPI = 100
_CURVES_PX, _ROW_PX, _MARGIN_PX = 130, 24, 60
_MOST_ROWS = 40
_CHARACTERS_PER_PX = 0.13
_LINE, _EVEN, _ODD, _MERGED = "#2f4b6e", "#c7d7ec", "#e7edf6", "#f3e3c3"


def segments_picture(
    segments: MotionSegments, captions: Captions, width_px: int = 1000
) -> np.ndarray:
    """Return (h, width_px, 3) uint8: speed and acceleration with the cuts, then one row an entry.

    Args:
        segments: of stage 7.
        captions: of stage 8; beyond 40 entries the rest is only counted.
        width_px: of the picture, at least 300.

    Raises:
        ConfigError: the width is too small, or matplotlib is not installed.
    """
    if width_px < 300:
        raise ConfigError(f"width_px {width_px} must be at least 300")
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError("pictures need matplotlib: pip install 'mu0-ros[sim]'") from error
    rows = captions.entries[:_MOST_ROWS]
    left_out = len(captions.entries) - len(rows)
    heights = [_CURVES_PX, _CURVES_PX, max(1, len(rows)) * _ROW_PX + 10]
    height_px = sum(heights) + 2 * _MARGIN_PX
    figure = Figure(figsize=(width_px / _DPI, height_px / _DPI), dpi=_DPI)
    canvas = FigureCanvasAgg(figure)
    speed, acceleration, table = figure.subplots(3, 1, sharex=True, height_ratios=heights)
    _curve(speed, segments.speed, segments.bounds, "speed")
    _curve(acceleration, segments.acceleration, segments.bounds, "acceleration")
    acceleration.axhline(0, color="grey", linewidth=0.6)
    speed.set_title(
        f"{len(segments.bounds)} segments in {len(segments.speed)} frames "
        "(image widths, heights, m / 10 a frame)",
        fontsize=9,
    )
    _entries(table, rows, len(segments.speed), width_px)
    table.set_xlabel("frame" + (f"; {left_out} more entries" if left_out else ""), fontsize=8)
    figure.subplots_adjust(
        left=70 / width_px, right=1 - 15 / width_px, hspace=0.1,
        top=1 - 40 / height_px, bottom=45 / height_px,
    )  # fmt: skip
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]


def _curve(axes: Axes, values: np.ndarray, bounds: np.ndarray, label: str) -> None:
    """Draw a signal; frames in which it is not known stay empty."""
    for k, (first, last) in enumerate(bounds):
        axes.axvspan(first - 0.5, last + 0.5, color=(_EVEN, _ODD)[k % 2], linewidth=0)
    for first in bounds[1:, 0]:
        axes.axvline(first - 0.5, color="#b03030", linestyle="--", linewidth=1)
    axes.plot(values, color=_LINE, linewidth=1.2)
    axes.set_ylabel(label, fontsize=8)
    axes.tick_params(labelsize=7)


def _entries(axes: Axes, entries: tuple[CaptionEntry, ...], frames: int, width_px: int) -> None:
    """Draw one bar an entry, its best sentence on it, merged ones in another colour."""
    longest = round(width_px * _CHARACTERS_PER_PX)
    for row, entry in enumerate(entries):
        colour = _MERGED if entry.is_merged else (_EVEN, _ODD)[row % 2]
        length = entry.last - entry.first + 1
        axes.barh(row, length, 0.9, entry.first - 0.5, color=colour, edgecolor="grey", lw=0.5)
        text = f"{entry.captioner or '?'}: {entry.instructions[0]}"
        text = text if len(text) <= longest else text[: longest - 1] + "…"
        axes.text(0, row, text, fontsize=7.5, va="center", parse_math=False)
    axes.set_xlim(-0.5, max(frames, 1) - 0.5)
    axes.set_ylim(max(len(entries), 1) - 0.5, -0.5)
    axes.set_yticks([])
    axes.set_ylabel("captions" if entries else "no captions", fontsize=8)
    axes.tick_params(labelsize=7)
