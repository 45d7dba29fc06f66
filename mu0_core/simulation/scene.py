# SPDX-License-Identifier: Apache-2.0
"""The MuJoCo model: an arm on a table with cubes, a bowl, a plate and a push button.

Built once per process; `layout` says where things lie and what they look like in one episode. The
world frame is the arm's base frame; the table top is z = 0. Sizes here are those of the table
frame; `simulated_arm` says how large the table of an arm is.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from xml.etree import ElementTree

import numpy as np

os.environ.setdefault("MUJOCO_GL", "egl")  # before mujoco is imported: there is no display

import mujoco

from mu0_core.robot.description import RobotDescription
from mu0_core.simulation.layout import Layout
from mu0_core.simulation.simulated_arm import (
    SimulatedArm,
    TableFrame,
    finger_joints,
    simulated_arm,
)
from mu0_core.simulation.texture import surface_texture
from mu0_core.simulation.viewpoint import gl_look_at

CUBES = ("cube_a", "cube_b", "cube_c")
CUBE_HALF_M = 0.0225
BOWL_RADIUS_M = 0.062
BOWL_HEIGHT_M = 0.035
PLATE_RADIUS_M = 0.075
PLATE_HALF_HEIGHT_M = 0.005
BUTTON_TRAVEL_M = 0.010
BUTTON_HOUSING_M = (0.035, 0.035, 0.012)  # half sizes
BUTTON_CAP_RADIUS_M = 0.022
BUTTON_TOP_M = 2 * BUTTON_HOUSING_M[2] + 0.024
BUTTON_DARK_RGB, BUTTON_LIT_RGB = (0.25, 0.25, 0.25), (1.0, 1.0, 0.8)  # of the housing
PHYSICS_STEP_S = 0.002

_ROBOT_BIT, _OBJECT_BIT = 1, 2


def build_model(
    robot: RobotDescription,
    texture_seed: int | None = None,
    extend: Callable[[mujoco.MjSpec], None] = lambda spec: None,
) -> mujoco.MjModel:
    """Compile the scene for one arm (500 Hz physics, elliptic friction cones).

    Table and floor are plain without a ``texture_seed``, as in every training picture. ``extend``
    adds further bodies.

    Raises:
        ConfigError: the description's part ``simulation`` is wrong.
    """
    arm = simulated_arm(robot)
    frame, scale = TableFrame.of(arm), arm.table_scale
    spec = _robot_spec(robot, arm)
    spec.option.timestep = PHYSICS_STEP_S
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 10
    spec.visual.quality.shadowsize = 0  # 40 times faster on a software renderer
    spec.visual.quality.offsamples = 0
    spec.visual.global_.offwidth, spec.visual.global_.offheight = 1280, 960
    spec.visual.map.znear, spec.visual.map.zfar = 0.05, 10.0
    spec.visual.headlight.ambient = (0.35, 0.35, 0.35)
    spec.visual.headlight.diffuse = (0.25, 0.25, 0.25)
    spec.visual.headlight.specular = (0.0, 0.0, 0.0)

    world = spec.worldbody
    light = world.add_light(name="lamp", pos=(0.6, 0.0, 1.8), dir=(-0.1, 0.0, -1.0))
    light.type = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
    light.castshadow = False
    light.diffuse = (0.6, 0.6, 0.6)
    world.add_camera(name="scene_camera", pos=(1.25, 0.0, 0.75), fovy=42.0)
    objects = {"contype": _OBJECT_BIT, "conaffinity": _ROBOT_BIT | _OBJECT_BIT}
    world.add_geom(
        name="table",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=frame.to_base(np.array([0.45, 0, -0.02])),
        size=scale * np.array([0.65, 0.75, 0.02]),
        friction=(0.5, 0.005, 0.0001),
        **objects,
    )
    world.add_geom(
        name="floor",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        pos=(0, 0, -0.75),
        size=(4, 4, 0.1),
        contype=0,
        conaffinity=0,
    )
    for name in CUBES:
        body = world.add_body(name=name, pos=(0.5, 0, 0.1))
        body.add_freejoint(name=f"{name}_joint")
        body.add_geom(
            name=name,
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=(CUBE_HALF_M * scale,) * 3,
            mass=0.06 * scale**3,
            friction=(0.5, 0.01, 0.0002),
            condim=4,
            **objects,  # more would tip it over when pushed
        )
    _add_bowl(world, objects, scale)
    plate = world.add_body(name="plate", pos=(0.5, -0.2, 0.01))
    plate.add_freejoint(name="plate_joint")
    plate.add_geom(
        name="plate",
        type=mujoco.mjtGeom.mjGEOM_CYLINDER,
        mass=0.4 * scale**3,
        size=(PLATE_RADIUS_M * scale, PLATE_HALF_HEIGHT_M * scale, 0),
        friction=(0.9, 0.005, 0.0001),
        **objects,
    )
    _add_button(world, objects, scale)
    if arm.light_button:
        spec.add_exclude(bodyname1="button", bodyname2="button_cap")
    if texture_seed is not None:
        _add_texture(spec, "table", 2 * texture_seed, 1)
        _add_texture(spec, "floor", 2 * texture_seed + 1, 4)
    extend(spec)
    return spec.compile()


def dress(model: mujoco.MjModel, layout: Layout) -> None:
    """Give things sizes and colours of a layout in the base frame, put up its lamp and camera."""
    for k, name in enumerate(CUBES):
        half, geom = layout.cube_half_m[k], model.geom(name)
        round_one, box = mujoco.mjtGeom.mjGEOM_CYLINDER, mujoco.mjtGeom.mjGEOM_BOX
        model.geom_type[geom.id] = int(round_one if layout.round_cubes else box)
        model.geom_size[geom.id] = half
        model.geom_rbound[geom.id] = half * np.sqrt(3.0)
        model.geom_aabb[geom.id] = (0, 0, 0, half, half, half)
        model.geom_rgba[geom.id, :3] = layout.cube_rgb[k]
    for index in range(model.ngeom):
        if model.geom(index).name.startswith("bowl"):
            model.geom_rgba[index, :3] = layout.bowl_rgb
    model.geom_rgba[model.geom("plate").id, :3] = layout.plate_rgb
    model.geom_rgba[model.geom("button_cap").id, :3] = layout.cap_rgb
    model.geom_rgba[model.geom("table").id, :3] = layout.table_rgb
    model.geom_rgba[model.geom("floor").id, :3] = layout.floor_rgb
    model.body_pos[model.body("button_cap").id] = (*layout.button_xy_m, 0.0)
    model.light_dir[0] = layout.lamp_direction / np.linalg.norm(layout.lamp_direction)
    model.light_diffuse[0] = layout.lamp_rgb
    gl_rotation = gl_look_at(layout.camera_position_m, layout.camera_target_m)
    model.cam_pos[0], model.cam_quat[0] = layout.camera_position_m, quat_wxyz(gl_rotation)
    model.cam_fovy[0] = layout.camera_fovy_deg


def quat_wxyz(rotation: np.ndarray) -> np.ndarray:
    """Return the MuJoCo quaternion (4,) of a rotation matrix (3, 3)."""
    quat = np.empty(4)
    mujoco.mju_mat2Quat(quat, np.ascontiguousarray(rotation, dtype=float).ravel())
    return quat


def _add_texture(spec: mujoco.MjSpec, geom: str, seed: int, repeat: int) -> None:
    """Cover a geom with a seeded texture that is multiplied with the geom's colour."""
    picture = surface_texture(seed)
    height, width, channels = picture.shape
    texture = spec.add_texture(name=geom, width=width, height=height, nchannel=channels)
    texture.type = mujoco.mjtTexture.mjTEXTURE_2D
    texture.data = picture.tobytes()
    material = spec.add_material(name=geom, texrepeat=(repeat, repeat))
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = geom
    spec.geom(geom).material = geom


