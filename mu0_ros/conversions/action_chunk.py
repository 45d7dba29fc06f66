# SPDX-License-Identifier: Apache-2.0
"""Chunks on the wire: joint positions only; another action space is refused by number."""

from __future__ import annotations

import numpy as np
from mu0.msg import ActionChunk as ActionChunkMsg
from unique_identifier_msgs.msg import UUID

from mu0_core.errors import RequestError
from mu0_core.robot.description import Gripper
from mu0_core.types import ActionChunk
from mu0_ros.conversions.query_points import flat
from mu0_ros.conversions.stamp import (
    duration_from_s,
    ns_from_stamp,
    s_from_duration,
    stamp_from_ns,
)


def msg_from_chunk(chunk: ActionChunk, gripper: Gripper) -> ActionChunkMsg:
    """Return the message of a chunk; finger openings become positions of the gripper's joint."""
    message = ActionChunkMsg(
        sequence=chunk.sequence,
        model_id=chunk.model_id,
        observation_stamp=stamp_from_ns(chunk.observation_ns),
        trace_sequence=chunk.trace_sequence,
        action_space=ActionChunkMsg.SPACE_JOINT_POSITION,
        joint_names=list(chunk.joint_names),
        step_period=duration_from_s(chunk.step_period_s),
        num_steps=chunk.positions_rad.shape[0],
        num_dims=chunk.positions_rad.shape[1],
        execute_steps=chunk.execute_steps,
    )
    message.header.stamp = stamp_from_ns(chunk.start_ns)
    if chunk.task_id:
        message.task_id = UUID(uuid=np.frombuffer(chunk.task_id, np.uint8))
    message.values = flat("d", chunk.positions_rad, np.float64)
    if chunk.gripper_m is not None:
        message.gripper_joint_names = [gripper.joint]
        message.gripper_positions = flat(
            "d", chunk.gripper_m / gripper.opening_per_joint_m, np.float64
        )
    return message


def chunk_from_msg(message: ActionChunkMsg, gripper: Gripper) -> ActionChunk:
    """Return the chunk of a message. Values are not judged here; the gate does that.

    Raises:
        RequestError: another action space, or lengths disagree.
    """
    if message.action_space != ActionChunkMsg.SPACE_JOINT_POSITION:
        raise RequestError(
            f"action space {message.action_space} is not supported; "
            f"expected {ActionChunkMsg.SPACE_JOINT_POSITION} (joint positions)"
        )
    steps, dims = message.num_steps, message.num_dims
    if len(message.values) != steps * dims:
        raise RequestError(f"chunk has {len(message.values)} values, expected {steps} x {dims}")
    opening = None
    if len(message.gripper_joint_names) or len(message.gripper_positions):
        if list(message.gripper_joint_names) != [gripper.joint]:
            raise RequestError(
                f"chunk moves gripper joints {list(message.gripper_joint_names)[:8]}, "
                f"expected [{gripper.joint!r}]"
            )
        if len(message.gripper_positions) != steps:
            raise RequestError(
                f"chunk has {len(message.gripper_positions)} gripper positions, expected {steps}"
            )
        opening = np.array(message.gripper_positions) * gripper.opening_per_joint_m
    return ActionChunk(
        joint_names=tuple(message.joint_names),
        positions_rad=np.array(message.values, dtype=np.float64).reshape(steps, dims),
        gripper_m=opening,
        step_period_s=s_from_duration(message.step_period),
        observation_ns=ns_from_stamp(message.observation_stamp),
        start_ns=ns_from_stamp(message.header.stamp),
        sequence=message.sequence,
        trace_sequence=message.trace_sequence,
        execute_steps=message.execute_steps,
        model_id=message.model_id,
        task_id=bytes(bytearray(message.task_id.uuid)),
    )
