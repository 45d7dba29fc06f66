# SPDX-License-Identifier: Apache-2.0
"""Transforms: header.frame_id a, child_frame_id b is ``T_a_b``."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import TransformStamped

from mu0_core.geometry import se3
from mu0_ros.conversions.stamp import stamp_from_ns


def matrix_from_transform(message: TransformStamped) -> np.ndarray:
    """Return T (4, 4) of the message.

    Raises:
        ShapeError: the quaternion is not of unit length or a number is not finite.
    """
    t, q = message.transform.translation, message.transform.rotation
    return se3.from_quat_xyzw(np.array([t.x, t.y, t.z]), np.array([q.x, q.y, q.z, q.w]))


def transform_from_matrix(T_a_b: np.ndarray, a: str, b: str, stamp_ns: int) -> TransformStamped:
    """Return the message of T (4, 4)."""
    translation, quat_xyzw = se3.to_quat_xyzw(T_a_b)
    message = TransformStamped(child_frame_id=b)
    message.header.frame_id = a
    message.header.stamp = stamp_from_ns(stamp_ns)
    v, r = message.transform.translation, message.transform.rotation
    v.x, v.y, v.z = (float(x) for x in translation)
    r.x, r.y, r.z, r.w = (float(x) for x in quat_xyzw)
    return message
