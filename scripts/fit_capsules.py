#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Print the part `collision` of a robot description: capsules that hold the URDF's shapes.

    python scripts/fit_capsules.py fr3

A link gets the capsule of least volume round its collision shapes, or up to three where that
wastes much less room. Which pairs are never checked is found by random postures within the joint
limits: neighbours, pairs that touch in most postures (their shapes overlap by design), and pairs
that never came near each other.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
from scipy.optimize import minimize
from scipy.spatial import ConvexHull

from mu0_core.control.collision_check import CollisionChecker
from mu0_core.robot.capsule_model import CapsuleModel
from mu0_core.robot.capsules import point_distance
from mu0_core.robot.description import RobotDescription, load_robot
from mu0_core.robot.kinematics import Kinematics
from mu0_core.robot.link_surface import link_surfaces

MOST_CAPSULES = 3
WORTH_SPLITTING = 0.75  # of the volume
OVERLAP_M = 0.004  # of two parts of a link, so that nothing is lost between them
SLACK_M = 0.0005  # the surface is a set of points
POSTURES = 60_000
ALWAYS, NEVER_M = 0.5, 0.08


def fit(points: np.ndarray, *, quick: bool = False) -> np.ndarray:
    """Return the capsule (7,) of least volume round points (K, 3): two ends and a radius."""
    hull = points[ConvexHull(points).vertices]
    hull = hull[:: max(1, len(hull) // 300)] if quick else hull

    def radius(ends: np.ndarray) -> float:
        return float(point_distance(ends.reshape(2, 3), hull).max()) + SLACK_M

    def litres(ends: np.ndarray) -> float:
        return volume(np.append(ends, radius(ends))) * 1e3

    centre, (_, _, axes) = hull.mean(axis=0), np.linalg.svd(hull - hull.mean(axis=0))
    axes = axes[:1] if quick else (*axes, *np.eye(3))
    starts = []
    for axis in axes:
        along = (hull - centre) @ axis
        starts += [
            np.ravel([centre + axis * share * x for x in (along.min(), along.max())])
            for share in ((0.5,) if quick else (0.2, 0.7))
        ]
    options = {"maxiter": 150 if quick else 1500, "xatol": 1e-5, "fatol": 1e-5}
    found = [minimize(litres, s, method="Nelder-Mead", options=options) for s in starts]
    best = min(found, key=lambda result: result.fun).x
    return np.append(best, radius(best))


def volume(capsule: np.ndarray) -> float:
    """Return the volume of a capsule (7,)."""
    length, r = np.linalg.norm(capsule[3:6] - capsule[:3]), capsule[6]
    return float(np.pi * r**2 * (length + 4 * r / 3))


def fit_link(points: np.ndarray) -> list[np.ndarray]:
    """Return one capsule or some that together hold all points."""
    parts = [(points, fit(points, quick=True))]
    while len(parts) < MOST_CAPSULES:
        splits = [(k, *split) for k, (p, _) in enumerate(parts) for split in _splits(p)]
        saved = [volume(parts[k][1]) - volume(a[1]) - volume(b[1]) for k, a, b in splits]
        if not splits:
            break
        best = int(np.argmax(saved))
        total = sum(volume(c) for _, c in parts)
        if total - saved[best] > WORTH_SPLITTING * total:
            break
        k, *two = splits[best]
        parts[k : k + 1] = two
    return [fit(part) for part, _ in parts]


def _splits(points: np.ndarray) -> list[tuple[tuple, tuple]]:
    """Return ways to cut points in two along an axis, each part with its capsule."""
    ways = []
    for axis in range(3):
        low, high = points[:, axis].min(), points[:, axis].max()
        for share in (0.25, 0.4, 0.5, 0.6, 0.75):
            at = low + share * (high - low)
            halves = (
                points[points[:, axis] <= at + OVERLAP_M / 2],
                points[points[:, axis] >= at - OVERLAP_M / 2],
            )
            if all(np.ptp(half, axis=0).min() > 1e-3 for half in halves):
                ways.append(tuple((half, fit(half, quick=True)) for half in halves))
    return ways


def never_checked(robot: RobotDescription, model: CapsuleModel) -> list[tuple[str, str, str]]:
    """Return pairs of links that need no check, with the reason."""
    apart = np.concatenate(list(_distances(robot, model)))
    moving = [joint.name in robot.arm_joints for joint in robot.chain]
    links = (robot.base_frame, *(joint.child for joint in robot.chain))
    body = dict(zip(links, np.cumsum([0, *moving])))
    columns: dict[tuple[str, str], list[int]] = {}
    for column, (i, j) in enumerate(model.pairs()):
        columns.setdefault((model.links[i], model.links[j]), []).append(column)
    found = []
    for (a, b), which in columns.items():
        nearest = apart[:, which].min(axis=1)
        touching = float(np.mean(nearest < model.margin_m))
        if abs(int(body[a]) - int(body[b])) <= 1:
            found.append((a, b, "neighbours"))
        elif touching > ALWAYS:
            found.append((a, b, f"touch in {touching:.0%} of postures"))
        elif nearest.min() > NEVER_M:
            found.append((a, b, f"never nearer than {nearest.min():.2f} m"))
        else:
            print(f"# {a} {b}: checked; touch in {touching:.2%} of postures")
    return found


def _distances(robot: RobotDescription, model: CapsuleModel) -> Iterator[np.ndarray]:
    """Yield distances (K, P) of the pairs of capsules in random postures."""
    rng, limits = np.random.default_rng(0), robot.limits
    checker = CollisionChecker(Kinematics(robot), model)
    for _ in range(POSTURES // 2000):
        q = rng.uniform(limits.lower_rad, limits.upper_rad, (2000, len(limits.lower_rad)))
        yield checker.distances(q)[:, : len(model.pairs())]


def main() -> None:
    """Fit, sample, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("robot", help="name in config/robots or path of a robot description")
    parser.add_argument("--tool", nargs="*", default=(), help="links that touch things")
    robot = load_robot(parser.parse_args().robot)
    capsules = {link: fit_link(points) for link, points in link_surfaces(robot).items()}
    rows = [(link, row) for link, fitted in capsules.items() for row in fitted]
    numbers = np.array([row for _, row in rows])
    model = CapsuleModel(
        tuple(link for link, _ in rows), numbers[:, :6].reshape(-1, 2, 3), numbers[:, 6]
    )
    lines = ["collision:", f"  margin_m: {model.margin_m}", "  tool: []", "  capsules:"]
    for link, fitted in capsules.items():
        lines.append(f"    {link}:")
        for row in fitted:
            ends = ", ".join(f"{x:.4f}" for x in row[:6])
            lines.append(f"      - [{ends}, {np.ceil(row[6] * 1e4) / 1e4:.4f}]")
    lines.append("  never_checked:")
    for a, b, why in never_checked(robot, model):
        lines.append(f"    - [{a}, {b}]  # {why}")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
