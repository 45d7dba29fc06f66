# SPDX-License-Identifier: Apache-2.0
"""What the states of `TaskStatus` mean to the other nodes."""

from __future__ import annotations

from mu0.msg import TaskStatus

# Forecasts and chunks flow; HOLDING waits for a cause to clear and needs them to find out.
RUNNING = (TaskStatus.STATE_PERCEIVING, TaskStatus.STATE_EXECUTING, TaskStatus.STATE_HOLDING)
ENDED = (TaskStatus.STATE_SUCCEEDED, TaskStatus.STATE_CANCELED, TaskStatus.STATE_ABORTED)
