# SPDX-License-Identifier: Apache-2.0
"""Small tables that people write beside images: CSV with a header, YAML or JSON."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from mu0_core.errors import DataError, ShapeError
from mu0_core.geometry import se3

_POSE = ("x", "y", "z", "qx", "qy", "qz", "qw")


def read_numbers(path: Path, columns: Sequence[str]) -> np.ndarray:
    """Return (N, len(columns)) of a CSV file with these columns; others are ignored.

    Raises:
        DataError: not readable, no such column, no row, or a cell that is no finite number.
    """
    rows = _csv(path, columns)
    return np.array([[_number(path, line, row[c], c) for c in columns] for line, row in rows])


def read_named_numbers(path: Path, name: str, columns: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the numbers (len(columns),) of each row of a CSV file by its column ``name``.

    Raises:
        DataError: as `read_numbers`, or a name that is empty or stands twice.
    """
    found: dict[str, np.ndarray] = {}
    for line, row in _csv(path, (name, *columns)):
        key = (row[name] or "").strip()
        if not key or key in found:
            raise DataError(f"{path}:{line}: {name} {key!r} is empty or stands twice")
        found[key] = np.array([_number(path, line, row[c], c) for c in columns])
    return found


def read_poses(path: Path) -> dict[str, np.ndarray]:
    """Return T_base_tool (4, 4) of each image.

    CSV: columns ``image x y z qx qy qz qw``. YAML and JSON: a list of ``image``, ``xyz`` and
    ``quat_xyzw``. Metres; the tool's pose in the base frame.

    Raises:
        DataError: not readable, or a pose that is none; names it.
    """
    if path.suffix.lower() == ".csv":
        rows = read_named_numbers(path, "image", _POSE)
    else:
        rows = _listed(path)
    poses = {}
    for image, numbers in rows.items():
        try:
            poses[image] = se3.from_quat_xyzw(numbers[:3], numbers[3:])
        except ShapeError as error:
            raise DataError(f"{path}: {image}: {error}") from error
    return poses


def _listed(path: Path) -> dict[str, np.ndarray]:
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    if not isinstance(entries, list) or not entries:
        raise DataError(f"{path}: expected a list of image, xyz, quat_xyzw")
    found: dict[str, np.ndarray] = {}
    for number, entry in enumerate(entries):
        try:
            image = str(entry["image"])
            parts = [np.array(entry[k], dtype=float) for k in ("xyz", "quat_xyzw")]
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{path}: entry {number}: {error!r}; needs image, xyz, quat_xyzw"
            ) from None
        if parts[0].shape != (3,) or parts[1].shape != (4,) or image in found:
            raise DataError(
                f"{path}: {image}: needs 3 numbers in xyz and 4 in quat_xyzw, and stands once"
            )
        found[image] = np.concatenate(parts)
    return found


def _csv(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, Any]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, skipinitialspace=True)
            rows = [(reader.line_num, row) for row in reader]
            header = reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    if missing := [c for c in columns if c not in header]:
        raise DataError(
            f"{path}: no column {', '.join(missing)}; its header has {', '.join(header)}"
        )
    if not rows:
        raise DataError(f"{path}: has a header and no rows")
    return rows


def _number(path: Path, line: int, text: str | None, column: str) -> float:
    try:
        value = float(text)
        if not np.isfinite(value):
            raise ValueError
    except (TypeError, ValueError):
        raise DataError(f"{path}:{line}: {column} is {text!r}, expected a finite number") from None
    return value
