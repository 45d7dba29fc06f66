# SPDX-License-Identifier: Apache-2.0
"""The hierarchy of captions: what a captioner is shown, which windows there are, what is kept."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mu0_core.data.captions import Captions
from mu0_core.errors import ConfigError, DataError, InferenceError, ShapeError
from mu0_core.trace_extract.captioning.captioner import Caption
from mu0_core.trace_extract.captioning.template_captioner import TemplateCaptioner
from mu0_core.trace_extract.records import MotionSegments, TextSpan
from mu0_core.trace_extract.stages.captions import (
    CaptionSettings,
    MovingPoints,
    caption_segments,
    merge_windows,
    texts_about,
)

FRAMES, HEIGHT, WIDTH = 100, 24, 32
RGB = np.arange(FRAMES, dtype=np.uint8)[:, None, None, None] * np.ones(
    (1, HEIGHT, WIDTH, 3), np.uint8
)


class Scribe:
    """Writes down what it is shown and answers with a number."""

    name = "scribe"

    def __init__(self):
        self.requests, self.merged = [], []

    def describe(self, request):
        self.requests.append(request)
        number = len(self.requests)
        return Caption((f"step {number}", f"part {number}"), ("move", f"s{number}"), ("cup",))

    def merge(self, captions):
        self.merged.append([caption.instructions[0] for caption in captions])
        return (" and ".join(self.merged[-1]),)

    def provenance(self):
        return {"captioner": self.name}


def segments(*bounds):
    signal = np.zeros(FRAMES)
    return MotionSegments(np.array(bounds, np.int32).reshape(-1, 2), signal, signal)


def points(px_per_frame=0.2, count=4):
    uvz = np.full((count, FRAMES, 3), 1.0)
    uvz[..., 0] = 5 + px_per_frame * np.arange(FRAMES)
    return MovingPoints(uvz, uvz[..., :2], np.ones((count, FRAMES), bool))


def test_segments_pairs_triples_and_the_whole_are_captioned_once_each():
    scribe = Scribe()
    bounds = [(0, 19), (20, 49), (50, 69), (70, 95)]
    captions = caption_segments(RGB, [], segments(*bounds), points(), scribe)
    chunks = [e for e in captions.entries if not e.is_merged]
    merged = [e for e in captions.entries if e.is_merged]
    assert [(e.first, e.last) for e in chunks] == bounds
    assert [(e.first, e.last) for e in merged] == [
        (0, 49), (20, 69), (50, 95), (0, 69), (20, 95), (0, 95),
    ]  # fmt: skip
    assert scribe.merged[-1] == ["step 1", "step 2", "step 3", "step 4"]
    assert merged[0].instructions == ("step 1 and step 2",)
    assert merged[0].skill_labels == ("move", "s1", "s2") and merged[0].objects == ("cup",)
    assert {e.captioner for e in captions.entries} == {"scribe"}


@pytest.mark.parametrize("count, windows", [(0, 0), (1, 0), (2, 1), (3, 3), (4, 6), (6, 10)])
def test_windows_are_never_repeated(count, windows):
    found = merge_windows(count, (2, 3))
    assert len(found) == len(set(found)) == windows
    assert all(stop - start >= 2 for start, stop in found)


@given(st.integers(0, 12), st.lists(st.integers(2, 6), max_size=3))
def test_all_segments_together_are_the_last_window(count, sizes):
    found = merge_windows(count, sizes)
    assert (found[-1] == (0, count)) if count > 1 else not found
    assert all(0 <= start < stop <= count for start, stop in found)


def test_without_segments_there_is_nothing_to_caption():
    assert caption_segments(RGB, [], segments(), points(), Scribe()) == Captions()


def test_the_captioner_sees_first_and_last_frame_and_the_middle_of_long_motion():
    scribe = Scribe()
    spans = segments((0, 28), (30, 59), (60, 60))
    caption_segments(RGB, [], spans, points(0.3), scribe)
    shown = [[int(frame[0, 0, 0]) for frame in r.frames] for r in scribe.requests]
    assert shown == [[0, 28], [30, 44, 59], [60]]
    scribe = Scribe()
    caption_segments(RGB, [], spans, points(0.1), scribe)  # 3 px in 30 frames: hardly any motion
    assert [len(r.frames) for r in scribe.requests] == [2, 2, 1]


def test_the_motion_picture_and_numbers_are_those_of_the_segment():
    scribe, rgb = Scribe(), np.full_like(RGB, 200)
    caption_segments(rgb, [], segments((0, 30), (31, 99)), points(0.2), scribe)
    first, second = scribe.requests
    assert first.motion.right == pytest.approx(6 / WIDTH)
    assert first.motion_picture[1, 8, 0] == 200 and first.motion_picture[1, 20, 0] == 60
    assert second.motion_picture[1, 20, 0] == 200 and second.motion_picture[1, 8, 0] == 60


def test_what_rests_in_a_segment_is_dark_even_if_it_moves_in_another():
    scribe, rgb, both = Scribe(), np.full_like(RGB, 200), points(0.2, count=2)
    later = both.uvz.copy()
    later[1, :, :2] = (28, 20)
    later[1, 50:, 0] -= 0.3 * np.arange(50)
    spans = segments((0, 49), (50, 99))
    caption_segments(rgb, [], spans, MovingPoints(later, later[..., :2], both.valid), scribe)
    assert [r.motion_picture[20, 28, 0] for r in scribe.requests] == [60, 200]


def test_sentences_about_the_segment_are_handed_over():
    scribe = Scribe()
    texts = [TextSpan(0, 99, "tidy up"), TextSpan(50, 99, "put the cup away")]
    caption_segments(RGB, texts, segments((0, 49), (50, 99)), points(), scribe)
    assert [r.texts for r in scribe.requests] == [("tidy up",), ("put the cup away", "tidy up")]


def test_sentences_about_parts_are_joined_in_time():
    texts = [
        TextSpan(40, 79, "place it. "),
        TextSpan(0, 39, "pick the cup."),
        TextSpan(0, 99, "tidy up"),
        TextSpan(75, 99, "go home"),
    ]
    assert texts_about(texts, 0, 79) == ("pick the cup, then place it", "tidy up")
    assert texts_about(texts, 0, 39) == ("pick the cup.", "tidy up")
    assert texts_about(texts[:1], 0, 30) == ()


def test_wordings_of_one_part_are_not_joined_as_if_they_followed_each_other():
    texts = [TextSpan(0, 39, "pick it"), TextSpan(40, 79, "place it"), TextSpan(0, 39, "grasp it")]
    assert texts_about(texts, 0, 79) == ("pick it, then place it",)


def test_a_sentence_about_most_of_a_segment_counts_where_no_other_says_more():
    push = TextSpan(40, 99, "push it")
    assert texts_about([push], 20, 62) == ("push it",)
    assert texts_about([push], 0, 65) == ()
    assert texts_about([push, TextSpan(0, 99, "tidy up")], 20, 62) == ("tidy up",)


def test_the_same_sentence_counts_once():
    texts = [TextSpan(0, 99, "go"), TextSpan(0, 98, " go "), TextSpan(0, 97, "move")]
    assert texts_about(texts, 0, 99) == ("move", "go")


def test_the_template_captioner_writes_a_file_that_says_who_wrote_it(tmp_path):
    texts = [TextSpan(0, 99, "put the red cube in the bowl")]
    spans = segments((0, 49), (50, 99))
    captions = caption_segments(RGB, texts, spans, points(), TemplateCaptioner())
    path = tmp_path / "texts.json"
    path.write_text(captions.to_json(), encoding="utf-8")
    found = Captions.from_file(path)
    assert found == captions
    assert all(e.captioner == "template" for e in found.entries)
    assert all(e.instructions[0] == texts[0].text for e in found.entries)
    assert found.entries[0].objects == ("red cube", "bowl")
    assert found.draw(30, np.random.default_rng(0)) in sum(found.at(30), ())


def test_a_captioner_that_fails_is_not_replaced():
    class Broken(Scribe):
        def merge(self, captions):
            raise InferenceError("no server")

    with pytest.raises(InferenceError, match="no server"):
        caption_segments(RGB, [], segments((0, 49), (50, 99)), points(), Broken())


def test_bad_input_is_named():
    with pytest.raises(
        DataError, match=r"text 'late' is about frames 90..100; the clip has 0..99"
    ):
        caption_segments(RGB, [TextSpan(90, 100, "late")], segments((0, 9)), points(), Scribe())
    with pytest.raises(DataError, match=r"segment 90..100: the clip has frames 0..99"):
        caption_segments(RGB, [], segments((90, 100)), points(), Scribe())
    with pytest.raises(ShapeError, match="points of 100 frames, clip of 99"):
        caption_segments(RGB[:99], [], segments((0, 9)), points(), Scribe())
    with pytest.raises(ShapeError, match=r"expected \(P, T, 3\), \(P, T, 2\) and \(P, T\)"):
        MovingPoints(np.zeros((2, 5, 3)), np.zeros((2, 5, 3)), np.ones((2, 5), bool))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"covers": 0.0}, "covers 0.0"),
        ({"belongs": 1.5}, "belongs 1.5"),
        ({"windows": (1, 2)}, r"windows \(1, 2\)"),
        ({"middle_frames": 2}, "middle_frames 2"),
    ],
)
def test_settings_check_themselves(change, message):
    with pytest.raises(ConfigError, match=message):
        CaptionSettings(**change)
