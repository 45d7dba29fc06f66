# SPDX-License-Identifier: Apache-2.0
"""From paths to clips: which kind of source each is, what its clips are called, how one is read.

To add a source, write a module with a `Reader` and give it a line in `READERS`. The first that
matches a path takes it; a folder that none of them takes is looked through for files and folders
that one does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from mu0_core.errors import SourceError
from mu0_core.trace_extract.records import Clip
from mu0_core.trace_extract.sources import lerobot, rgbd_folder, rosbag, video
from mu0_core.trace_extract.sources.folder_files import BESIDE_SUFFIXES
from mu0_core.trace_extract.sources.natural_order import in_natural_order
from mu0_core.trace_extract.sources.reading import ClipRef, Reader, ReadSettings

READERS: dict[str, Reader] = {
    "video": video.READER,
    "rosbag": rosbag.READER,
    "lerobot": lerobot.READER,
    "rgbd_folder": rgbd_folder.READER,
}
ALLOWED = (
    f"a video ({' '.join(video.SUFFIXES)}), a rosbag2 folder or .mcap file, a LeRobot data set, a "
    "folder of images, or a folder of these"
)
_LONGEST_NAME = 120


def find_clips(
    paths: Iterable[Path], settings: ReadSettings
) -> tuple[list[ClipRef], list[tuple[Path, str]]]:
    """List the clips of some files and folders without reading their frames.

    Args:
        paths: in the order in which clips are to come; folders are searched in natural order.
        settings: how they will be read.

    Returns:
        The clips, each with a name of its own, and what cannot be used with the reason.
    """
    refs: list[ClipRef] = []
    unusable: list[tuple[Path, str]] = []
    seen: set[Path] = set()
    names: set[str] = set()
    for given in map(Path, paths):
        for path, kind in _walk(given, seen, unusable):
            try:
                clips = READERS[kind].clips(path, settings)
            except SourceError as error:
                unusable.append((path, str(error)))
                continue
            refs += [ClipRef(kind, path, _own_name(name, names), i) for name, i in clips]
    return refs, unusable


def read_clip(ref: ClipRef, settings: ReadSettings, scratch: Path) -> Clip:
    """Read one clip; its frames are kept in files in ``scratch`` and mapped.

    Args:
        ref: from `find_clips`.
        settings: how to read it.
        scratch: folder for the frames; the caller removes it when the clip is done with.

    Raises:
        SourceError: in one line, what is wrong with which file.
    """
    reader = READERS.get(ref.kind)
    if reader is None:
        raise SourceError(f"unknown kind of source {ref.kind!r}, allowed: {', '.join(READERS)}")
    return reader.read(ref, settings, scratch)


def _walk(
    path: Path, seen: set[Path], unusable: list[tuple[Path, str]]
) -> Iterator[tuple[Path, str]]:
    """Yield each source at or below a path with its kind, once; note why there is none."""
    if path.resolve() in seen:
        return
    seen.add(path.resolve())
    try:
        kind = _kind(path)
        children = in_natural_order(path.iterdir()) if kind is None and path.is_dir() else None
    except OSError as error:
        unusable.append((path, f"{path}: cannot be read ({error.strerror})"))
        return
    if kind is not None:
        yield path, kind
    elif children is None:
        why = f"unknown suffix {path.suffix!r}" if path.exists() else "does not exist"
        unusable.append((path, f"{path}: {why}, allowed: {ALLOWED}"))
    else:
        candidates = [child for child in children if _may_be_source(child)]
        strangers = [child for child in candidates if child.is_file() and _kind(child) is None]
        for child in candidates:
            if child not in strangers:
                yield from _walk(child, seen, unusable)
        if strangers or not candidates:  # one line a folder, however many files
            names = ", ".join(child.name for child in strangers[:3])
            why = f"{len(strangers)} unknown files ({names})" if strangers else "nothing to read"
            unusable.append((path, f"{path}: {why} in it, allowed: {ALLOWED}"))


def _kind(path: Path) -> str | None:
    return next((kind for kind, reader in READERS.items() if reader.matches(path)), None)


def _may_be_source(path: Path) -> bool:
    beside = path.is_file() and path.suffix.lower() in BESIDE_SUFFIXES
    return not beside and not path.name.startswith(".")


def _own_name(name: str, taken: set[str]) -> str:
    """Return a legal directory name that is not taken yet, and take it."""
    legal = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:_LONGEST_NAME] or "clip"
    own, count = legal, 1
    while own.lower() in taken:  # some file systems do not tell a from A
        count += 1
        own = f"{legal}-{count}"
    taken.add(own.lower())
    return own
