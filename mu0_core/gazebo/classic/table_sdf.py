# SPDX-License-Identifier: Apache-2.0
"""The demo table as a world for Gazebo Classic 11, from the one written for Harmonic.

Things, places, camera and lamp are those of `mu0_core.gazebo.table_world`. What Classic needs
otherwise is replaced: SDF 1.6, ODE, two cameras in one place instead of an RGB-D camera, the arm
in the world, and the plugin that steps it. The lamp at the camera, which the embedded simulator
has and Harmonic's world puts into the ambient light, is a light here.
"""

from __future__ import annotations

from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from mu0_core.errors import ConfigError
from mu0_core.gazebo.classic.arm_model import MODEL, arm_model, effort
from mu0_core.gazebo.table_world import table_world
from mu0_core.gazebo.world_file import CAMERA_MODEL
from mu0_core.robot.description import RobotDescription
from mu0_core.simulation.layout import sample_layout
from mu0_core.simulation.scene import CUBES
from mu0_core.simulation.simulated_arm import TableFrame, finger_joints, simulated_arm

SDF_VERSION = "1.6"
COLOUR_SENSOR, DEPTH_SENSOR = "colour", "depth"
BODIES = (
    "cube_a::link", "cube_b::link", "cube_c::link", "bowl::link", "plate::link",
    "button::housing", "button::cap",
)  # fmt: skip
HOUSING_VISUAL = "button::housing::button_housing_visual"
PLUGIN = "/opt/mu0/libmu0_bridge.so"
_AMBIENT, _HEADLIGHT = 0.35, 0.25  # of the embedded simulator
_SOLVER_ITERATIONS = 150
_STEP_RATE_HZ = 2000  # upper bound; without one a paused world would busy a core
_FAR_M = 10.0
_GRIP = {"kp": 1e5, "kd": 100, "max_vel": 0.1, "min_depth": 0.001}
_ARM_GAIN = 20.0  # 1/s: speed of a servo for what is missing; the arm is 50 ms behind its command


def table_sdf(seed: int, robot: RobotDescription, meshes: str) -> str:
    """Return the world of the scene of a seed, with an arm in it.

    Args:
        seed: of the layout.
        robot: the arm; its table must be the FR3's.
        meshes: URI of the folder where Gazebo finds the arm's meshes.

    Raises:
        ConfigError: the arm stands at a table of another size.
        ImportError: mujoco is not installed (pip extra ``sim``).
    """
    if TableFrame.of(simulated_arm(robot)) != TableFrame():
        raise ConfigError(f"{robot.name}: only arms at a table of scale 1 can be in this world")
    root = ElementTree.fromstring(table_world(seed))
    root.set("version", SDF_VERSION)
    world = root.find("world")
    for plugin in world.findall("plugin"):
        world.remove(plugin)
    _replace_physics(world)
    _replace_light(world, seed)
    _replace_camera(world.find(f"model[@name='{CAMERA_MODEL}']/link"))
    cap = world.find("model[@name='button']/link[@name='cap']")
    _leaf(cap, "gravity", "false")
    for material in world.iter("material"):
        _leaf(material, "specular", "0 0 0 1")
    world.append(arm_model(robot, meshes))
    _soften_grip(world)
    _add_plugin(world, robot)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode")


def servo_joints(robot: RobotDescription) -> tuple[str, ...]:
    """Return the joints that the plugin moves, in its order: arm, then fingers."""
    return (*robot.arm_joints, *finger_joints(robot))


def _replace_physics(world: Element) -> None:
    old = world.find("physics")
    step = old.findtext("max_step_size")
    world.remove(old)
    physics = SubElement(world, "physics", name="ode", type="ode")
    _leaf(physics, "max_step_size", step)
    _leaf(physics, "real_time_factor", "0")
    _leaf(physics, "real_time_update_rate", str(_STEP_RATE_HZ))
    solver = SubElement(SubElement(physics, "ode"), "solver")
    _leaf(solver, "type", "quick")
    _leaf(solver, "iters", str(_SOLVER_ITERATIONS))


def _replace_light(world: Element, seed: int) -> None:
    layout = sample_layout(seed)
    scene = world.find("scene")
    scene.find("ambient").text = f"{_AMBIENT} {_AMBIENT} {_AMBIENT} 1"
    scene.find("background").text = "0 0 0 1"
    _leaf(scene, "grid", "false")
    look = layout.camera_target_m - layout.camera_position_m
    head = SubElement(world, "light", name="headlight", type="directional")
    _leaf(head, "pose", f"{_words(layout.camera_position_m)} 0 0 0")
    _leaf(head, "cast_shadows", "false")
    _leaf(head, "diffuse", f"{_HEADLIGHT} {_HEADLIGHT} {_HEADLIGHT} 1")
    _leaf(head, "direction", _words(look / np.linalg.norm(look)))
    for light in world.findall("light"):
        _leaf(light, "specular", "0 0 0 1")


def _replace_camera(link: Element) -> None:
    """Put a colour and a depth camera where the RGB-D camera was; they work when asked."""
    old = link.find("sensor")
    camera = old.find("camera")
    link.remove(old)
    for name, kind in ((COLOUR_SENSOR, "camera"), (DEPTH_SENSOR, "depth")):
        sensor = SubElement(link, "sensor", name=name, type=kind)
        _leaf(sensor, "always_on", "false")
        _leaf(sensor, "update_rate", "0")
        own = SubElement(sensor, "camera", name=name)
        _leaf(own, "horizontal_fov", camera.findtext("horizontal_fov"))
        image, clip = SubElement(own, "image"), SubElement(own, "clip")
        for key in ("width", "height"):
            _leaf(image, key, camera.findtext(f"image/{key}"))
        _leaf(image, "format", "R8G8B8")
        _leaf(clip, "near", camera.findtext("clip/near"))
        _leaf(clip, "far", str(_FAR_M))


def _soften_grip(world: Element) -> None:
    """Let cubes and fingers give a little: with ODE's hard contacts a held cube rattles loose."""
    surfaces = [*world.findall("model[@name='arm']//surface")]
    for cube in CUBES:
        surfaces += world.findall(f"model[@name='{cube}']//surface")
    for surface in surfaces:
        contact = SubElement(SubElement(surface, "contact"), "ode")
        for tag, value in _GRIP.items():
            _leaf(contact, tag, f"{value:g}")


def _add_plugin(world: Element, robot: RobotDescription) -> None:
    arm, fingers = simulated_arm(robot), finger_joints(robot)
    plugin = SubElement(world, "plugin", name="mu0_bridge", filename=PLUGIN)
    _leaf(plugin, "model", MODEL)
    _leaf(plugin, "colour_sensor", COLOUR_SENSOR)
    _leaf(plugin, "depth_sensor", DEPTH_SENSOR)
    for joint in servo_joints(robot):
        finger = joint in fingers
        servo = SubElement(plugin, "servo")
        _leaf(servo, "joint", joint)
        gain = arm.finger_stiffness / arm.finger_damping if finger else _ARM_GAIN
        strength = arm.finger_force if finger else arm.arm_torque or effort(robot, joint)
        _leaf(servo, "gain", f"{gain:g}")
        _leaf(servo, "force", f"{strength:g}")
        _leaf(servo, "squeeze", f"{arm.finger_stiffness if finger else 0.0:g}")
    for body in BODIES:
        _leaf(plugin, "body", body)


def _words(values: np.ndarray) -> str:
    return " ".join(f"{value:.9g}" for value in values)


def _leaf(parent: Element, tag: str, text: str) -> None:
    SubElement(parent, tag).text = text
