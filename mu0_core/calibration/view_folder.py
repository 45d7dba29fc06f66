# SPDX-License-Identifier: Apache-2.0
"""Folders of images as views of a board, or as colour with depth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mu0_core.calibration.board import Board
from mu0_core.calibration.hand_eye_records import View
from mu0_core.calibration.lens import Lens
from mu0_core.errors import DataError
from mu0_core.trace_extract.sources.folder_files import find_folder_files, name_times
from mu0_core.trace_extract.sources.image_file import RGB_SUFFIXES, read_depth, read_rgb
from mu0_core.trace_extract.sources.natural_order import in_natural_order


@dataclass(frozen=True, slots=True)
class Views:
    """Views, and the picture (h, w, 3) of each without distortion."""

    views: list[View]
    pictures: dict[str, np.ndarray]


def read_views(
    folder: Path, poses: Mapping[str, np.ndarray], board: Board, lens: Lens
) -> tuple[Views, list[str]]:
    """Return the views of a folder, and the names of images that do not show the board.

    Raises:
        DataError: images without pose or poses without image; an image of another size than the
            camera file says.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: is no folder")
    images = in_natural_order(p for p in folder.iterdir() if p.suffix.lower() in RGB_SUFFIXES)
    names = {path.name for path in images}
    for what, missing in (
        ("images without a pose", sorted(names - poses.keys())),
        ("poses without an image", sorted(poses.keys() - names)),
    ):
        if missing:
            raise DataError(f"{folder}: {len(missing)} {what}: {', '.join(missing[:10])}")
    found, blind = Views([], {}), []
    for path in images:
        rgb = read_rgb(path)
        size = (lens.intrinsics.width, lens.intrinsics.height)
        if rgb.shape[1::-1] != size:
            raise DataError(
                f"{path}: {rgb.shape[1]}x{rgb.shape[0]} pixels, the camera file is for "
                f"{size[0]}x{size[1]}"
            )
        corners = board.find(rgb)
        if corners is None:
            blind.append(path.name)
            continue
        found.views.append(View(path.name, poses[path.name], corners))
        found.pictures[path.name] = lens.straighten_picture(rgb)
    return found, blind


def read_rgbd(folder: Path, depth_unit_m: float) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield name, colour (h, w, 3) and depth (h, w) in metres of a folder with both.

    Raises:
        SourceError: an image cannot be read; names that do not tell what belongs together.
        DataError: there is no depth.
    """
    files = find_folder_files(folder)
    times = name_times(files.color)
    depth = files.depth_of(np.arange(len(files.color)) * 1.0 if times is None else times)
    if not any(depth):
        raise DataError(f"{folder / 'depth'}: no depth images")
    for colour_path, depth_path in zip(files.color, depth):
        if depth_path is not None:
            yield colour_path.name, read_rgb(colour_path), read_depth(depth_path, depth_unit_m)
