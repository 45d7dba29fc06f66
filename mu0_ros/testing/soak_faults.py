# SPDX-License-Identifier: Apache-2.0
"""The faults of a soak run: what breaks, what mends it, and what is to follow. Drawn by a seed.

Rows are those of the fault catalogue. Left out is a model that never returns (row 33): Python
cannot end its thread, so each one would count as a leak.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mu0_ros.testing.soak_world import SoakWorld

Deed = Callable[["SoakWorld"], None]
NODES = ("safety_gate", "action_expert", "trace_forecaster", "task_server")
LONG_S, SHORT_S = (1.2, 1.5), (0.3, 1.0)


def _nothing(world: SoakWorld) -> None:
    """Leave it: some faults mend themselves."""


@dataclass(frozen=True)
class SoakFault:
    """One kind of fault.

    Attributes:
        kind: name in the result.
        strike: breaks it.
        mend: ends it.
        lasts_s: shortest and longest time in between.
        rest_s: an arm that moves when it strikes is at rest so soon; None = it may go on.
        codes: causes of which one is told when a task runs all the while; () = none is due.
        kills: node that dies of it.
    """

    kind: str
    strike: Deed
    mend: Deed = _nothing
    lasts_s: tuple[float, float] = SHORT_S
    rest_s: float | None = None
    codes: tuple[str, ...] = ()
    kills: str = ""


def _robot(kind: str, codes: tuple[str, ...], **fields: object) -> SoakFault:
    """Return wrong data of the robot: the arm holds."""
    return SoakFault(
        kind,
        lambda w: w.break_robot(**fields),
        lambda w: w.break_robot(),
        LONG_S,
        1.0,
        codes,
    )


def _fake(node: str, fault: str) -> SoakFault:
    """Return a model that fails a few times."""
    return SoakFault(f"{node} {fault}", lambda w: w.break_model(node, fault))


def _asleep(node: str) -> SoakFault:
    """Return a node that stands still for a moment; the arm rests unless it is only a watcher."""
    return SoakFault(
        f"{node} stopped",
        lambda w: w.signal(node, signal.SIGSTOP),
        lambda w: w.signal(node, signal.SIGCONT),
        LONG_S,
        None if node == "task_server" else 1.2,
    )


def _killed(node: str) -> SoakFault:
    return SoakFault(
        f"{node} killed",
        lambda w: w.signal(node, signal.SIGKILL),
        lambda w: w.respawn(node),
        (1.3, 1.3),
        None if node == "task_server" else 1.2,
        kills=node,
    )


def _inactive(node: str) -> SoakFault:
    return SoakFault(
        f"{node} deactivated",
        lambda w: w.set_active(node, False),
        lambda w: w.set_active(node, True),
        LONG_S,
        1.2,
    )


STALE, INVALID = ("OBSERVATION_STALE",), ("OBSERVATION_INVALID",)
FAULTS: tuple[SoakFault, ...] = (
    _robot("colour stops", STALE, colour=False),
    _robot("depth stops", STALE, depth=False),
    _robot("colour and depth stop", STALE, colour=False, depth=False),
    _robot("camera repeats its stamp", STALE, frozen=True),
    _robot("stamps of another clock", INVALID, stamp_offset_s=-1e6),
    _robot("depth NaN", ("NO_QUERY_POINTS",), depth_scale=float("nan")),
    _robot("depth in millimetres", INVALID, depth_scale=1000.0),
    _robot("depth in another frame", INVALID, depth_frame="depth"),
    _robot("camera info changes", INVALID, calibrated=False),
    _robot("joint states stop", STALE, joints=False),
    _robot("joint states NaN", ("OBSERVATION_INVALID", "OBSERVATION_STALE"), joints_nan=True),
    SoakFault(
        "half of the images lost",
        lambda w: w.break_robot(lost=0.5),
        lambda w: w.break_robot(),
    ),
    SoakFault(
        "camera bumped",
        lambda w: w.break_robot(bumped_m=0.1),
        lambda w: w.break_robot(),
        LONG_S,
    ),
    SoakFault(
        "arm blocked",
        lambda w: w.break_robot(blocked=True),
        lambda w: w.break_robot(),
        LONG_S,
        1.0,
    ),
    *(
        _fake("trace_forecaster", fault)
        for fault in ("delay:3", "exception:1", "out_of_memory:3", "nan:1")
    ),
    *(
        _fake("action_expert", fault)
        for fault in ("delay:3", "exception:3", "out_of_memory:1", "nan:1", "nan:4", "jump:2")
    ),
    *(_asleep(node) for node in NODES),
    *(_inactive(node) for node in NODES),
    *(_killed(node) for node in NODES),
    SoakFault("cancel", lambda w: w.cancel(), rest_s=1.0),
    SoakFault("cancel twice", lambda w: (w.cancel(), w.cancel()), rest_s=1.0),
    SoakFault("stop of the gate", lambda w: w.stop_gate(), rest_s=1.0),
    SoakFault("flood of requests", lambda w: w.flood(300)),
    SoakFault("instructions out of range", lambda w: w.ask_nonsense()),
    SoakFault("old chunks again", lambda w: w.replay_chunks(30)),
    SoakFault("chunks of nonsense", lambda w: w.send_nonsense_chunks(10), codes=()),
)
