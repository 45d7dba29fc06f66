# SPDX-License-Identifier: Apache-2.0
"""Which frames are kept, what sentences become, what settings are refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mu0_core.errors import ConfigError, SourceError
from mu0_core.trace_extract.records import TextSpan
from mu0_core.trace_extract.sources.reading import (
    FrameThinning,
    ReadSettings,
    import_extra,
    kept_frames,
    kept_texts,
)

GAPS = st.lists(st.floats(0.001, 2.0), min_size=0, max_size=60)


@given(GAPS, st.floats(0.5, 60.0))
def test_no_window_holds_more_frames_than_fps_allows(gaps, fps):
    stamps = np.cumsum([5.0, *gaps])
    kept = stamps[kept_frames(stamps, ReadSettings(fps=fps))]
    assert kept[0] == stamps[0]
    for first in range(len(kept)):
        frames = np.arange(1, len(kept) - first + 1)
        assert np.all(frames <= (kept[first:] - kept[first]) * fps + 2 + 1e-6)


@given(st.integers(1, 80), st.floats(0.1, 1.0), st.floats(1.0, 60.0))
def test_a_source_that_is_not_faster_keeps_every_frame(count, slowness, fps):
    stamps = 3.0 + np.arange(count) / (fps * slowness)
    assert len(kept_frames(stamps, ReadSettings(fps=fps))) == count


def test_jitter_below_an_eighth_of_a_period_costs_no_frame():
    rng = np.random.default_rng(0)
    stamps = np.arange(300) / 10 + rng.uniform(-0.012, 0.012, 300)
    assert len(kept_frames(stamps - stamps[0], ReadSettings(fps=10))) == 300


def test_thirty_fps_become_ten_and_only_the_first_frames_are_kept():
    stamps = np.arange(30) / 30
    assert kept_frames(stamps, ReadSettings()).tolist() == list(range(0, 30, 3))
    assert kept_frames(stamps, ReadSettings(max_frames=4)).tolist() == [0, 3, 6, 9]


def test_thinning_says_when_it_is_full():
    thinning = FrameThinning(ReadSettings(max_frames=2))
    assert [thinning.keep(s) for s in (0.0, 0.01, 0.1)] == [True, False, True]
    assert thinning.is_full and not thinning.keep(9.0)
    assert not FrameThinning(ReadSettings()).is_full


def test_no_stamps_are_no_frames():
    with pytest.raises(SourceError, match="no frames"):
        kept_frames(np.array([]), ReadSettings())


def test_sentences_are_about_the_frames_that_were_kept():
    kept = np.array([0, 3, 6, 9])
    texts = [
        (0, 4, "reach  the\ncup"),
        (4, 5, "no frame"),
        (5, np.inf, "lift"),
        (0, 9, " "),
    ]
    assert kept_texts(texts, kept) == (TextSpan(0, 1, "reach the cup"), TextSpan(2, 3, "lift"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"fps": 0}, "fps 0 must be positive"),
        ({"fps": float("nan")}, "fps nan must be positive"),
        ({"depth_unit_m": -1}, "depth_unit_m -1 must be positive"),
        ({"hfov_deg": 180}, "between 0 and 180"),
        ({"hfov_deg": 60, "intrinsics": (1, 1, 1, 1)}, "not both"),
        ({"intrinsics": (-500, 500, 320, 240)}, "fx -500 .* positive"),
        ({"topics": {"colour": "/a"}}, r"topics for \['colour'\], allowed roles: color, depth"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        ReadSettings(**values)


def test_a_field_of_view_gives_intrinsics_whose_border_rays_have_that_angle():
    camera = ReadSettings(hfov_deg=70).stated_intrinsics(640, 480)
    left = np.arctan((-0.5 - camera.cx) / camera.fx)
    right = np.arctan((639.5 - camera.cx) / camera.fx)
    assert np.degrees(right - left) == pytest.approx(70)
    assert ReadSettings().stated_intrinsics(640, 480) is None


def test_a_missing_package_is_named_with_what_to_run():
    with pytest.raises(
        SourceError, match=r"not_there is missing; run: pip install 'mu0-ros\[extract"
    ):
        import_extra("not_there")
