# SPDX-License-Identifier: Apache-2.0
"""``mu0 extract``: videos, RGB-D folders, bags and LeRobot data sets become trace episodes."""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from mu0_core.errors import ConfigError

EPILOG = """\
examples:
  mu0 extract recording.mcap --out dataset
  mu0 extract videos/ --out dataset --set backends.reconstruction=vggt
  mu0 extract folder --out dataset --workers 4 --set read.fps=5

Settings are those of mu0_core.trace_extract.settings.ExtractSettings. A run that was stopped goes
on where it was; what could not be used is listed at the end, in manifest.json and report.html.
Exit codes: 0 every source gave its episodes, 1 some did not.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("sources", nargs="+", type=Path, metavar="SOURCE", help="file or folder")
    parser.add_argument("--out", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--config", type=Path, metavar="FILE", help="YAML with settings")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides",
        help="one setting, e.g. read.fps=5; beats the file",
    )  # fmt: skip
    parser.add_argument("--workers", type=int, default=1, help="processes (default: 1)")
    parser.add_argument(
        "--scheduler", metavar="ADDRESS", help="Dask scheduler whose workers do it, on a cluster"
    )
    parser.add_argument("--keep-work", action="store_true", help="keep frames and stage results")


def run(args: argparse.Namespace) -> int:
    """Extract; return 0 when every source gave its episodes, 1 when some did not."""
    from tqdm import tqdm

    from mu0_core.trace_extract.manifest import REPORT_FILE, write_manifest
    from mu0_core.trace_extract.run import WORK, Job, extract_all
    from mu0_core.trace_extract.settings import ExtractSettings
    from mu0_core.trace_extract.sources.discover import find_clips
    from mu0_core.yaml_settings import read_settings

    if args.workers < 1:
        raise ConfigError(f"--workers {args.workers} must be at least 1")
    settings = read_settings(ExtractSettings, args.config, args.overrides)
    refs, unusable = find_clips(args.sources, settings.read)
    failures = [(str(path), reason) for path, reason in unusable]
    args.out.mkdir(parents=True, exist_ok=True)
    jobs = [Job(ref, settings, args.out, args.keep_work) for ref in refs]
    counts: Counter[str] = Counter()
    with (
        _executor(args) as executor,
        tqdm(total=len(jobs), unit="clip", disable=not jobs) as bar,
    ):
        for outcome in extract_all(jobs, executor):
            counts[outcome.status] += 1
            if outcome.status == "failed":
                failures.append((outcome.path, outcome.reason))
                bar.write(f"{outcome.name}: {outcome.reason}", file=sys.stderr)
            bar.set_postfix(failed=counts["failed"])
            bar.update()
    manifest = write_manifest(args.out, settings, failures)
    if not args.keep_work and not counts["failed"]:
        shutil.rmtree(args.out / WORK, ignore_errors=True)
    for path, reason in unusable:
        print(f"{path}: {reason}", file=sys.stderr)
    sums = manifest["totals"]
    print(
        f"{args.out}: {counts['made']} episodes made, {counts['present']} were there already, "
        f"{len(failures)} sources failed; in all {sums['frames']} frames, {sums['slots']} slots, "
        f"{sums['rows']} traces\nreport: {args.out / REPORT_FILE}"
    )
    return 1 if failures else 0


@contextmanager
def _executor(args: argparse.Namespace) -> Iterator[Executor | None]:
    """Yield what runs the jobs; None = this process."""
    if args.scheduler:
        try:
            from distributed import Client
        except ImportError as error:
            raise ConfigError("--scheduler needs Dask: pip install 'mu0-ros[cluster]'") from error
        with Client(args.scheduler) as client:
            yield client.get_executor()
    elif args.workers > 1:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(args.workers, mp_context=context) as pool:
            try:
                yield pool
            finally:
                pool.shutdown(cancel_futures=True)
    else:
        yield None
