# SPDX-License-Identifier: Apache-2.0
"""Points of a camera, from sensor_msgs/PointCloud2 as any driver lays it out."""

from __future__ import annotations

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField

from mu0_core.errors import ObservationError

_MOST = 4_000_000


def points_from_cloud(message: PointCloud2) -> np.ndarray:
    """Return the finite points (K, 3) in the frame of the message.

    Raises:
        ObservationError: x, y, z are not there as float32, or the sizes disagree.
    """
    offsets = {f.name: f.offset for f in message.fields if f.datatype == PointField.FLOAT32}
    if missing := [name for name in ("x", "y", "z") if name not in offsets]:
        raise ObservationError(f"point cloud has no float32 fields {missing}")
    count, step = message.width * message.height, message.point_step
    rows = message.height
    fits = step >= 12 and all(offsets[name] + 4 <= step for name in ("x", "y", "z"))
    if not fits or count > _MOST or message.row_step != step * message.width:
        raise ObservationError(
            f"point cloud of {message.width} x {message.height} points of {step} bytes in rows of "
            f"{message.row_step} makes no sense"
        )
    if len(message.data) != rows * message.row_step or message.is_bigendian:
        raise ObservationError(
            f"point cloud has {len(message.data)} bytes, expected {rows * message.row_step}, "
            "little-endian"
        )
    kind = np.dtype(
        {
            "names": ["x", "y", "z"],
            "formats": ["<f4"] * 3,
            "offsets": [offsets[name] for name in ("x", "y", "z")],
            "itemsize": step,
        }
    )
    data = np.frombuffer(message.data, kind, count)
    points = np.stack([data[name] for name in ("x", "y", "z")], axis=1).astype(float)
    return points[np.all(np.isfinite(points), axis=1)]
