# SPDX-License-Identifier: Apache-2.0
"""Laws of `TaskRun`: one end, the first cause, closed only at rest."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mu0_core.errors import RequestError
from mu0_ros.task_run import REST_TIMEOUT_S, Counts, TaskLimits, TaskRun

LIMITS = TaskLimits(10.0, 1.0, 3.0, 3, 3)


def make(counts=None):
    return TaskRun("push", b"1" * 16, LIMITS, 100.0, counts or Counts())


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("forecast")),
        st.tuples(st.just("chunk")),
        st.tuples(st.just("fault"), st.sampled_from(["INFERENCE_FAILED", "OBSERVATION_STALE"])),
        st.tuples(st.just("gate"), st.integers(0, 2), st.integers(0, 2), st.booleans()),
        st.tuples(st.just("time")),
        st.tuples(st.just("finish"), st.sampled_from(["SUCCEEDED", "CANCELED", "ABORTED"])),
        st.tuples(st.just("close")),
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(EVENTS)
def test_the_end_is_decided_once_and_nothing_changes_after_it_is_closed(events):
    run, now, passed, rejected = make(), 100.0, 0, 0
    end, closed = None, False
    for event in events:
        now += 0.7
        match event:
            case ("forecast",):
                run.saw_forecast(now)
            case ("chunk",):
                run.saw_chunk(now)
            case ("fault", code):
                run.saw_fault(code, "text", now)
            case ("gate", p, r, latched):
                passed, rejected = passed + p, rejected + r
                cause = ("LIMIT_VIOLATION", "x")
                run.saw_gate(Counts(passed, rejected), latched, cause, p > 0, now)
            case ("time",):
                run.check_time(now)
            case ("finish", state):
                run.finish(state, "SUCCESS", "", now)
            case ("close",):
                run.close_at_rest(0.0, now, now)
        assert end is None or run.end is end
        assert not closed or run.closed
        assert run.closed <= (run.end is not None)
        assert run.phase in (
            "PERCEIVING",
            "EXECUTING",
            "HOLDING",
            "STOPPING",
            "SUCCEEDED",
            "CANCELED",
            "ABORTED",
        )
        end, closed = run.end, run.closed


def test_an_end_waits_for_rest_that_the_gate_reports_after_it():
    run = make()
    run.finish("CANCELED", "CANCELED", "", 105.0)
    run.close_at_rest(0.0, heard_s=104.9, now_s=105.1)
    assert run.phase == "STOPPING"  # that status was older than the end
    run.close_at_rest(0.3, heard_s=105.2, now_s=105.2)
    assert run.phase == "STOPPING"
    run.close_at_rest(0.0, heard_s=105.5, now_s=105.5)
    assert run.phase == "CANCELED"


def test_a_dead_gate_does_not_keep_a_task_open():
    run = make()
    run.finish("CANCELED", "CANCELED", "", 105.0)
    run.close_at_rest(1.0, heard_s=104.0, now_s=105.0 + REST_TIMEOUT_S + 0.1)
    assert run.closed


def test_rejections_in_a_row_abort_with_the_cause_of_the_gate():
    run = make(Counts(7, 4))
    for k in range(1, 3):
        run.saw_gate(Counts(7, 4 + k), False, ("DISCONTINUITY", "jump"), False, 100.0 + k)
        assert run.end is None and run.phase == "HOLDING"
    run.saw_gate(Counts(7, 7), False, ("DISCONTINUITY", "jump"), False, 103.0)
    assert (run.end.state, run.end.code, run.rejected) == ("ABORTED", "DISCONTINUITY", 3)


def test_a_passed_chunk_forgives_rejections():
    run = make()
    for k in range(6):
        run.saw_gate(Counts(k // 2, (k + 1) // 2), False, ("DISCONTINUITY", ""), False, 101.0)
    assert run.end is None and (run.executed, run.rejected) == (2, 3)


def test_chunks_of_another_task_that_the_gate_turns_away_do_not_end_this_one():
    run = make()
    for k in range(1, 9):
        run.saw_gate(Counts(0, k), False, ("SUCCESS", ""), False, 100.0 + k)
    assert run.end is None and run.rejected == 0 and run.phase == "PERCEIVING"


def test_a_restarted_gate_counts_from_zero():
    run = make(Counts(50, 9))
    run.saw_gate(Counts(1, 0), False, ("SUCCESS", ""), True, 101.0)
    assert (run.executed, run.rejected) == (1, 0)


@pytest.mark.parametrize("code", ["INFERENCE_FAILED", "OUT_OF_MEMORY", "NO_IK_SOLUTION"])
def test_failures_in_a_row_abort_with_their_code(code):
    run = make()
    for k in range(3):
        assert run.end is None
        run.saw_forecast(101.0 + k)
        run.saw_fault(code, "broken", 101.5 + k)
    assert (run.end.state, run.end.code) == ("ABORTED", code)


def test_a_stale_camera_holds_then_resumes_or_aborts_with_its_cause():
    run = make()
    run.saw_forecast(100.5)
    for k in range(5):
        run.saw_fault("OBSERVATION_STALE", "no image", 101.0 + k / 10)
    assert run.phase == "HOLDING"
    run.saw_forecast(102.0)
    assert run.phase == "EXECUTING"
    run.saw_fault("OBSERVATION_STALE", "no image", 103.0)
    run.check_time(104.9)
    assert run.end is None
    run.check_time(105.1)
    assert (run.end.state, run.end.code) == ("ABORTED", "OBSERVATION_STALE")


def test_silence_and_duration_end_a_task_with_their_own_codes():
    silent, long = make(), make()
    silent.check_time(103.1)
    assert silent.end.code == "INFERENCE_TIMEOUT"
    for k in range(1, 12):
        long.saw_chunk(100.0 + k)
        long.check_time(100.0 + k)
    assert long.end.code == "TIMEOUT"


@pytest.mark.parametrize(
    "duration, scale", [(-1.0, 1.0), (1e9, 1.0), (1.0, float("nan")), (1.0, 2.0), (1.0, -0.1)]
)
def test_limits_outside_their_range_are_refused(duration, scale):
    with pytest.raises(RequestError, match="outside"):
        TaskLimits.from_request(duration, scale, 60.0, 3.0, 3)


def test_zero_means_the_default():
    limits = TaskLimits.from_request(0.0, 0.0, 60.0, 3.0, 3)
    assert (limits.max_duration_s, limits.speed_scale) == (60.0, 1.0)


def test_a_rejection_without_a_cause_is_not_the_code_of_an_end():
    run = make()
    run.saw_gate(Counts(0, 1), False, ("SUCCESS", ""), False, 101.0)
    assert run.fault is None
    run.check_time(100.0 + LIMITS.inference_timeout_s + 1.0)
    assert (run.end.state, run.end.code) == ("ABORTED", "INFERENCE_TIMEOUT")
