# SPDX-License-Identifier: Apache-2.0
"""Frames of a clip on disk instead of in memory: written one by one, given back memory-mapped."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import cv2
import numpy as np

from mu0_core.errors import SourceError
from mu0_core.trace_extract.sources.reading import ReadSettings
from mu0_core.types import CameraIntrinsics


class FrameStore:
    """The raw files of one clip in a scratch folder.

    Used as a context manager: when its block fails, the files are removed. Colour arrives in
    order, depth in any order; frames without depth become NaN as a whole.
    """

    def __init__(self, scratch: Path, name: str, source: object, settings: ReadSettings) -> None:
        """Prepare the files.

        Args:
            scratch: folder for them, made when missing.
            name: of the clip; two clips with one name must not share a folder.
            source: what errors name.
            settings: ``max_width`` is used.
        """
        self._source, self._max_width = source, settings.max_width
        self._paths = (scratch / f"{name}.rgb.raw", scratch / f"{name}.depth.raw")
        self._rgb: BinaryIO | None = None
        self._depth: BinaryIO | None = None
        self._count = 0
        self._with_depth: set[int] = set()
        self.source_size: tuple[int, int] | None = None

    def __enter__(self) -> FrameStore:
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stream in (self._rgb, self._depth):
            if stream is not None:
                try:
                    stream.close()
                except OSError:  # a full disk was reported when it was written to
                    pass
        if error is not None:
            for path in self._paths:
                path.unlink(missing_ok=True)

    def __len__(self) -> int:
        return self._count

    @property
    def size(self) -> tuple[int, int]:
        """Return width and height in pixels of what is kept."""
        if self.source_size is None:
            raise SourceError(f"{self._source}: no frames")
        width, height = self.source_size
        if not self._max_width or width <= self._max_width:
            return width, height
        return self._max_width, max(1, round(height * self._max_width / width))

    @property
    def frames_without_depth(self) -> int:
        """Return how many of the frames have no depth image."""
        return self._count - len(self._with_depth)

    def add(self, rgb: np.ndarray, depth_m: np.ndarray | None = None) -> int:
        """Append a frame and return its index.

        Args:
            rgb: (h, w, 3) uint8, of the same size each time.
            depth_m: (h, w) metres, or None; what is not finite and positive is unknown.

        Raises:
            SourceError: another size than before, or the disk is full.
        """
        size = (rgb.shape[1], rgb.shape[0])
        if self.source_size is None:
            self.source_size = size
        elif size != self.source_size:
            raise SourceError(
                f"{self._source}: frame {self._count} has {_text(size)} pixels, those before "
                f"{_text(self.source_size)}; a clip has one size"
            )
        if size != self.size:
            rgb = cv2.resize(rgb, self.size, interpolation=cv2.INTER_AREA)
        if self._rgb is None:
            self._rgb = self._open(self._paths[0])
        self._write(self._rgb, np.ascontiguousarray(rgb), self._count)
        self._count += 1
        if depth_m is not None:
            self.set_depth(self._count - 1, depth_m)
        return self._count - 1

    def set_depth(self, index: int, depth_m: np.ndarray) -> None:
        """Give the depth (h, w) in metres of a frame that was or will be added.

        Raises:
            SourceError: another size than colour, or the disk is full.
        """
        size = (depth_m.shape[1], depth_m.shape[0])
        if self.source_size is None:
            self.source_size = size
        if size != self.source_size:
            raise SourceError(
                f"{self._source}: depth of frame {index} has {_text(size)} pixels, colour "
                f"{_text(self.source_size)}; depth must be registered to colour"
            )
        if size != self.size:
            depth_m = cv2.resize(
                np.asarray(depth_m, np.float32), self.size, interpolation=cv2.INTER_NEAREST_EXACT
            )
        with np.errstate(over="ignore"):
            half = depth_m.astype(np.float16)
        half[~(np.isfinite(half) & (half > 0))] = np.nan
        if self._depth is None:
            self._depth = self._open(self._paths[1])
        self._write(self._depth, half, index)
        self._with_depth.add(index)

    def fit(self, intrinsics: CameraIntrinsics | None) -> CameraIntrinsics | None:
        """Return intrinsics of the source's size for the size that is kept.

        Raises:
            SourceError: they are for another size.
        """
        if intrinsics is None:
            return None
        size = (intrinsics.width, intrinsics.height)
        if size != self.source_size:
            raise SourceError(
                f"{self._source}: intrinsics are for {_text(size)} pixels, frames have "
                f"{_text(self.source_size or (0, 0))}"
            )
        return intrinsics if size == self.size else intrinsics.scaled(*self.size)

    def finish(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Return rgb (T, h, w, 3) uint8 and depth (T, h, w) float16 metres or None, both mapped.

        Raises:
            SourceError: no frame was added, or the disk is full.
        """
        width, height = self.size
        if self._rgb is None:
            raise SourceError(f"{self._source}: no frames")
        shape = (self._count, height, width)
        if self._depth is not None:
            for index in sorted(set(range(self._count)) - self._with_depth):
                self._write(self._depth, np.full(shape[1:], np.nan, np.float16), index)
        for stream in (self._rgb, self._depth):
            if stream is not None:
                self._flush(stream)
        rgb = np.memmap(self._paths[0], np.uint8, "r", shape=(*shape, 3))
        if self._depth is None:
            return rgb, None
        return rgb, np.memmap(self._paths[1], np.float16, "r", shape=shape)

    def _open(self, path: Path) -> BinaryIO:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return path.open("wb")
        except OSError as error:
            raise self._no_room(error) from error

    def _write(self, stream: BinaryIO, frame: np.ndarray, index: int) -> None:
        try:
            stream.seek(index * frame.nbytes)
            stream.write(frame.data)
        except OSError as error:
            raise self._no_room(error) from error

    def _flush(self, stream: BinaryIO) -> None:
        try:
            stream.flush()
        except OSError as error:
            raise self._no_room(error) from error

    def _no_room(self, error: OSError) -> SourceError:
        return SourceError(
            f"{self._source}: frame {self._count} cannot be kept in {self._paths[0].parent} "
            f"({error.strerror}); a frame takes up to "
            f"{5 * np.prod(self.size if self.source_size else (0,)) / 1e6:.1f} MB there"
        )


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
