# SPDX-License-Identifier: Apache-2.0
"""What a data set was made of: ``manifest.json`` for programs, ``report.html`` for people."""

from __future__ import annotations

import dataclasses
import html
import json
from collections import Counter
from pathlib import Path

from mu0_core import __version__
from mu0_core.atomic_file import replace_file
from mu0_core.errors import DataError
from mu0_core.trace_extract.episode import FACTS_FILE, PICTURES
from mu0_core.trace_extract.settings import ExtractSettings

MANIFEST_FILE, REPORT_FILE = "manifest.json", "report.html"
_MAX_PICTURED = 24
_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:68rem;padding:0 1rem}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.25rem .7rem;text-align:right}
th{border-bottom:2px solid #999}td:first-child,th:first-child{text-align:left}
tr:nth-child(even){background:#f5f5f5}img{max-width:100%;margin:.2rem 0}h2{margin-top:2.5rem}
.failed{color:#a00}summary{cursor:pointer}
"""


def write_manifest(
    out: Path, settings: ExtractSettings, failures: list[tuple[str, str]]
) -> dict[str, object]:
    """Write manifest and report of all episodes in ``out``; return the manifest.

    Args:
        out: folder of the data set.
        settings: of this run.
        failures: (source, reason) of what gave no episode.
    """
    episodes = {path.parent.name: _facts(path) for path in sorted(out.glob(f"*/{FACTS_FILE}"))}
    manifest = {
        "made_by": f"mu0 extract {__version__}",
        "settings": dataclasses.asdict(settings),
        "totals": totals(episodes),
        "episodes": episodes,
        "failed": [{"source": source, "reason": reason} for source, reason in failures],
    }
    text = json.dumps(manifest, indent=1, default=str) + "\n"
    replace_file(out / MANIFEST_FILE, lambda path: path.write_text(text, encoding="utf-8"))
    page = report(manifest)
    replace_file(out / REPORT_FILE, lambda path: path.write_text(page, encoding="utf-8"))
    return manifest


def totals(episodes: dict[str, dict]) -> dict[str, object]:
    """Return sums over episodes: counts, drops by reason, seconds by stage."""
    counts = Counter()
    drops, seconds = Counter(), Counter()
    for facts in episodes.values():
        counts.update({key: facts[key] for key in ("frames", "tracks", "slots", "rows")})
        drops.update(facts["dropped"])
        seconds.update(facts["seconds"])
    return {
        "episodes": len(episodes),
        **{key: counts[key] for key in ("frames", "tracks", "slots", "rows")},
        "dropped": dict(drops),
        "seconds": {stage: round(value, 2) for stage, value in seconds.items()},
    }


def report(manifest: dict) -> str:
    """Return a page with counts, drops, time per stage, and pictures of some episodes."""
    episodes, sums = manifest["episodes"], manifest["totals"]
    frames = max(1, sums["frames"])
    parts = [
        "<!doctype html><meta charset='utf-8'><title>Trace extraction</title>",
        f"<style>{_STYLE}</style><h1>Trace extraction</h1>",
        f"<p>{html.escape(manifest['made_by'])}: {sums['episodes']} episodes, {sums['frames']} "
        f"frames, {sums['slots']} slots, {sums['rows']} traces.</p>",
        _table(
            ("episode", "frames", "depth", "camera", "tracks", "slots", "traces", "coverage"),
            [
                (name, f["frames"], f["depth"], f["camera"], f["tracks"], f["slots"], f["rows"],
                 f"{f['coverage']:.0%}")
                for name, f in episodes.items()
            ],
        ),
        "<h2>Left out</h2>",
        _table(("what and why", "count"), sorted(sums["dropped"].items())),
        _table(("source without an episode", "reason"),
               [(f["source"], f["reason"]) for f in manifest["failed"]]),
        "<h2>Time</h2>",
        _table(
            ("stage", "seconds", "ms per frame"),
            [(k, f"{v:.1f}", f"{1000 * v / frames:.1f}") for k, v in sums["seconds"].items()],
        ),
    ]  # fmt: skip
    for name in list(episodes)[:_MAX_PICTURED]:
        pictures = ("5_traces", "3_tracks", "2_keypoints", "1_geometry")
        images = "".join(
            f"<img loading='lazy' src='{html.escape(name)}/{PICTURES}/{p}.jpg' alt='{p}'>"
            for p in pictures
        )
        parts.append(f"<details><summary>{html.escape(name)}</summary>{images}</details>")
    return "\n".join(parts) + "\n"


def _facts(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({error})") from error


def _table(head: tuple, rows: list[tuple]) -> str:
    if not rows:
        return ""
    cells = lambda row, tag: "".join(f"<{tag}>{html.escape(str(c))}</{tag}>" for c in row)  # noqa: E731
    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return f"<table><tr>{cells(head, 'th')}</tr>{body}</table>"
