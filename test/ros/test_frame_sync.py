# SPDX-License-Identifier: Apache-2.0
"""Colour and depth are paired by stamp: the nearest depth within the slop, no old time."""

from hypothesis import given
from hypothesis import strategies as st

from mu0_ros.frame_sync import FrameSync

MS = 1_000_000


def synced(colour_ms, depth_ms, slop_ms=20):
    sync = FrameSync(slop_ms * MS)
    for stamp in colour_ms:
        sync.add_colour(stamp * MS, f"c{stamp}")
    for stamp in depth_ms:
        sync.add_depth(stamp * MS, f"d{stamp}")
    return sync


def test_nothing_pairs_with_nothing():
    assert synced([], []).newest() is None
    assert synced([0], []).newest() is None
    assert synced([], [0]).newest() is None
    assert synced([0], [21]).newest() is None


def test_the_nearest_depth_image_is_taken_not_the_newest():
    assert synced([0], [1, 19]).newest() == (0, "c0", "d1")
    assert synced([0, 30], [0, 29, 45]).newest() == (30 * MS, "c30", "d29")


def test_an_older_colour_image_serves_while_the_newest_has_no_depth():
    assert synced([0, 33], [0]).newest() == (0, "c0", "d0")


def test_a_repeated_stamp_is_counted_and_dropped():
    sync = synced([5, 5, 5], [5])
    assert sync.dropped == 2


def test_time_that_jumps_back_clears_both_buffers():
    sync = synced([100, 133], [100, 133])
    sync.add_colour(10 * MS, "c10")
    assert sync.newest() is None
    sync.add_depth(12 * MS, "d12")
    assert sync.newest() == (10 * MS, "c10", "d12")


stamps = st.lists(st.integers(0, 300), min_size=1, max_size=6, unique=True).map(sorted)


@given(stamps, stamps, st.integers(0, 60))
def test_no_kept_depth_image_is_nearer_than_the_one_returned(colour, depth, slop):
    pair = synced(colour, depth, slop).newest()
    if pair is None:
        assert all(abs(c - d) > slop for c in colour for d in depth)
        return
    stamp, _, image = pair
    gap = abs(int(image[1:]) * MS - stamp)
    assert gap <= slop * MS
    assert all(gap <= abs(d * MS - stamp) for d in depth)
    newer = [c for c in colour if c * MS > stamp]
    assert all(abs(c - d) > slop for c in newer for d in depth)
