# SPDX-License-Identifier: Apache-2.0
"""Many clips: each becomes an episode or one line that says why not; the others go on.

A job is a pure function of its reference and the settings, so it does not matter which process or
machine does it, nor in which order: `concurrent.futures` executors of one machine and of a cluster
(Dask) serve alike.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass
from pathlib import Path

from mu0_core import __version__
from mu0_core.errors import DataError, Mu0Error, SourceError
from mu0_core.trace_extract.episode import FACTS_FILE, write_episode
from mu0_core.trace_extract.pipeline import Pipeline
from mu0_core.trace_extract.settings import ExtractSettings
from mu0_core.trace_extract.sources.discover import read_clip
from mu0_core.trace_extract.sources.reading import ClipRef
from mu0_core.trace_extract.stage_cache import StageCache
from mu0_core.training.model_card import current_commit

WORK = ".work"
_pipelines: dict[str, Pipeline] = {}  # one per process: loading models takes seconds


@dataclass(frozen=True, slots=True)
class Job:
    """One clip to extract.

    Attributes:
        ref: where it is.
        settings: of all stages.
        out: folder of the data set.
        keep_work: frames and stage results are kept afterwards.
    """

    ref: ClipRef
    settings: ExtractSettings
    out: Path
    keep_work: bool = False

    @property
    def episode(self) -> Path:
        """Folder of the episode."""
        return self.out / self.ref.name


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a clip: ``made``, ``present`` (made before) or ``failed`` with the reason."""

    name: str
    path: str
    status: str
    reason: str = ""
    frames: int = 0
    seconds: float = 0.0


def extract_one(job: Job) -> Outcome:
    """Extract a clip; every error that a user can mend becomes an outcome."""
    begin = time.perf_counter()
    try:
        if job.episode.exists():
            return _present(job)
        frames = _extract(job)
    except (Mu0Error, OSError) as error:
        reason = " ".join(str(error).split())
        return Outcome(job.ref.name, str(job.ref.path), "failed", reason)
    elapsed = time.perf_counter() - begin
    return Outcome(job.ref.name, str(job.ref.path), "made", frames=frames, seconds=elapsed)


def extract_all(jobs: list[Job], executor: Executor | None) -> Iterator[Outcome]:
    """Yield the outcome of every job as it comes; without an executor one after the other."""
    if executor is None:
        for job in jobs:
            try:
                yield extract_one(job)
            except Exception as error:  # a defect: as below, this clip is lost, no other
                yield _lost(job, error)
        return
    futures = {executor.submit(extract_one, job): job for job in jobs}
    try:
        for future in as_completed(futures):
            job = futures[future]
            error = future.exception()
            if error is None:
                yield future.result()
            else:  # a worker died (memory?), or a defect: this clip is lost, the others go on
                yield _lost(job, error)
    finally:
        for future in futures:
            future.cancel()


def _lost(job: Job, error: BaseException) -> Outcome:
    reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return Outcome(job.ref.name, str(job.ref.path), "failed", reason)


def settings_key(settings: ExtractSettings) -> str:
    """Return a short name of settings and code version, equal if and only if both are."""
    return hashlib.sha256(f"{__version__} {settings!r}".encode()).hexdigest()[:16]


def _present(job: Job) -> Outcome:
    """Return the outcome of an episode that is there already.

    Raises:
        DataError: it was made with other settings or by something else.
    """
    try:
        facts = json.loads((job.episode / FACTS_FILE).read_text(encoding="utf-8"))
        made_with = facts["settings_key"]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{job.episode} is there but not from mu0 extract; choose another --out"
        ) from error
    if made_with != settings_key(job.settings):
        raise DataError(
            f"{job.episode} was made with other settings or another version; remove it or choose "
            "another --out"
        )
    return Outcome(job.ref.name, str(job.ref.path), "present", frames=facts["frames"])


def _extract(job: Job) -> int:
    work = job.out / WORK / job.ref.name
    work.mkdir(parents=True, exist_ok=True)
    scratch = work / "frames"
    shutil.rmtree(scratch, ignore_errors=True)  # frames of a killed run may be incomplete
    scratch.mkdir()
    clip = read_clip(job.ref, job.settings.read, scratch)
    if len(clip) < 2:
        raise SourceError(f"{job.ref.path}: one frame is no clip, at least 2 needed")
    key = settings_key(job.settings)
    cache = StageCache(work, f"{clip.source_hash} {job.settings.read!r} {__version__}")
    extraction = _pipeline(job.settings).extract(clip, cache)
    facts = {"settings_key": key, "version": __version__, "commit": current_commit()}
    write_episode(extraction, job.episode, facts)
    if not job.keep_work:
        shutil.rmtree(work)
    return len(clip)


def _pipeline(settings: ExtractSettings) -> Pipeline:
    key = settings_key(settings)
    if key not in _pipelines:
        _pipelines.clear()
        _pipelines[key] = Pipeline(settings)
    return _pipelines[key]
