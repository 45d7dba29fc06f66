# SPDX-License-Identifier: Apache-2.0
"""From recordings to episodes, with the sentence that each of them shows.

What `mu0 extract` does, but of a handful of recordings none may be lost silently: each that gives
no episode, or has no sentence, is an error that says why.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mu0_core.errors import DataError
from mu0_core.trace_extract.episode import FACTS_FILE
from mu0_core.trace_extract.run import Job, Outcome, extract_all
from mu0_core.trace_extract.settings import ExtractSettings
from mu0_core.trace_extract.sources.discover import find_clips
from mu0_core.trace_extract.sources.reading import ClipRef

DESCRIPTION = "description.txt"


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that has become an episode.

    Attributes:
        name: of the recording and of its episode.
        episode: folder.
        sentence: about all of it; None when its own sentences speak of its parts.
        source_hash: of its files.
        dropped: what the extraction left out, by reason.
    """

    name: str
    episode: Path
    sentence: str | None
    source_hash: str
    dropped: dict[str, int]


def find_recordings(paths: Sequence[Path], settings: ExtractSettings) -> list[ClipRef]:
    """Return the clips of some files and folders.

    Raises:
        DataError: there is none, or a path is none.
    """
    refs, unusable = find_clips(paths, settings.read)
    if unusable:
        raise DataError("; ".join(reason for _, reason in unusable))
    if not refs:
        raise DataError("no recording: at least 1 is needed, 5 are a good number")
    return refs


def extract_recordings(
    refs: Sequence[ClipRef],
    settings: ExtractSettings,
    folder: Path,
    text: str | None,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Recording]:
    """Make the episodes that are not there yet.

    Args:
        refs: from `find_recordings`.
        settings: of the extraction.
        folder: of the episodes.
        text: the sentence of all recordings; None = each has its own.
        on_outcome: called after each recording.

    Raises:
        DataError: a recording gave no episode or has no sentence; the others have been made.
    """
    jobs = [Job(ref, settings, folder) for ref in refs]
    failed = []
    for outcome in extract_all(jobs, None):
        on_outcome(outcome)
        if outcome.status == "failed":
            failed.append(told(outcome))
    if failed:
        raise DataError(
            f"{len(failed)} of {len(jobs)} recordings gave no traces; {'; '.join(failed)}"
        )
    found = [_recording(job, text) for job in jobs]
    silent = [recording.name for recording in found if recording.sentence == ""]
    if silent:
        raise DataError(
            f"no sentence in {', '.join(silent)}: say with --text what all recordings show, or "
            f"put a {DESCRIPTION} beside each"
        )
    return found


def told(outcome: Outcome) -> str:
    """Return an outcome as a line that names the recording once."""
    text = outcome.reason or outcome.status
    return text if text.startswith(outcome.name) else f"{outcome.name}: {text}"


def _recording(job: Job, text: str | None) -> Recording:
    facts = json.loads((job.episode / FACTS_FILE).read_text(encoding="utf-8"))
    own = (job.episode / DESCRIPTION).read_text(encoding="utf-8").split("\n")
    own = [line.strip() for line in own if line.strip()]
    sentence = text or (own[0] if len(own) == 1 else None if own else "")
    return Recording(job.ref.name, job.episode, sentence, facts["source_sha256"], facts["dropped"])
