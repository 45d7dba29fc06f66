# SPDX-License-Identifier: Apache-2.0
"""What the gripper has to do now, read from how bodies are forecast to move.

Nothing is remembered: whether something is held shows in the fingers, what is to be moved in the
traces. Where precision matters, above a thing or above its place, a stroke ends, so that the next
one starts from a fresh look. Contact cues: a body that is forecast to be lifted is grasped from
above where it stands now; one that slides is pushed from behind; a held one that comes to rest is
let go there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mu0_core.action_expert.geometric.traced_bodies import PHASES, TracedBody
from mu0_core.errors import ConfigError, UnclearTraceError

_LAST = PHASES - 1


@dataclass(frozen=True, slots=True)
class StrokeSettings:
    """Sizes of the work, in metres; heights are above what is touched.

    Attributes:
        moves: a body that goes less far is not meant.
        lifted: a body that rises more is carried, others are pushed.
        worst_fit: largest residual of a rigid fit that is believed.
        hover: of the tip above the top of a thing, before it is grasped.
        grasp_depth: of the tip below that top.
        tip_above_floor: least height of the tip above the floor of the workspace.
        travel: height at which things are carried.
        acting: a stroke that touches starts at most so far beside its place.
        place_gap: a thing is let go so far above where its trace ends.
        clear: a thing is carried at least so far above where its trace ends.
        rests: a held thing that moves less at the end of its trace comes to rest there.
        near: of the tip above the top of a thing, where the way down to it begins at the latest.
        behind: from the tip to a thing that is to be pushed, before it is touched.
        finger: from the tip to the side of the closed fingers, which pushes.
        press: of the tip below the top of what is pressed.
        under: a thing whose points are so near beside the tip is below it.
        push_height: of the tip above the floor while it pushes.
        turn_rad: smaller turns than this are noise of the forecast.
        top: points so far below the highest one belong to the top face.
    """

    moves: float = 0.03
    lifted: float = 0.03
    worst_fit: float = 0.025
    hover: float = 0.07
    grasp_depth: float = 0.024
    tip_above_floor: float = 0.012
    travel: float = 0.14
    acting: float = 0.03
    place_gap: float = 0.004
    clear: float = 0.06
    rests: float = 0.01
    near: float = 0.02
    behind: float = 0.055
    finger: float = 0.026
    press: float = 0.02
    under: float = 0.03
    push_height: float = 0.022
    turn_rad: float = 0.35
    top: float = 0.012

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} {getattr(self, name)} must be positive")

    def scaled(self, size: float) -> StrokeSettings:
        """Return the settings for work of another size; angle and trust in a forecast stay."""
        lengths = [name for name in self.__slots__ if name not in ("turn_rad", "worst_fit")]
        return replace(self, **{name: size * getattr(self, name) for name in lengths})


@dataclass(frozen=True, slots=True)
class Scene:
    """What is there.

    Attributes:
        T_base_tip: (4, 4) of the middle between the fingers, in the orientation that the tip is
            to have unless a held thing turns.
        holding, wide: something is between the fingers; they are wide open.
        bodies: that are no part of the arm; held: the one in the fingers, or None.
        arm_way_m: (PHASES, 3) forecast displacement of the arm near the tip, or None.
        floor_m: height of the workspace's floor.
    """

    T_base_tip: np.ndarray
    holding: bool
    wide: bool
    bodies: list[TracedBody]
    held: TracedBody | None
    arm_way_m: np.ndarray | None
    floor_m: float


@dataclass(frozen=True, slots=True)
class Leg:
    """A part of a stroke: poses (K, 4, 4) that the tip goes through, and then the fingers.

    ``opens`` True or False moves the fingers at its end, None leaves them; ``on_thing`` says that
    they close on something or let it go, where the arm must not move aside.
    """

    poses: np.ndarray
    opens: bool | None = None
    on_thing: bool = False


def plan_stroke(scene: Scene, settings: StrokeSettings) -> list[Leg]:
    """Return the legs of the next stroke.

    Raises:
        UnclearTraceError: the traces do not say what to do.
    """
    if scene.held is not None:
        return _carry(scene, scene.held, settings)
    body = _meant(scene.bodies, settings)
    if body is None:
        return _follow_arm(scene, settings)
    rise = body.way_m[:, 2].max()
    return _pick(scene, body, settings) if rise > settings.lifted else _push(scene, body, settings)


def _meant(bodies: list[TracedBody], s: StrokeSettings) -> TracedBody | None:
    """Return the body that goes farthest, None if all stay."""
    ways = [float(np.linalg.norm(b.way_m, axis=1).max()) for b in bodies]
    if not ways or max(ways) < s.moves:
        return None
    return bodies[int(np.argmax(ways))]


def _pick(scene: Scene, body: TracedBody, s: StrokeSettings) -> list[Leg]:
    tip = scene.T_base_tip[:3, 3]
    centre, top = _top_face(body, s)
    low = scene.floor_m + s.tip_above_floor
    grasp = np.array([*centre, max(top - s.grasp_depth, low)])
    above = np.array([*centre, top + s.hover])
    near = np.hypot(*(tip - grasp)[:2]) < s.acting and tip[2] < above[2] + s.hover
    if near and scene.wide:
        end = grasp + (*body.way_m[_LAST][:2], 0)
        high = max(s.travel, above[2])
        return [
            _line(scene, _at(grasp, max(tip[2], top + s.near)), grasp),
            Leg(_line(scene, grasp).poses, opens=False, on_thing=True),
            _line(scene, _at(grasp, high), _at(end, high)),
        ]
    legs = [] if scene.wide else [_open(scene, above[2])]
    rise = [_at(tip, above[2])] if tip[2] < above[2] - 0.01 else []
    return [*legs, _line(scene, *rise, above)]


def _carry(scene: Scene, body: TracedBody, s: StrokeSettings) -> list[Leg]:
    """Move a held body along its trace, by rigid fits; let it go where the trace comes to rest."""
    fits = [body.motion(k) for k in range(PHASES)]
    worst = float(np.median([fit.residual_m for fit in fits]))
    if worst > s.worst_fit:
        raise UnclearTraceError(
            f"the traces of the held body are no rigid motion: residual {worst * 1000:.0f} mm, "
            f"allowed {s.worst_fit * 1000:.0f} mm"
        )
    poses = np.stack([_turned(fit.T_after_before, scene.T_base_tip, s) for fit in fits])
    end, tip = poses[_LAST], scene.T_base_tip[:3, 3]
    if np.linalg.norm(poses[:, :3, 3] - tip, axis=1).max() < s.moves:
        raise UnclearTraceError(
            f"the held body is not forecast to move {s.moves * 1000:.0f} mm: nothing to do with it"
        )
    rests = np.linalg.norm(end[:3, 3] - poses[_LAST - 3 :, :3, 3], axis=1).max() < s.rests
    across = np.hypot(*(end[:3, 3] - tip)[:2])
    high = max(s.travel, end[2, 3] + s.clear)
    over = _raised(end, max(high, tip[2] if across < s.acting else high))
    if across > s.acting or not rests:
        lifted = [_raised(scene.T_base_tip, high)] if tip[2] < high - 0.02 else []
        way = [_raised(pose, max(pose[2, 3], high)) for pose in _until(poses, end, s)]
        return [Leg(np.stack([scene.T_base_tip, *lifted, *way, over]))]
    place = _raised(end, max(end[2, 3] + s.place_gap, scene.floor_m + s.tip_above_floor))
    level = _raised(end, max(tip[2], place[2, 3]))
    return [
        Leg(np.stack([scene.T_base_tip, level, place])),
        Leg(place[None], opens=True, on_thing=True),
        Leg(np.stack([place, _raised(end, high)])),
    ]


def _until(poses: np.ndarray, end: np.ndarray, s: StrokeSettings) -> np.ndarray:
    """Return the poses before the first one that is over the end."""
    over = np.linalg.norm(poses[:, :2, 3] - end[:2, 3], axis=1) < s.acting
    return poses[1 : max(1, int(np.argmax(over)))]


def _push(scene: Scene, body: TracedBody, s: StrokeSettings) -> list[Leg]:
    tip, way = scene.T_base_tip[:3, 3], body.way_m[_LAST].copy()
    way[2] = 0.0
    length = float(np.linalg.norm(way))
    if length < s.moves:
        raise UnclearTraceError(
            f"a body is forecast to move and come back ({length * 1000:.0f} mm): no push does that"
        )
    (centre, top), along = _top_face(body, s), way / length
    half = _half_length(body, along)
    start = np.array([*centre, 0]) - along * (half + s.behind)
    low, high = scene.floor_m + s.push_height, top + s.hover
    legs = [] if not scene.wide else [Leg(scene.T_base_tip[None], opens=False)]
    if np.hypot(*(tip - start)[:2]) > s.acting or scene.wide:
        rise = [_at(tip, high)] if tip[2] < high - 0.01 else []
        return [*legs, _line(scene, *rise, _at(start, high))]
    stop = np.array([*centre, 0]) + way - along * (half + s.finger)
    return [
        _line(scene, _at(start, low), _at(stop, low), _at(stop, high)),
    ]


def _follow_arm(scene: Scene, s: StrokeSettings) -> list[Leg]:
    """Nothing else is to move: go where the arm is forecast to go, or stay.

    What is touched so is touched with closed fingers. A way that comes down over something and
    goes up again presses it: a trace is too smooth to reach the lowest point of its dip.
    """
    if scene.arm_way_m is None or np.linalg.norm(scene.arm_way_m, axis=1).max() < s.moves:
        return [Leg(scene.T_base_tip[None])]
    poses = np.tile(scene.T_base_tip, (PHASES, 1, 1))
    poses[:, :3, 3] += scene.arm_way_m
    poses[:, 2, 3] = np.maximum(poses[:, 2, 3], scene.floor_m + s.tip_above_floor)
    lowest = int(poses[:, 2, 3].argmin())
    top = _top_below(scene, poses[lowest, :3, 3], s)
    if top is not None and poses[_LAST, 2, 3] - poses[lowest, 2, 3] > s.moves / 2:
        low = max(top - s.press, scene.floor_m + s.tip_above_floor)
        poses[lowest, 2, 3] = min(low, poses[lowest, 2, 3])
    closed = [] if not scene.wide else [Leg(scene.T_base_tip[None], opens=False)]
    return [*closed, Leg(poses)]


def _top_below(scene: Scene, tip_m: np.ndarray, s: StrokeSettings) -> float | None:
    """Return the height of what is seen right below a tip (3,), None for nothing."""
    points = np.concatenate([body.now_m for body in scene.bodies] or [np.empty((0, 3))])
    beside = np.linalg.norm(points[:, :2] - tip_m[:2], axis=1)
    under = (beside < s.under) & (points[:, 2] < tip_m[2] + s.press)
    return float(points[under, 2].max()) if under.any() else None


def _top_face(body: TracedBody, s: StrokeSettings) -> tuple[np.ndarray, float]:
    """Return the middle (x, y) and the height of what is seen of the top of a body."""
    points = body.now_m
    top = float(points[:, 2].max())
    face = points[points[:, 2] > top - s.top, :2]
    return (face.min(axis=0) + face.max(axis=0)) / 2, top


def _half_length(body: TracedBody, along: np.ndarray) -> float:
    """Return half of what is seen of a body along a direction."""
    return float(np.ptp(body.now_m @ along) / 2)


def _turned(T_after_before: np.ndarray, T_base_tip: np.ndarray, s: StrokeSettings) -> np.ndarray:
    """Return the tip moved with a body; small turns are left out, the body's middle stays."""
    moved = T_after_before @ T_base_tip
    cosine = np.clip((np.trace(T_after_before[:3, :3]) - 1) / 2, -1, 1)
    if np.arccos(cosine) < s.turn_rad:
        moved[:3, :3] = T_base_tip[:3, :3]
    return moved


def _line(scene: Scene, *points_m: np.ndarray, opens: bool | None = None) -> Leg:
    poses = np.tile(scene.T_base_tip, (len(points_m), 1, 1))
    poses[:, :3, 3] = points_m
    return Leg(poses, opens)


def _open(scene: Scene, height_m: float) -> Leg:
    tip = scene.T_base_tip[:3, 3]
    return _line(scene, _at(tip, max(tip[2], height_m)), opens=True)


def _at(position: np.ndarray, height_m: float) -> np.ndarray:
    return np.array([position[0], position[1], height_m])


def _raised(pose: np.ndarray, height_m: float) -> np.ndarray:
    raised = pose.copy()
    raised[2, 3] = height_m
    return raised
