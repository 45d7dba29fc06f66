# SPDX-License-Identifier: Apache-2.0
"""How much a tool turned over some poses, and about which axes: what a hand-eye fit lives on.

With all rotations about one axis, the camera's position along that axis cannot be seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from mu0_core.errors import DataError


@dataclass(frozen=True, slots=True)
class RotationSpread:
    """Root mean square turn from the mean pose.

    Attributes:
        first_deg, second_deg: about the axis turned about most, and the next at right angles.
        axis: (3,) the first axis, in the tool's frame.
    """

    first_deg: float
    second_deg: float
    axis: tuple[float, float, float]

    def require(self, least_deg: float) -> None:
        """Refuse motions that do not determine the mount.

        Raises:
            DataError: names the axis.
        """
        if self.second_deg < least_deg:
            raise DataError(self.advice(least_deg))

    def advice(self, wanted_deg: float) -> str:
        """Return what to do, in words."""
        if self.first_deg < wanted_deg:
            return (
                f"the tool turned by only {self.first_deg:.1f} deg (rms), wanted {wanted_deg:g} "
                "about two axes: tilt it by 20 deg and more, each way"
            )
        x, y, z = (round(v, 2) + 0.0 for v in self.axis)  # no -0.00
        return (
            f"the tool turned about one axis, ({x:.2f}, {y:.2f}, {z:.2f}) of its frame, and only "
            f"{self.second_deg:.1f} deg (rms) about others, wanted {wanted_deg:g}: the camera's "
            "place along that axis is uncertain; tilt the tool about another one"
        )


def rotation_spread(T_base_tool: np.ndarray) -> RotationSpread:
    """Return how much poses (V, 4, 4) turn."""
    rotations = Rotation.from_matrix(T_base_tool[:, :3, :3])
    turns = (rotations.mean().inv() * rotations).as_rotvec(degrees=True)
    _, size, axes = np.linalg.svd(turns - turns.mean(0), full_matrices=False)
    rms = np.concatenate([size, np.zeros(3)])[:3] / np.sqrt(len(turns))
    axis = axes[0] * (1 if axes[0][np.abs(axes[0]).argmax()] > 0 else -1)
    return RotationSpread(float(rms[0]), float(rms[1]), tuple(float(v) for v in axis))
