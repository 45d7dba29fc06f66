# SPDX-License-Identifier: Apache-2.0
"""The embedded action expert as a service: forecast and robot state in, joint chunk out.

The policy speaks in tip positions of the base frame; inverse kinematics of the one arm at hand
makes joint positions of them, so the learned part carries over to another arm of similar reach.
The tip keeps the orientation that it has in the home pose.
"""

from __future__ import annotations

import numpy as np
import torch

from mu0_core.action_expert import motion_features as features
from mu0_core.action_expert.trace_policy import TracePolicy
from mu0_core.errors import ConfigError, KinematicsError, NonFiniteOutputError
from mu0_core.geometry import se3
from mu0_core.inference.language import InstructionEncoder
from mu0_core.robot.description import RobotDescription
from mu0_core.robot.kinematics import Kinematics
from mu0_core.types import ActionChunk, Proprioception, TraceForecast

_FEWEST_STEPS = 4
_FINGER_STEPS = 5  # until fingers that open or close have done so
_AT_REST_M = 0.004
_WORKSPACE_MARGIN_M = 0.01  # proposals stay this far inside, so that smoothing does not leave it


class TraceActionExpert:
    """Proposes chunks with a `TracePolicy`. Deterministic for a seed.

    Args:
        policy: in evaluation mode.
        language: encoder of the frozen backbone that the policy was trained with.
        robot: the arm to command.
        model_id: name under which chunks are signed.
        allow_blind: accept a policy that was trained without traces, to compare with.
    """

    def __init__(
        self,
        policy: TracePolicy,
        language: InstructionEncoder,
        robot: RobotDescription,
        model_id: str,
        *,
        allow_blind: bool = False,
    ) -> None:
        if not policy.config.use_trace and not allow_blind:
            raise ConfigError(f"model {model_id} was trained without traces (an ablation)")
        self.policy, self.model_id, self.robot = policy, model_id, robot
        self._language = language
        self._kinematics = Kinematics(robot)
        self._rotation = self._kinematics.tip(robot.home_rad)[:3, :3]

    @torch.no_grad()
    def propose(
        self,
        forecast: TraceForecast,
        proprioception: Proprioception,
        T_base_camera: np.ndarray,
        *,
        start_ns: int,
        sequence: int = 0,
        seed: int = 0,
    ) -> ActionChunk:
        """Return a chunk of joint positions that starts at ``start_ns``.

        A chunk that leads out of reach is cut off before the first step that is. Of the rest, only
        what comes before its final rest is to be executed.

        Raises:
            KinematicsError: so few steps can be reached that nothing is gained by moving.
            NonFiniteOutputError: the policy produced NaN or infinity.
        """
        config = self.policy.config
        tip = self._kinematics.tip(proprioception.positions_rad)[:3, 3]
        offsets = self._actions(forecast, proprioception.gripper_m, tip, T_base_camera, seed)
        if not np.all(np.isfinite(offsets)):
            raise NonFiniteOutputError(f"model {self.model_id} produced non-finite actions")
        pose = np.eye(4)
        pose[:3, :3] = self._rotation
        joints, seed_rad = [], proprioception.positions_rad
        for offset in offsets[:, :3]:
            pose[:3, 3] = np.clip(
                tip + offset,
                self.robot.workspace_min_m + _WORKSPACE_MARGIN_M,
                self.robot.workspace_max_m - _WORKSPACE_MARGIN_M,
            )
            try:
                seed_rad = self._kinematics.inverse(pose, seed_rad)
            except KinematicsError:
                if len(joints) < _FEWEST_STEPS:
                    raise
                break
            joints.append(seed_rad)
        opening = offsets[: len(joints), 3]
        gripper = self.robot.gripper
        half_open = (gripper.open_m + gripper.closed_m) / 2
        return ActionChunk(
            joint_names=self.robot.arm_joints,
            positions_rad=np.array(joints),
            gripper_m=np.where(opening > half_open, gripper.open_m, gripper.closed_m),
            step_period_s=config.step_period_s,
            observation_ns=min(forecast.stamp_ns, proprioception.stamp_ns),
            start_ns=start_ns,
            sequence=sequence,
            trace_sequence=forecast.sequence,
            execute_steps=min(
                config.execute_steps, steps_to_rest(offsets[: len(joints)], half_open)
            ),
            model_id=self.model_id,
        )

    def _actions(
        self,
        forecast: TraceForecast,
        opening_m: float,
        tip_m: np.ndarray,
        T_base_camera: np.ndarray,
        seed: int,
    ) -> np.ndarray:
        """Return tip offsets and openings (T, 4) in metres."""
        config = self.policy.config
        state = features.state_features(
            _tensor(tip_m),
            torch.tensor([opening_m], dtype=torch.float32),
            self.robot.gripper.open_m,
        )
        motion = motion_valid = None
        if config.use_trace:
            kept = slice(0, config.max_points)
            control = se3.apply(T_base_camera, forecast.control_points[kept].astype(float)) - tip_m
            points, splines = _tensor(control[:, 0]), _tensor(control)
            ends = _tensor(forecast.valid_until[kept])
            motion = features.motion_features(points, splines, ends)
            motion_valid = torch.ones(motion.shape[:2], dtype=torch.bool)
            carried = features.carried_motion(points, splines, motion_valid)
            state = torch.cat([state, carried], dim=-1)
        z = self._language(forecast.instruction)
        cache, valid = self.policy.prefix(
            z,
            torch.ones(z.shape[:2], dtype=torch.bool),
            state,
            motion,
            motion_valid,
        )
        shape = (1, config.chunk_size, config.action_dim)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        return self.policy.sample(cache, valid, config.noise_scale * noise)[0].double().numpy()


def steps_to_rest(actions: np.ndarray, half_open_m: float) -> int:
    """Return how many of the steps (T, 4) pass before everything stays where it ends.

    The fingers are given some steps to get there.
    """
    apart = np.linalg.norm(actions[:, :3] - actions[-1, :3], axis=1) > _AT_REST_M
    is_open = actions[:, 3] > half_open_m
    moving, turned = np.flatnonzero(apart), np.flatnonzero(is_open[1:] != is_open[:-1])
    tip_steps = moving[-1] + 2 if len(moving) else 1
    finger_steps = turned[-1] + 1 + _FINGER_STEPS if len(turned) else 1
    return int(min(max(tip_steps, finger_steps, _FEWEST_STEPS), len(actions)))


def _tensor(array: np.ndarray) -> torch.Tensor:
    """Return a float32 batch of one."""
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))[None]