def _robot_spec(robot: RobotDescription, arm: SimulatedArm) -> mujoco.MjSpec:
    """Load the URDF and give it gravity compensation, position servos and collision bits."""
    meshes = robot.urdf_path.parent / "meshes"
    root = ElementTree.parse(robot.urdf_path).getroot()
    for link in root.iter("link"):
        for visual in link.findall("visual"):
            link.remove(visual)  # the collision meshes are the low-poly visuals
    prefix = f"package://mu0/robots/{robot.urdf_path.parent.name}/meshes/"
    for mesh in root.iter("mesh"):
        mesh.set("filename", mesh.get("filename", "").replace(prefix, f"{meshes}/"))
    compiler = ElementTree.SubElement(ElementTree.SubElement(root, "mujoco"), "compiler")
    compiler.attrib.update(strippath="false", fusestatic="false", discardvisual="false")
    spec = mujoco.MjSpec.from_string(ElementTree.tostring(root, encoding="unicode"))
    for body in spec.bodies[1:]:
        body.gravcomp = 1.0
    fingers = finger_joints(robot)
    moved = {joint.parent.name for joint in spec.joints if joint.name in fingers}
    for geom in spec.geoms:
        geom.contype, geom.conaffinity = _ROBOT_BIT, 0  # no self-contact: the gate checks that
        on_finger = geom.parent.name in moved or geom.parent.name in arm.finger_links
        geom.rgba = (0.25, 0.25, 0.27, 1) if on_finger else (0.92, 0.92, 0.93, 1)
        if on_finger:
            geom.friction, geom.condim = (1.2, 0.02, 0.0005), 4
            geom.solref = (0.006, 1.0)
    for index, name in enumerate(robot.arm_joints):
        stiffness = arm.arm_stiffness[min(index, len(arm.arm_stiffness) - 1)]
        _add_servo(spec, name, stiffness, stiffness / arm.arm_rate, arm.arm_torque or None)
    for joint in spec.joints:
        if joint.name not in robot.arm_joints:
            hand = arm.finger_stiffness, arm.finger_damping, arm.finger_force
            _add_servo(spec, joint.name, *hand)
        else:
            joint.armature = arm.armature
    for equality in list(spec.equalities):
        spec.delete(equality)  # both fingers have a servo of their own
    return spec


