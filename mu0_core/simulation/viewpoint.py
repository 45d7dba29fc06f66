# SPDX-License-Identifier: Apache-2.0
"""Where a simulated camera stands: MuJoCo's camera axes and the optical frame's.

MuJoCo cameras look along -z with y up (GL); optical frames look along z with y down (REP 103).
"""

from __future__ import annotations

import numpy as np

OPTICAL_FROM_GL = np.diag([1.0, -1.0, -1.0])


def gl_look_at(position_m: np.ndarray, target_m: np.ndarray) -> np.ndarray:
    """Return the rotation (3, 3) of an upright GL camera at a position (3,) facing a target."""
    backward = position_m - target_m
    backward /= np.linalg.norm(backward)
    right = np.cross([0.0, 0.0, 1.0], backward)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(backward, right), backward], axis=1)


def look_at(position_m: np.ndarray, target_m: np.ndarray) -> np.ndarray:
    """Return T_base_camera (4, 4) of an upright optical frame at a position facing a target."""
    pose = np.eye(4)
    pose[:3, :3] = gl_look_at(position_m, target_m) @ OPTICAL_FROM_GL
    pose[:3, 3] = position_m
    return pose
