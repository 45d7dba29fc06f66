# SPDX-License-Identifier: Apache-2.0
"""A `TaskRun` as messages: what the status topic and the action's result say about it."""

from __future__ import annotations

from mu0.action import ExecuteTask
from mu0.msg import TaskStatus

from mu0_ros.conversions.error_code import error_code
from mu0_ros.conversions.stamp import duration_from_s
from mu0_ros.task_run import TaskRun


def fill_status(status: TaskStatus, run: TaskRun, now_s: float, source: str) -> None:
    """Write state, error and elapsed time of a task into its status.

    Args:
        status: changed in place.
        run: the task.
        now_s: steady seconds.
        source: fully qualified name of the node that decides.
    """
    code, text, elapsed_s = "SUCCESS", "", now_s - run.started_s
    if run.end is not None:
        code, text, elapsed_s = run.end.code, run.end.message, run.end.elapsed_s
    elif run.fault is not None:
        code, text = run.fault
    status.state = getattr(TaskStatus, f"STATE_{run.phase}")
    status.error = error_code(code, text, source)
    status.elapsed = duration_from_s(elapsed_s)


def result_of(run: TaskRun, source: str) -> ExecuteTask.Result:
    """Return the action's result of a task that has ended.

    The outcome is unknown: nobody here knows whether the world is as the instruction wants it. The
    tracking error is NaN: the gate checks it, but its status has no field for it. Nothing records.
    """
    result = ExecuteTask.Result(outcome=ExecuteTask.Result.OUTCOME_UNKNOWN)
    result.error = error_code(run.end.code, run.end.message, source)
    result.elapsed = duration_from_s(run.end.elapsed_s)
    result.chunks_executed, result.chunks_rejected = run.executed, run.rejected
    result.max_tracking_error = float("nan")
    return result
