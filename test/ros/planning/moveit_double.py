# SPDX-License-Identifier: Apache-2.0
"""A strict stand-in for the messages of moveit_msgs that are used, and a move_group behind them.

Field names are those of the package; an unknown one is an AttributeError or TypeError, a wrong
type of a field a TypeError. `FakeMoveGroup` answers with any `Planner` of ours: it shows that
requests carry what MoveIt needs, not that MoveIt would find the same.
"""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point, Pose, PoseStamped, Vector3
from sensor_msgs.msg import JointState, MultiDOFJointState
from std_msgs.msg import Header
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint, MultiDOFJointTrajectory

from mu0_core.errors import KinematicsError, Mu0Error, PlanningError
from mu0_core.geometry import se3
from mu0_core.geometry.box import Box
from mu0_core.planning.scene import PlanningScene


class _Message:
    """Fields with types; nothing else can be read or written."""

    FIELDS: ClassVar[dict[str, type]] = {}

    def __init__(self, **values):
        for name, kind in self.FIELDS.items():
            object.__setattr__(self, name, kind())
        for name, value in values.items():
            setattr(self, name, value)

    def __setattr__(self, name, value):
        kind = self.FIELDS.get(name)
        if kind is None:
            raise AttributeError(f"{type(self).__name__} has no field {name!r}")
        if not isinstance(value, kind):
            raise TypeError(f"{type(self).__name__}.{name}: {type(value)} is no {kind}")
        object.__setattr__(self, name, value)


def _message(kind_name, constants=(), /, **fields):
    return type(kind_name, (_Message,), {"FIELDS": fields, **dict(constants)})


RobotState = _message(
    "RobotState",
    joint_state=JointState,
    multi_dof_joint_state=MultiDOFJointState,
    attached_collision_objects=list,
    is_diff=bool,
)
JointConstraint = _message(
    "JointConstraint",
    joint_name=str,
    position=float,
    tolerance_above=float,
    tolerance_below=float,
    weight=float,
)
Constraints = _message(
    "Constraints",
    name=str,
    joint_constraints=list,
    position_constraints=list,
    orientation_constraints=list,
    visibility_constraints=list,
)
MoveItErrorCodes = _message("MoveItErrorCodes", val=int, message=str, source=str)
RobotTrajectory = _message(
    "RobotTrajectory",
    joint_trajectory=JointTrajectory,
    multi_dof_joint_trajectory=MultiDOFJointTrajectory,
)
MotionPlanRequest = _message(
    "MotionPlanRequest",
    start_state=RobotState,
    goal_constraints=list,
    path_constraints=Constraints,
    reference_trajectories=list,
    pipeline_id=str,
    planner_id=str,
    group_name=str,
    num_planning_attempts=int,
    allowed_planning_time=float,
    max_velocity_scaling_factor=float,
    max_acceleration_scaling_factor=float,
    cartesian_speed_limited_link=str,
    max_cartesian_speed=float,
)
MotionPlanResponse = _message(
    "MotionPlanResponse",
    trajectory_start=RobotState,
    group_name=str,
    trajectory=RobotTrajectory,
    planning_time=float,
    error_code=MoveItErrorCodes,
)
PositionIKRequest = _message(
    "PositionIKRequest",
    group_name=str,
    robot_state=RobotState,
    constraints=Constraints,
    avoid_collisions=bool,
    ik_link_name=str,
    pose_stamped=PoseStamped,
    ik_link_names=list,
    pose_stamped_vector=list,
    timeout=Duration,
)
ContactInformation = _message(
    "ContactInformation",
    header=Header,
    position=Point,
    normal=Vector3,
    depth=float,
    contact_body_1=str,
    body_type_1=int,
    contact_body_2=str,
    body_type_2=int,
)
CollisionObject = _message(
    "CollisionObject",
    {"ADD": b"\x00", "REMOVE": b"\x01", "APPEND": b"\x02", "MOVE": b"\x03"},
    header=Header,
    pose=Pose,
    id=str,
    primitives=list,
    primitive_poses=list,
    meshes=list,
    mesh_poses=list,
    planes=list,
    plane_poses=list,
    subframe_names=list,
    subframe_poses=list,
    operation=bytes,
)
PlanningSceneWorld = _message("PlanningSceneWorld", collision_objects=list)
PlanningSceneMessage = _message(
    "PlanningScene",
    name=str,
    robot_state=RobotState,
    robot_model_name=str,
    fixed_frame_transforms=list,
    link_padding=list,
    link_scale=list,
    object_colors=list,
    world=PlanningSceneWorld,
    is_diff=bool,
)


