# SPDX-License-Identifier: Apache-2.0
"""Mass, centre and inertia of rigid bodies that are one: from URDF, summed, to SDF."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from mu0_core.geometry import se3

_ROWS = ("ixx", "ixy", "ixz", "iyy", "iyz", "izz")
_PLACES = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))


@dataclass(frozen=True, slots=True)
class RigidMass:
    """A rigid body's mass in one frame.

    Attributes:
        mass_kg: may be 0.
        centre_m: (3,) centre of mass.
        inertia: (3, 3) kg m^2 about the centre of mass, axes of the frame.
    """

    mass_kg: float
    centre_m: np.ndarray
    inertia: np.ndarray

    @classmethod
    def of_urdf(cls, link: Element, T_frame_link: np.ndarray) -> RigidMass:
        """Return the mass of a URDF link in another frame; nothing without ``<inertial>``."""
        inertial = link.find("inertial")
        if inertial is None:
            return cls(0.0, np.zeros(3), np.zeros((3, 3)))
        origin, given = inertial.find("origin"), inertial.find("inertia")
        xyz, rpy = (
            np.array([float(x) for x in ("" if origin is None else origin.get(key, "")).split()])
            for key in ("xyz", "rpy")
        )
        pose = se3.from_rpy(xyz if xyz.size else np.zeros(3), rpy if rpy.size else np.zeros(3))
        turn = T_frame_link[:3, :3] @ pose[:3, :3]
        inertia = np.zeros((3, 3))
        for key, (row, column) in zip(_ROWS, _PLACES, strict=True):
            inertia[row, column] = inertia[column, row] = float(given.get(key, 0))
        return cls(
            float(inertial.find("mass").get("value")),
            se3.apply(T_frame_link, pose[:3, 3]),
            turn @ inertia @ turn.T,
        )

    @classmethod
    def sum(cls, parts: Sequence[RigidMass]) -> RigidMass:
        """Return bodies that are rigidly joined as one (parallel axis theorem)."""
        mass = sum(part.mass_kg for part in parts)
        if mass <= 0:
            return cls(0.0, np.zeros(3), np.zeros((3, 3)))
        centre = sum(part.mass_kg * part.centre_m for part in parts) / mass
        inertia = np.zeros((3, 3))
        for part in parts:
            away = part.centre_m - centre
            shift = away @ away * np.eye(3) - np.outer(away, away)
            inertia += part.inertia + part.mass_kg * shift
        return cls(mass, centre, inertia)

    def to_sdf(self) -> Element:
        """Return the ``<inertial>`` of SDF."""
        element = Element("inertial")
        SubElement(element, "pose").text = " ".join(f"{x:.9g}" for x in (*self.centre_m, 0, 0, 0))
        SubElement(element, "mass").text = f"{self.mass_kg:.9g}"
        inertia = SubElement(element, "inertia")
        for key, place in zip(_ROWS, _PLACES, strict=True):
            SubElement(inertia, key).text = f"{self.inertia[place]:.9g}"
        return element
