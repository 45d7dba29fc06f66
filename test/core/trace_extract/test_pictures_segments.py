# SPDX-License-Identifier: Apache-2.0
"""The picture of segments and captions shows cuts where they are, and any sentence there is."""

import builtins

import numpy as np
import pytest

from mu0_core.data.captions import CaptionEntry, Captions
from mu0_core.errors import ConfigError
from mu0_core.trace_extract.pictures_segments import segments_picture
from mu0_core.trace_extract.records import MotionSegments


def clip(*bounds, frames=100):
    signal = np.sin(np.arange(frames) / 9.0) ** 2
    signal[:5] = np.nan
    return MotionSegments(np.array(bounds, np.int32).reshape(-1, 2), np.gradient(signal), signal)


def entries(count, text="push the cup"):
    return Captions(tuple(CaptionEntry(k, k + 5, (text,), is_merged=k > 3) for k in range(count)))


def reddish_columns(picture):
    red, green, blue = (picture[..., k].astype(int) for k in range(3))
    return np.flatnonzero(((red > green + 60) & (red > blue + 60)).any(axis=0))


def test_cuts_stand_where_segments_meet():
    picture = segments_picture(clip((0, 49), (50, 99)), Captions(), width_px=800)
    assert picture.dtype == np.uint8 and picture.shape[1:] == (800, 3)
    left, right = 70, 785  # of the curves
    expected = left + (49.5 + 0.5) / 100 * (right - left)
    columns = reddish_columns(picture)
    assert len(columns) and np.abs(columns - expected).max() <= 2
    assert not len(reddish_columns(segments_picture(clip((0, 99)), Captions())))


def test_every_entry_gets_a_row_up_to_a_limit():
    few, more, most, beyond = (
        segments_picture(clip((0, 99)), entries(n)).shape[0] for n in (2, 10, 40, 80)
    )
    assert few < more < most == beyond


@pytest.mark.parametrize(
    "text", ["pay $\\frac{ for $5", "x" * 400, "line\nline", "wipe 100 % of it", "Öffne die Tür"]
)
def test_any_sentence_can_be_shown(text):
    assert segments_picture(clip((0, 99)), entries(1, text)).std() > 1


def test_nothing_can_be_shown_too():
    empty = MotionSegments(np.empty((0, 2), np.int32), np.full(1, np.nan), np.full(1, np.nan))
    assert segments_picture(empty, Captions()).shape[1] == 1000


def test_a_picture_too_small_to_read_is_refused():
    with pytest.raises(ConfigError, match="width_px 200"):
        segments_picture(clip((0, 99)), Captions(), width_px=200)


def test_missing_matplotlib_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"mu0-ros\[sim\]"):
        segments_picture(clip((0, 99)), Captions())