def _service(name, request, response):
    return type(
        name,
        (),
        {
            "Request": _message(f"{name}_Request", **request),
            "Response": _message(f"{name}_Response", **response),
        },
    )


GetMotionPlan = _service(
    "GetMotionPlan",
    {"motion_plan_request": MotionPlanRequest},
    {"motion_plan_response": MotionPlanResponse},
)
GetStateValidity = _service(
    "GetStateValidity",
    {"robot_state": RobotState, "group_name": str, "constraints": Constraints},
    {"valid": bool, "contacts": list, "cost_sources": list, "constraint_result": list},
)
GetPositionIK = _service(
    "GetPositionIK",
    {"ik_request": PositionIKRequest},
    {"solution": RobotState, "error_code": MoveItErrorCodes},
)
ApplyPlanningScene = _service(
    "ApplyPlanningScene", {"scene": PlanningSceneMessage}, {"success": bool}
)
_SERVICES = {
    "plan_kinematic_path": GetMotionPlan,
    "check_state_validity": GetStateValidity,
    "compute_ik": GetPositionIK,
    "apply_planning_scene": ApplyPlanningScene,
}


def modules():
    """Return the modules of moveit_msgs by name."""
    package, msg, srv = (
        ModuleType(n) for n in ("moveit_msgs", "moveit_msgs.msg", "moveit_msgs.srv")
    )
    package.msg, package.srv = msg, srv
    for kind in (
        RobotState,
        JointConstraint,
        Constraints,
        MoveItErrorCodes,
        RobotTrajectory,
        MotionPlanRequest,
        MotionPlanResponse,
        PositionIKRequest,
        ContactInformation,
        CollisionObject,
        PlanningSceneWorld,
        PlanningSceneMessage,
    ):
        setattr(msg, kind.__name__, kind)
    for kind in _SERVICES.values():
        setattr(srv, kind.__name__, kind)
    return {"moveit_msgs": package, "moveit_msgs.msg": msg, "moveit_msgs.srv": srv}


def install(monkeypatch):
    """Put the double in place of moveit_msgs."""
    for name, module in modules().items():
        monkeypatch.setitem(sys.modules, name, module)


def matrix(pose):
    """Return T (4, 4) of a Pose."""
    p, q = pose.position, pose.orientation
    return se3.from_quat_xyzw(np.array([p.x, p.y, p.z]), np.array([q.x, q.y, q.z, q.w]))


