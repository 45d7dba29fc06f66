# SPDX-License-Identifier: Apache-2.0
"""A hand-eye calibration as a picture: corners seen and fitted, residuals per view."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mu0_core.atomic_file import replace_file
from mu0_core.calibration.hand_eye_records import HandEye, ViewResidual
from mu0_core.errors import ConfigError

_SHOWN = 12
_COLUMNS = 4


def draw(result: HandEye, pictures: Mapping[str, np.ndarray], path: Path) -> None:
    """Write a PNG.

    Args:
        result: what was found.
        pictures: name of a view -> its image (h, w, 3) uint8 without distortion.
        path: of the file.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise ConfigError("the picture needs matplotlib: pip install 'mu0-ros[sim]'") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = sorted(result.views, key=lambda v: (v.used, -v.px))[:_SHOWN]
    rows = -(-len(shown) // _COLUMNS)
    figure = pyplot.figure(figsize=(13, 3.4 + 2.5 * rows), dpi=110)
    grid = figure.add_gridspec(rows + 1, _COLUMNS, height_ratios=[1.15, *[1] * rows])
    _bars(figure.add_subplot(grid[0, :3]), result)
    _scatter(figure.add_subplot(grid[0, 3]), result)
    for k, view in enumerate(shown):
        panel = figure.add_subplot(grid[1 + k // _COLUMNS, k % _COLUMNS])
        _view(panel, view, pictures.get(view.name))
    figure.suptitle(
        f"{result.mode}: {result.rms('px'):.2f} px, {result.rms('mm'):.2f} mm, "
        f"{result.rms('deg'):.3f} deg over {len(result.used)} of {len(result.views)} views; "
        f"standard error {result.spread_mm:.2f} mm, {result.spread_deg:.3f} deg"
    )
    figure.tight_layout()
    replace_file(path, lambda temporary: figure.savefig(temporary, format="png"))
    pyplot.close(figure)


def _bars(panel, result: HandEye) -> None:
    """Draw the residual of each view."""
    colours = ["tab:blue" if v.used else "tab:red" for v in result.views]
    panel.bar(range(len(result.views)), [v.px for v in result.views], color=colours)
    panel.axhline(result.rms("px"), color="0.4", linewidth=1)
    names = [Path(v.name).stem for v in result.views]
    panel.set_xticks(range(len(names)), names, rotation=60, fontsize=7)
    panel.set_ylabel("px, rms")
    panel.set_title("residual per view (red: left out)", fontsize=9)
    if max(v.px for v in result.views) > 10 * result.rms("px"):
        panel.set_yscale("log")


def _scatter(panel, result: HandEye) -> None:
    """Draw the residual of each corner of the views that were used."""
    off = np.concatenate([v.fitted_px - v.uv_px for v in result.used])
    panel.plot(off[:, 0], off[:, 1], ".", markersize=2)
    reach = 1.1 * float(np.abs(off).max()) + 1e-9
    panel.set(xlim=(-reach, reach), ylim=(reach, -reach), aspect="equal")
    panel.set_title("fitted - seen, px", fontsize=9)
    panel.grid(alpha=0.3)


def _view(panel, view: ViewResidual, picture: np.ndarray | None) -> None:
    """Draw the corners of one view over its picture, cut to where they are."""
    if picture is not None:
        panel.imshow(picture)
    panel.plot(*view.uv_px.T, "o", markersize=5, markerfacecolor="none", color="lime")
    panel.plot(*view.fitted_px.T, "+", markersize=5, color="red")
    low, high = view.uv_px.min(0), view.uv_px.max(0)
    room = 0.25 * (high - low).max()
    panel.set_xlim(low[0] - room, high[0] + room)
    panel.set_ylim(high[1] + room, low[1] - room)
    panel.set_xticks([])
    panel.set_yticks([])
    left_out = "" if view.used else ", left out"
    panel.set_title(f"{Path(view.name).stem}: {view.px:.2f} px{left_out}", fontsize=8)
