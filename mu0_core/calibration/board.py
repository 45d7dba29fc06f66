# SPDX-License-Identifier: Apache-2.0
"""Flat targets with known corners: checkerboard, ChArUco board, AprilTags. OpenCV finds them.

Frame of a board: origin at its first corner, x along its columns, y along its rows, z away from
who looks at it, so that all corners have z = 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mu0_core.errors import ConfigError

KINDS = ("checkerboard", "charuco", "apriltag")
_DEFAULT_MARKERS = {"charuco": "DICT_5X5_100", "apriltag": "DICT_APRILTAG_36H11"}
_FEWEST_CORNERS = 4


@dataclass(frozen=True, slots=True)
class Found:
    """Corners of a board in one image.

    Attributes:
        board_m: (N, 3) in the board's frame.
        uv_px: (N, 2) in the image, integer pixel centres.
    """

    board_m: np.ndarray
    uv_px: np.ndarray

    def __len__(self) -> int:
        return len(self.uv_px)


@dataclass(frozen=True, slots=True)
class Board:
    """A target.

    Attributes:
        kind: one of `KINDS`.
        columns, rows: of inner corners (checkerboard), squares (charuco) or tags (apriltag).
        size_m: side of a square; of a tag, its black square.
        extra_m: charuco: side of a marker; apriltag: gap between tags (0 for a single one).
        markers: OpenCV's name of the dictionary; empty = the usual one.
    """

    kind: str
    columns: int
    rows: int
    size_m: float
    extra_m: float = 0.0
    markers: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"board {self.kind!r}: allowed are {', '.join(KINDS)}")
        least = 1 if self.kind == "apriltag" else 3
        if not (least <= self.columns <= 50 and least <= self.rows <= 50):
            raise ConfigError(f"board of {self.columns}x{self.rows}, allowed {least} to 50 each")
        if not 0.001 <= self.size_m <= 2.0:
            raise ConfigError(f"board size {self.size_m} m is outside 0.001 to 2")
        if self.kind == "checkerboard" and (self.columns + self.rows) % 2 == 0:
            raise ConfigError(
                f"a checkerboard of {self.columns}x{self.rows} inner corners looks the same "
                "upside down: one number must be even and the other odd, or take a charuco board"
            )
        if self.kind == "charuco" and not 0 < self.extra_m < self.size_m:
            raise ConfigError(
                f"charuco marker of {self.extra_m} m must be positive and smaller than its square "
                f"of {self.size_m} m"
            )
        several = self.columns * self.rows > 1
        if self.kind == "apriltag" and several and not 0 < self.extra_m < 1:
            raise ConfigError(f"gap between tags {self.extra_m} m must be positive, below 1 m")

    @classmethod
    def parse(cls, text: str) -> Board:
        """Return the board that a text such as ``charuco:7x5:0.04:0.03`` names.

        Raises:
            ConfigError: another form, or a value out of range.
        """
        parts = text.split(":")
        try:
            columns, rows = (int(n) for n in parts[1].split("x"))
            sizes = [float(n) for n in parts[2:4]]
            if not sizes or len(parts) > 5:
                raise ValueError
        except (IndexError, ValueError):
            raise ConfigError(
                f"board {text!r}: expected checkerboard:COLUMNSxROWS:SQUARE_M, "
                "charuco:COLUMNSxROWS:SQUARE_M:MARKER_M[:DICTIONARY] or "
                "apriltag:COLUMNSxROWS:TAG_M[:GAP_M[:DICTIONARY]]"
            ) from None
        return cls(parts[0], columns, rows, *sizes, markers=parts[4] if len(parts) == 5 else "")

    @property
    def corners_m(self) -> np.ndarray:
        """All corners (N, 3) in the order of their numbers."""
        if self.kind == "apriltag":
            pitch = self.size_m + self.extra_m
            row, column = np.indices((self.rows, self.columns)).reshape(2, -1)
            tag = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * self.size_m
            xy = (np.stack([column, row], -1) * pitch)[:, None] + tag[None]
        else:
            less = 1 if self.kind == "charuco" else 0
            shape = (self.rows - less, self.columns - less)
            row, column = np.indices(shape).reshape(2, -1)
            xy = (np.stack([column, row], -1) + less) * self.size_m
        xy = xy.reshape(-1, 2).astype(float)
        return np.concatenate([xy, np.zeros((len(xy), 1))], axis=1)

    @property
    def size_xy_m(self) -> tuple[float, float]:
        """Width and height from the first to the last corner."""
        corners = self.corners_m
        return tuple(float(x) for x in np.ptp(corners[:, :2], axis=0))

    def find(self, rgb: np.ndarray) -> Found | None:
        """Return the corners seen in a picture (h, w, 3) uint8, None when the board is not seen.

        Raises:
            ConfigError: OpenCV has no such dictionary.
        """
        import cv2

        grey = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY)
        found = {"checkerboard": self._checkers, "charuco": self._charuco, "apriltag": self._tags}
        ids, uv = found[self.kind](cv2, grey)
        if len(ids) < _FEWEST_CORNERS:
            return None
        return Found(self.corners_m[ids], uv.astype(float))

    def picture(self, px_per_m: float) -> np.ndarray:
        """Return the board as it is printed (h, w) uint8, with a white margin.

        The board's point (x, y) lies at pixel ``(x + margin, y + margin) * px_per_m - 0.5`` with
        `margin_m`.
        """
        import cv2

        cell = round(self.size_m * px_per_m)
        margin = round(self.margin_m * px_per_m)
        if self.kind == "checkerboard":
            pattern = np.indices((self.rows + 1, self.columns + 1)).sum(0) % 2 * 255
            inner = np.kron(pattern, np.ones((cell, cell))).astype(np.uint8)
            margin -= cell  # the outer squares lie outside the corners
        elif self.kind == "charuco":
            inner = self._cv_charuco(cv2).generateImage((self.columns * cell, self.rows * cell))
        else:
            pitch = round((self.size_m + self.extra_m) * px_per_m)
            shape = ((self.rows - 1) * pitch + cell, (self.columns - 1) * pitch + cell)
            inner = np.full(shape, 255, np.uint8)
            for k in range(self.rows * self.columns):
                y, x = (n * pitch for n in divmod(k, self.columns))
                tag = cv2.aruco.generateImageMarker(self._dictionary(cv2), k, cell)
                inner[y : y + cell, x : x + cell] = tag
        return np.pad(inner, margin, constant_values=255)

    @property
    def margin_m(self) -> float:
        """White margin of `picture`, measured from the board's origin."""
        return 2 * self.size_m if self.kind == "checkerboard" else self.size_m

    def _dictionary(self, cv2: Any) -> Any:
        name = self.markers or _DEFAULT_MARKERS[self.kind]
        number = getattr(cv2.aruco, name, None)
        if not name.startswith("DICT_") or number is None:
            known = sorted(n for n in dir(cv2.aruco) if n.startswith("DICT_"))
            raise ConfigError(f"markers {name!r}: OpenCV has {', '.join(known)}")
        return cv2.aruco.getPredefinedDictionary(number)

    def _cv_charuco(self, cv2: Any) -> Any:
        return cv2.aruco.CharucoBoard(
            (self.columns, self.rows), self.size_m, self.extra_m, self._dictionary(cv2)
        )

    def _checkers(self, cv2: Any, grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        shape = (self.columns, self.rows)
        flags = cv2.CALIB_CB_ACCURACY | cv2.CALIB_CB_NORMALIZE_IMAGE
        seen, uv = cv2.findChessboardCornersSB(grey, shape, flags=flags)
        if not seen:
            return np.zeros(0, int), np.zeros((0, 2))
        uv = uv.reshape(self.rows, self.columns, 2)
        first, beside = (self._square_level(grey, uv, column) for column in (0, 1))
        if first > beside:  # in the picture of the board the first inner square is dark
            uv = uv[::-1, ::-1]
        return np.arange(self.columns * self.rows), uv.reshape(-1, 2)

    @staticmethod
    def _square_level(grey: np.ndarray, uv: np.ndarray, column: int) -> float:
        """Return the grey level around the middle of a square of the first row."""
        u, v = uv[:2, column : column + 2].reshape(-1, 2).mean(0).round().astype(int)
        return float(grey[max(v - 1, 0) : v + 2, max(u - 1, 0) : u + 2].mean())

    def _charuco(self, cv2: Any, grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        detector = cv2.aruco.CharucoDetector(self._cv_charuco(cv2))
        uv, ids, _, _ = detector.detectBoard(grey)
        if ids is None:
            return np.zeros(0, int), np.zeros((0, 2))
        return ids.reshape(-1), uv.reshape(-1, 2)

    def _tags(self, cv2: Any, grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        options = cv2.aruco.DetectorParameters()
        options.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
        quads, ids, _ = cv2.aruco.ArucoDetector(self._dictionary(cv2), options).detectMarkers(grey)
        pairs = [
            (4 * int(k) + np.arange(4), quad.reshape(4, 2))
            for k, quad in zip(() if ids is None else ids.reshape(-1), quads)
            if k < self.columns * self.rows
        ]
        if not pairs:
            return np.zeros(0, int), np.zeros((0, 2))
        return np.concatenate([p[0] for p in pairs]), np.concatenate([p[1] for p in pairs])