def _add_servo(
    spec: mujoco.MjSpec, joint: str, stiffness: float, damping: float, force: float | None
) -> None:
    actuator = spec.add_actuator(
        name=joint,
        target=joint,
        trntype=mujoco.mjtTrn.mjTRN_JOINT,
        gaintype=mujoco.mjtGain.mjGAIN_FIXED,
        biastype=mujoco.mjtBias.mjBIAS_AFFINE,
    )
    actuator.gainprm[0] = stiffness
    actuator.biasprm[1], actuator.biasprm[2] = -stiffness, -damping
    if force is not None:
        actuator.forcerange, actuator.forcelimited = (-force, force), True


def _add_bowl(
    world: mujoco.MjsBody, objects: dict[str, int], scale: float, sides: int = 16
) -> None:
    """Add a shallow bowl: a disc with a ring of slightly outward-leaning wall segments."""
    radius, height, thick = (scale * x for x in (BOWL_RADIUS_M, BOWL_HEIGHT_M, 0.003))
    body = world.add_body(name="bowl", pos=(0.5, 0.2, 0.01))
    body.add_freejoint(name="bowl_joint")
    body.add_geom(
        name="bowl_base",
        type=mujoco.mjtGeom.mjGEOM_CYLINDER,
        mass=0.35 * scale**3,
        pos=(0, 0, thick),
        size=(scale * (BOWL_RADIUS_M - 0.004), thick, 0),
        friction=(0.9, 0.005, 0.0001),
        **objects,
    )
    half_width = radius * np.tan(np.pi / sides)
    lean = 0.30
    for k in range(sides):
        angle = 2 * np.pi * k / sides
        half = angle / 2
        yaw = np.array([np.cos(half), 0, 0, np.sin(half)])
        pitch = np.array([np.cos(lean / 2), 0, np.sin(lean / 2), 0])
        quat_wxyz = np.empty(4)
        mujoco.mju_mulQuat(quat_wxyz, yaw, pitch)
        body.add_geom(
            name=f"bowl_wall_{k}",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            mass=0.01 * scale**3,
            quat=quat_wxyz,
            pos=(radius * np.cos(angle), radius * np.sin(angle), height / 2),
            size=(thick, half_width * 1.12, height / 2),
            **objects,
        )


def _add_button(world: mujoco.MjsBody, objects: dict[str, int], scale: float) -> None:
    """Add a housing fixed to the table with a sprung cap that travels `BUTTON_TRAVEL_M` down.

    The housing is a lamp: it lights up when the button is pressed.
    """
    housing = world.add_body(name="button", pos=(0.4, 0.25, 0.0), mocap=True)
    housing.add_geom(
        name="button_housing",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=scale * np.array(BUTTON_HOUSING_M),
        pos=(0, 0, scale * BUTTON_HOUSING_M[2]),
        **objects,
    )
    cap = world.add_body(name="button_cap", pos=(0.4, 0.25, 0.0))
    cap.add_joint(
        name="button_slide",
        type=mujoco.mjtJoint.mjJNT_SLIDE,
        axis=(0, 0, 1),
        range=(-BUTTON_TRAVEL_M * scale, 0),
        limited=True,
        stiffness=300.0 * scale,
        damping=4.0 * scale,
    )
    cap.gravcomp = 1.0
    cap.add_geom(
        name="button_cap",
        type=mujoco.mjtGeom.mjGEOM_CYLINDER,
        mass=0.05 * scale**3,
        size=(scale * BUTTON_CAP_RADIUS_M, scale * 0.012, 0),
        pos=(0, 0, scale * (2 * BUTTON_HOUSING_M[2] + 0.012)),
        contype=_OBJECT_BIT,
        conaffinity=_ROBOT_BIT,
    )
