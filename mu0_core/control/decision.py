# SPDX-License-Identifier: Apache-2.0
"""What the gate answers: accept, limit or reject, with the reason and the trajectories."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

from mu0_core.types import JointTrajectory


class Outcome(Enum):
    """ACCEPT: passed as proposed. LIMIT: same path, slower. REJECT: nothing moves."""

    ACCEPT = "accept"
    LIMIT = "limit"
    REJECT = "reject"


class GateState(IntEnum):
    """Values match ``msg/SafetyStatus.msg``."""

    IDLE = 0
    PASSING = 1
    LIMITING = 2
    HOLDING = 3
    LATCHED = 4


@dataclass(frozen=True, slots=True)
class GateDecision:
    """The answer to one chunk.

    Attributes:
        code: name of a constant of ``msg/ErrorCode.msg``; SUCCESS unless rejected.
        arm, gripper: for the controllers; None when rejected, in dry run, or not asked for.
        stretch: how many times slower than proposed (1 = as proposed).
        duration_s: of the motion, rest tail included.
        clearance_m: that the motion keeps from the arm itself, the floor and obstacles; NaN when
            that is not checked.
    """

    outcome: Outcome
    code: str
    message: str
    arm: JointTrajectory | None = None
    gripper: JointTrajectory | None = None
    stretch: float = 1.0
    duration_s: float = 0.0
    clearance_m: float = float("nan")
