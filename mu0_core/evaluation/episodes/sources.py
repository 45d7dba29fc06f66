# SPDX-License-Identifier: Apache-2.0
"""Which episode folders are evaluated, in which groups, and which may never be.

Held out means held out: an episode that a split file or a model's own training names as training
data is refused, unless the caller says that this is meant. A copy in another place is not
recognised.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mu0_core.errors import DataError
from mu0_core.training.episodes.preparation import SPLIT
from mu0_core.training.episodes.sources import find_episodes, read_split

_WORK = "work"  # of a training, in the folder of its checkpoint


@dataclass(frozen=True)
class EpisodeSources:
    """Folders.

    Attributes:
        evaluated: all of them.
        groups: name -> those of a group, each a part of ``evaluated``.
        train: training episodes that are known, for the baseline that copies them.
    """

    evaluated: tuple[Path, ...]
    groups: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    train: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if both := set(self.evaluated) & set(self.train):
            raise DataError(
                f"{len(both)} episodes to evaluate are training episodes too: {min(both)}"
            )


def is_split_file(source: str) -> bool:
    """Say whether a source is a split file and not a folder or pattern of episodes."""
    return source.endswith(".json") and Path(source).expanduser().is_file()


def find_sources(data: str, train: str | None = None) -> EpisodeSources:
    """Return what ``--data`` and ``--train`` mean.

    Args:
        data: a folder or pattern of episodes, or a split file, of which everything but ``train``
            is evaluated.
        train: a folder or pattern of training episodes or a split file, of which ``train`` is
            taken; None = that of ``data`` if it is a split file.

    Raises:
        DataError: nothing is there, a split file is wrong, or an episode is on both sides.
    """
    known: tuple[Path, ...] = ()
    groups: Mapping[str, tuple[Path, ...]] = {}
    if is_split_file(data):
        split = read_split(Path(data).expanduser())
        known, groups = split.train, split.groups
        members = [*split.held_out, *(p for folders in groups.values() for p in folders)]
        evaluated = tuple(dict.fromkeys(members))
    else:
        evaluated = _found("--data", data)
    if train is not None:
        own = read_split(Path(train).expanduser()).train if is_split_file(train) else None
        known = _found("--train", train) if own is None else own
    return EpisodeSources(evaluated, groups, known)


def _found(option: str, source: str) -> tuple[Path, ...]:
    found = find_episodes(source)
    if not found:
        raise DataError(
            f"{option} {source}: no episode in the released format (folders with images.npy and "
            "samples/) and no split file (.json)"
        )
    return tuple(found)


def training_episodes(checkpoint: Path) -> frozenset[Path] | None:
    """Return the episodes that a checkpoint was trained on; None when its folder does not tell.

    A training leaves its split in the folder ``work`` beside its last checkpoint; the best one
    lies one folder below.
    """
    for folder in (checkpoint, checkpoint.parent):
        path = folder / _WORK / SPLIT
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            return frozenset(Path(p).resolve() for p in values["train"])
        except FileNotFoundError:
            continue
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path}: no split of a training ({error!r})") from error
    return None


def check_unseen(name: str, checkpoint: Path, evaluated: tuple[Path, ...]) -> str | None:
    """Compare what a model was trained on with what is evaluated.

    Args:
        name: of the model.
        checkpoint: its folder.
        evaluated: episode folders.

    Returns:
        a warning when the model's folder does not tell what it was trained on.

    Raises:
        DataError: it was trained on an episode that is evaluated.
    """
    trained = training_episodes(checkpoint)
    if trained is None:
        return f"{name}: its folder does not tell which episodes it was trained on"
    if both := trained & set(evaluated):
        raise DataError(
            f"{name} was trained on {len(both)} of {len(evaluated)} episodes to evaluate: "
            f"{min(both)}; --allow-training-data if that is meant"
        )
    return None
