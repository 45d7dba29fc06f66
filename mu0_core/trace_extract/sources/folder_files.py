# SPDX-License-Identifier: Apache-2.0
"""Which files of an image folder are what, and which depth image belongs to which colour image."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mu0_core.errors import SourceError
from mu0_core.trace_extract.sources.image_file import DEPTH_SUFFIXES, RGB_SUFFIXES
from mu0_core.trace_extract.sources.natural_order import in_natural_order
from mu0_core.trace_extract.sources.nearest import nearest_within
from mu0_core.trace_extract.sources.sidecar import FOLDER_TEXTS

_COLOR_FOLDERS = ("color", "rgb")
_OTHER_FOLDERS = ("depth", "truth")
# What may lie beside the files of a clip.
BESIDE_SUFFIXES = frozenset(
    (".txt", ".json", ".md", ".yaml", ".yml", ".csv", ".npz", *RGB_SUFFIXES, *DEPTH_SUFFIXES)
)
_SECONDS = re.compile(r"\d+\.\d+")  # plain numbers count images, they are no times


@dataclass(frozen=True, slots=True)
class FolderFiles:
    """The files of one folder of images.

    Attributes:
        root: the folder.
        color: images in order of their times or else numbers, at least one.
        depth: the same, maybe none.
        camera, stamps, poses, description, texts: the other files, or None.
    """

    root: Path
    color: list[Path]
    depth: list[Path]
    camera: Path | None
    stamps: Path | None
    poses: Path | None
    description: Path | None
    texts: Path | None

    def all_files(self) -> list[Path]:
        """Return every file that the clip depends on."""
        others = (self.camera, self.stamps, self.poses, self.description, self.texts)
        return [*self.color, *self.depth, *(path for path in others if path is not None)]

    def depth_of(self, stamps_s: np.ndarray) -> list[Path | None]:
        """Return the depth image of each colour image, None where there is none.

        Names that are times go by the nearest within half a period; else equal names; else, when
        there are as many of both and no name is shared, the order. [] = no depth images at all.

        Raises:
            SourceError: none of these rules applies.
        """
        if not self.depth:
            return []
        color_times, depth_times = name_times(self.color), name_times(self.depth)
        if color_times is not None and depth_times is not None:
            period = float(np.median(np.diff(stamps_s))) if len(stamps_s) > 1 else np.inf
            nearest = nearest_within(color_times, depth_times, period / 2)
            return [self.depth[i] if i >= 0 else None for i in nearest]
        by_name = {path.stem: path for path in self.depth}
        names = {path.stem for path in self.color}
        if by_name.keys() <= names or names <= by_name.keys():
            return [by_name.get(path.stem) for path in self.color]
        if len(self.depth) == len(self.color) and not by_name.keys() & names:
            return list(self.depth)
        raise SourceError(
            f"{self.depth[0].parent}: {len(self.depth)} depth images for {len(self.color)} colour "
            f"images and the names differ ({self.depth[0].name}, {self.color[0].name}); name "
            "them alike"
        )


def color_folder(root: Path) -> Path | None:
    """Return the folder that holds the colour images, or None.

    It may be ``root`` itself if that holds nothing else of note: a picture beside videos or in a
    folder of folders is no clip.
    """
    for folder in (root / name for name in _COLOR_FOLDERS):
        if _images(folder, RGB_SUFFIXES):
            return folder
    is_plain = all(
        path.name in _OTHER_FOLDERS if path.is_dir() else path.suffix.lower() in BESIDE_SUFFIXES
        for path in root.iterdir()
        if not path.name.startswith(".")
    )
    return root if is_plain and _images(root, RGB_SUFFIXES) else None


def find_folder_files(root: Path) -> FolderFiles:
    """List a folder.

    Raises:
        SourceError: no colour images, or a depth folder without depth images.
    """
    color = color_folder(root)
    if color is None:
        raise SourceError(
            f"{root}: no colour images in color/, rgb/ or the folder itself; allowed: "
            f"{', '.join(RGB_SUFFIXES)}"
        )
    depth = _images(root / "depth", DEPTH_SUFFIXES)
    if (root / "depth").is_dir() and not depth:
        raise SourceError(f"{root / 'depth'}: no depth images, allowed: {DEPTH_SUFFIXES}")

    def present(*names: str) -> Path | None:
        return next((root / name for name in names if (root / name).is_file()), None)

    return FolderFiles(
        root,
        _in_order(_images(color, RGB_SUFFIXES)),
        _in_order(depth),
        present("intrinsics.json"),
        present("stamps.txt"),
        present("T_world_camera.npy"),
        present(*FOLDER_TEXTS),
        present("texts.json"),
    )


def name_times(paths: Sequence[Path]) -> np.ndarray | None:
    """Return the seconds (T,) that the names are, or None when one of them is no time."""
    if not all(_SECONDS.fullmatch(path.stem) for path in paths):
        return None
    return np.array([float(path.stem) for path in paths])


def _in_order(paths: list[Path]) -> list[Path]:
    if paths and name_times(paths) is not None:
        return sorted(paths, key=lambda path: float(path.stem))
    return in_natural_order(paths)


def _images(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    if not folder.is_dir():
        return []
    return [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in suffixes and not path.name.startswith(".") and path.is_file()
    ]
