# SPDX-License-Identifier: Apache-2.0
"""Which episode folders are trained on and which are held out; nothing is opened here.

The rule is the released one: the episodes of each pattern are shuffled with a seed and a share of
them, at least one, is held out. A split file replaces it; the split of a training is written as
one, so that an evaluation can use the same.
"""

from __future__ import annotations

import glob
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mu0_core.atomic_file import replace_file
from mu0_core.errors import DataError

_KEYS = ("train", "held_out")
_INDICES = ("frame_indices.npy", "offsets.npy", "is_moving.npy")


@dataclass(frozen=True, slots=True)
class Split:
    """Episode folders; none that is trained on is in another list.

    Attributes:
        train: learned from.
        held_out: never learned from.
        groups: name -> held-out episodes that an evaluation looks at separately, whether they are
            in ``held_out`` or not. A training ignores them.
    """

    train: tuple[Path, ...]
    held_out: tuple[Path, ...]
    groups: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, folders in {"": self.held_out, **self.groups}.items():
            if both := set(self.train) & set(folders):
                where = f" (group {name!r})" if name else ""
                raise DataError(
                    f"{len(both)} episodes to train on are held out too{where}: {min(both)}"
                )
        for name in _KEYS:
            if not getattr(self, name):
                raise DataError(f"the split has no {name} episode")

    def save(self, path: Path) -> None:
        """Write as a split file with absolute paths."""
        values: dict = {name: [str(p) for p in getattr(self, name)] for name in _KEYS}
        if self.groups:
            values["groups"] = {k: [str(p) for p in found] for k, found in self.groups.items()}
        text = json.dumps(values, indent=1) + "\n"
        replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def is_episode(folder: Path) -> bool:
    """Say whether a folder is meant as an episode; it may still be broken."""
    return (folder / "images.npy").is_file() or (folder / "samples").is_dir()


def find_episodes(pattern: str) -> list[Path]:
    """Return the episode folders that a pattern matches or that lie below its matches, sorted.

    Hidden folders, such as those of an episode that is being written, do not count.
    """
    found: list[Path] = []
    for match in sorted(glob.glob(str(Path(pattern).expanduser()))):
        folder = Path(match).resolve()
        if is_episode(folder):
            found.append(folder)
        elif folder.is_dir():
            found += _below(folder)
    return list(dict.fromkeys(found))


def _below(folder: Path) -> Iterable[Path]:
    for child in sorted(folder.iterdir()):
        if child.name.startswith(".") or not child.is_dir():
            continue
        if is_episode(child):
            yield child
        else:
            yield from _below(child)


def split_patterns(patterns: Sequence[str], share: float, seed: int) -> Split:
    """Return the split of all episodes.

    Raises:
        DataError: a pattern matches fewer than two episodes, of which one must be held out.
    """
    train: list[Path] = []
    held_out: list[Path] = []
    for pattern in patterns:
        known = {*train, *held_out}
        found = [p for p in find_episodes(pattern) if p not in known]
        if len(found) < 2:
            raise DataError(
                f"{pattern}: {len(found)} episodes in the released format (folders with "
                "images.npy and samples/); at least 2 are needed, one of them is held out"
            )
        order = np.random.default_rng(seed).permutation(len(found))
        count = max(1, round(share * len(found)))
        held_out += [found[k] for k in sorted(order[:count])]
        train += [found[k] for k in sorted(order[count:])]
    return Split(tuple(train), tuple(held_out))


def read_split(path: Path) -> Split:
    """Read a split file: ``{"train": [...], "held_out": [...]}``, patterns relative to its folder.

    ``"groups": {NAME: [...]}`` may name held-out episodes besides.

    Raises:
        DataError: it is not such a file, or a pattern matches no episode.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        lists = {name: _listed(values[name]) for name in _KEYS}
        groups = {str(k): _listed(v) for k, v in dict(values.get("groups", {})).items()}
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f'{path}: expected {{"train": [...], "held_out": [...]}} and, if wanted, '
            f'"groups": {{NAME: [...]}} ({error!r})'
        ) from error
    return Split(
        **{name: _matching(path, patterns) for name, patterns in lists.items()},
        groups={name: _matching(path, patterns) for name, patterns in groups.items()},
    )


def _listed(values: object) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
        raise ValueError(f"{values!r} is no list of patterns")
    return values


def _matching(path: Path, patterns: Sequence[str]) -> tuple[Path, ...]:
    """Return the episodes that the patterns of a split file match."""
    folders: list[Path] = []
    for pattern in patterns:
        found = find_episodes(str(path.parent / pattern))
        if not found:
            raise DataError(f"{path}: {pattern} matches no episode")
        folders += found
    return tuple(dict.fromkeys(folders))


def fingerprint(folders: Iterable[Path]) -> str:
    """Return a sum over names, file sizes and slot tables of episodes.

    Images and paths are not read: a data set may hold terabytes of them. A folder that was moved
    keeps its sum.
    """
    total = hashlib.sha256()
    for folder in sorted(folders, key=lambda p: (p.name, str(p))):
        total.update(f"{folder.name}\n".encode())
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            total.update(f"{path.relative_to(folder)} {path.stat().st_size}\n".encode())
            if path.name in _INDICES or path.suffix == ".json":
                total.update(path.read_bytes())
    return total.hexdigest()
