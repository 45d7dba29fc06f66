# SPDX-License-Identifier: Apache-2.0
"""Recordings become episodes with a sentence each, or the error says which did not and why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mu0_core.errors import DataError
from mu0_core.training.adaptation.recordings import extract_recordings, find_recordings
from mu0_core.training.adaptation.settings import Adaptation

EXTRACT = Adaptation().extract


def test_a_recording_says_what_it_shows_unless_told_otherwise(tmp_path, record):
    films, done = tmp_path / "films", tmp_path / "done"
    record(films, done, 1, "push the block")
    record(films, done, 2, "first this\nthen that")
    refs = find_recordings([films], EXTRACT)
    one, two = extract_recordings(refs, EXTRACT, done, None)
    assert (one.name, one.sentence, one.source_hash) == ("film1", "push the block", "1")
    assert two.sentence is None  # each of its frames has its own
    assert one.dropped == {"tracks seen too shortly": 2}
    told = extract_recordings(refs, EXTRACT, done, "put it away")
    assert [r.sentence for r in told] == ["put it away"] * 2


def test_recordings_without_a_sentence_are_named(tmp_path, record):
    films, done = tmp_path / "films", tmp_path / "done"
    record(films, done, 1, "push the block")
    record(films, done, 2, " ")
    record(films, done, 3, "")
    refs = find_recordings([films], EXTRACT)
    with pytest.raises(DataError, match="no sentence in film2, film3: say with --text"):
        extract_recordings(refs, EXTRACT, done, None)


def test_a_recording_that_gives_no_traces_is_named_after_all_have_been_tried(tmp_path, record):
    films, done = tmp_path / "films", tmp_path / "done"
    record(films, done, 1)
    record(films, done / "elsewhere", 2)  # nothing extracted: no intrinsics, no depth
    record(films, done, 3)
    seen = []
    refs = find_recordings([films], EXTRACT)
    with pytest.raises(DataError, match="1 of 3 recordings gave no traces; film2: no depth"):
        extract_recordings(refs, EXTRACT, done, None, lambda o: seen.append((o.name, o.status)))
    assert seen == [("film1", "present"), ("film2", "failed"), ("film3", "present")]


def test_a_recording_extracted_in_another_way_is_not_taken_for_done(tmp_path, record):
    films, done = tmp_path / "films", tmp_path / "done"
    record(films, done, 1)
    other = replace(EXTRACT, slots=replace(EXTRACT.slots, every_frames=3))
    with pytest.raises(DataError, match="film1: .*other settings"):
        extract_recordings(find_recordings([films], other), other, done, None)


def test_no_recording_is_refused():
    with pytest.raises(DataError, match="no recording: at least 1"):
        find_recordings([], EXTRACT)


def test_what_is_no_recording_is_named(tmp_path):
    (tmp_path / "notes.doc").write_text("x")
    with pytest.raises(DataError, match=r"notes\.doc: unknown suffix"):
        find_recordings([tmp_path / "notes.doc"], EXTRACT)
    with pytest.raises(DataError, match=r"absent: does not exist"):
        find_recordings([tmp_path / "absent"], EXTRACT)
