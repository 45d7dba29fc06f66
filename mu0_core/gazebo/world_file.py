# SPDX-License-Identifier: Apache-2.0
"""What the launch file must know of a Gazebo world: where its camera stands.

A camera of SDF looks along its x axis with z up; images are in the optical frame (REP 103), which
looks along z with y down. The world frame is the arm's base frame.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from scipy.spatial.transform import Rotation

from mu0_core.errors import ConfigError
from mu0_core.geometry import se3

CAMERA_MODEL = "scene_camera"
OPTICAL_FRAME = "scene_camera_optical_frame"
_OPTICAL_IN_LINK = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


def pose_of_optical(T_base_camera: np.ndarray) -> np.ndarray:
    """Return the SDF pose (6,) x y z roll pitch yaw of a camera from its optical frame (4, 4)."""
    rotation = T_base_camera[:3, :3] @ _OPTICAL_IN_LINK.T
    return np.concatenate([T_base_camera[:3, 3], Rotation.from_matrix(rotation).as_euler("xyz")])


def camera_pose(world: Path) -> np.ndarray:
    """Return T_base_camera (4, 4) of the optical frame of the camera in a world.

    Raises:
        ConfigError: the file is no SDF, or holds no model `CAMERA_MODEL` with a pose of its own.
    """
    try:
        root = ElementTree.parse(world).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise ConfigError(f"cannot read world {world}: {error}") from error
    text = root.findtext(f"world/model[@name='{CAMERA_MODEL}']/pose")
    numbers = [float(word) for word in (text or "").split()]
    if len(numbers) != 6:
        raise ConfigError(
            f"{world}: no model {CAMERA_MODEL!r} with a pose of 6 numbers; its camera is the one "
            "that the nodes look through"
        )
    pose = se3.from_rpy(np.array(numbers[:3]), np.array(numbers[3:]))
    pose[:3, :3] = pose[:3, :3] @ _OPTICAL_IN_LINK
    return pose
