# SPDX-License-Identifier: Apache-2.0
"""A bare hand in the table scene: another embodiment, which flies and needs no arm.

It is made of bodies that are placed and touch nothing. Between thumb and fingers lies the tip, as
between the fingers of the gripper, so that a script for the one moves the other.
"""

from __future__ import annotations

import numpy as np

from mu0_core.robot.description import RobotDescription
from mu0_core.simulation import scene

mujoco = scene.mujoco

PALM, THUMB, FINGERS = "hand", "hand_thumb", "hand_fingers"
_SKIN_RGBA = (0.87, 0.66, 0.53, 1.0)
_HIDDEN_GROUP = 5  # geom groups above 2 are not drawn
_THICK_M = 0.008  # radius of a finger; its inside lies at the edge of the opening
_PALM_ABOVE_M = 0.085
_FINGER_X_M = (-0.027, -0.009, 0.009, 0.027)


def build_hand_model(robot: RobotDescription, texture_seed: int | None = None) -> mujoco.MjModel:
    """Compile the scene with a hand; the arm is there, but neither seen nor felt."""
    model = scene.build_model(robot, texture_seed, extend=_add_hand)
    arm = [k for k in range(model.ngeom) if _is_of_arm(model, model.geom_bodyid[k])]
    model.geom_group[arm] = _HIDDEN_GROUP
    model.geom_contype[arm] = model.geom_conaffinity[arm] = 0
    return model


def place_hand(
    model: mujoco.MjModel, data: mujoco.MjData, tip_m: np.ndarray, opening_m: float
) -> None:
    """Put the hand where its tip (3,) is at ``tip_m``, thumb and fingers ``opening_m`` apart."""
    aside = np.array([0.0, opening_m / 2 + _THICK_M, 0.0])
    for name, offset in ((PALM, np.zeros(3)), (THUMB, -aside), (FINGERS, aside)):
        data.mocap_pos[model.body(name).mocapid[0]] = tip_m + offset


def _is_of_arm(model: mujoco.MjModel, body: int) -> bool:
    """Say whether a body hangs from the arm's first link: the URDF's, unlike the scene's own."""
    ours = {PALM, THUMB, FINGERS, *scene.CUBES, "bowl", "plate", "button", "button_cap"}
    return body != 0 and model.body(body).name not in ours


def _add_hand(spec: mujoco.MjSpec) -> None:
    palm = spec.worldbody.add_body(name=PALM, mocap=True)
    _capsule(palm, (-0.02, 0, _PALM_ABOVE_M), (0.02, 0, _PALM_ABOVE_M), 0.024)
    _capsule(palm, (0, -0.022, _PALM_ABOVE_M), (0, 0.022, _PALM_ABOVE_M), 0.024)
    _capsule(palm, (-0.03, 0, 0.11), (-0.37, 0.10, 0.49), 0.028)  # the forearm, to the back
    thumb = spec.worldbody.add_body(name=THUMB, mocap=True)
    _finger(thumb, 0.0, -1.0)
    fingers = spec.worldbody.add_body(name=FINGERS, mocap=True)
    for x in _FINGER_X_M:
        _finger(fingers, x, 1.0)


def _finger(body: mujoco.MjsBody, x_m: float, side: float) -> None:
    """Add a bent finger: straight up from beside the tip, then towards the palm."""
    knuckle = (x_m, side * 0.008, 0.045)
    _capsule(body, (x_m, 0, -0.006), knuckle, _THICK_M)
    _capsule(body, knuckle, (0.7 * x_m, -side * 0.012, _PALM_ABOVE_M), _THICK_M)


def _capsule(body: mujoco.MjsBody, start: tuple, end: tuple, radius_m: float) -> None:
    body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_CAPSULE,
        fromto=(*start, *end),
        size=(radius_m, 0, 0),
        rgba=_SKIN_RGBA,
        contype=0,
        conaffinity=0,
    )