class FakeMoveGroup:
    """Answers requests with one of our planners, from what the messages say alone.

    Attributes:
        objects: id -> CollisionObject, as MoveIt would keep them.
        calls: names of the services that were called.
        answers: name -> response to give instead.
    """

    def __init__(self, planner, group="fr3_arm"):
        self.planner, self.group = planner, group
        self.objects, self.calls, self.answers = {}, [], {}
        self.last = SimpleNamespace()

    def call(self, kind, service, request, timeout_s):
        """Serve one request; the place of `ServiceCaller.call`."""
        assert kind is _SERVICES[service] and isinstance(request, kind.Request) and timeout_s > 0
        self.calls.append(service)
        self.last = request
        if service in self.answers:
            return self.answers[service]
        return getattr(self, f"_{service}")(request)

    def _apply_planning_scene(self, request):
        assert request.scene.is_diff and request.scene.robot_state.is_diff
        for thing in request.scene.world.collision_objects:
            assert thing.header.frame_id == self.planner.robot.base_frame
            if thing.operation == CollisionObject.REMOVE:
                del self.objects[thing.id]
            else:
                assert thing.operation == CollisionObject.ADD
                assert len(thing.primitives) == len(thing.primitive_poses) > 0
                self.objects[thing.id] = thing
        return ApplyPlanningScene.Response(success=True)

    def _scene(self, state):
        placed = [
            Box(f"{thing.id} {k}", tuple(shape.dimensions), matrix(thing.pose) @ matrix(pose))
            for thing in self.objects.values()
            for k, (shape, pose) in enumerate(zip(thing.primitives, thing.primitive_poses))
        ]
        cubes = [box for box in placed if box.name.startswith("mu0/points")]
        boxes = [box for box in placed if not box.name.startswith("mu0/points")]
        hand = self.planner.robot.gripper
        values = dict(zip(state.joint_state.name, state.joint_state.position))
        opening = values[hand.joint] * hand.opening_per_joint_m if hand.joint in values else None
        if not cubes:
            return PlanningScene(tuple(boxes), gripper_m=opening)
        centres = np.array([cube.T_base_box[:3, 3] for cube in cubes])
        return PlanningScene(tuple(boxes), centres, cubes[0].size_m[0], opening)

    def _joints(self, state):
        assert state.is_diff, "MoveIt would take missing joints for zero"
        values = dict(zip(state.joint_state.name, state.joint_state.position))
        return np.array([values[name] for name in self.planner.robot.arm_joints])

    def _check_state_validity(self, request):
        if request.group_name != self.group:
            return GetStateValidity.Response(valid=False)
        state = request.robot_state
        hit = self.planner.check(self._joints(state)[None], self._scene(state)).collision
        if hit is None:
            return GetStateValidity.Response(valid=True)
        first, second = (name.split(" ")[0] for name in hit.bodies)
        contact = ContactInformation(contact_body_1=first, contact_body_2=second)
        return GetStateValidity.Response(valid=False, contacts=[contact])

    def _plan_kinematic_path(self, request):
        wanted, response = request.motion_plan_request, MotionPlanResponse()
        if wanted.group_name != self.group:
            response.error_code = MoveItErrorCodes(val=-15)
            return GetMotionPlan.Response(motion_plan_response=response)
        assert wanted.allowed_planning_time > 0 and wanted.num_planning_attempts >= 1
        (goal,) = wanted.goal_constraints
        values = {c.joint_name: c.position for c in goal.joint_constraints}
        joints = np.array([values[name] for name in self.planner.robot.arm_joints])
        try:
            start = self._joints(wanted.start_state)
            path = self.planner.plan(start, joints, self._scene(wanted.start_state))
        except PlanningError as error:
            response.error_code = MoveItErrorCodes(val=-1, message=str(error))
            return GetMotionPlan.Response(motion_plan_response=response)
        response.trajectory.joint_trajectory = JointTrajectory(
            joint_names=list(reversed(self.planner.robot.arm_joints)),
            points=[JointTrajectoryPoint(positions=row[::-1].tolist()) for row in path],
        )
        response.error_code = MoveItErrorCodes(val=1)
        return GetMotionPlan.Response(motion_plan_response=response)

    def _compute_ik(self, request):
        wanted, robot = request.ik_request, self.planner.robot
        assert wanted.avoid_collisions and wanted.ik_link_name == robot.tip_frame
        assert wanted.pose_stamped.header.frame_id == robot.base_frame
        assert wanted.timeout.sec + wanted.timeout.nanosec > 0
        response = GetPositionIK.Response()
        try:
            joints = self.planner.inverse(
                matrix(wanted.pose_stamped.pose),
                self._joints(wanted.robot_state),
                self._scene(wanted.robot_state),
            )
        except (KinematicsError, Mu0Error):
            response.error_code = MoveItErrorCodes(val=-31)
            return response
        response.solution.joint_state = JointState(
            name=["some_other_joint", *robot.arm_joints], position=[0.1, *joints.tolist()]
        )
        response.error_code = MoveItErrorCodes(val=1)
        return response
