# SPDX-License-Identifier: Apache-2.0
"""``mu0 doctor``: what is installed, what is missing, and the command that repairs it."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass

from mu0_core.errors import Mu0Error

_PACKAGES = ("numpy", "scipy", "torch", "transformers", "safetensors", "opencv-python-headless", "mujoco")


@dataclass(frozen=True, slots=True)
class Check:
    """One line: a name, whether it is fine, what was found, what to do, and if the demo needs it."""

    name: str
    ok: bool
    found: str
    repair: str = ""
    needed: bool = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """There are none."""


def run(args: argparse.Namespace) -> int:
    """Print all checks; return 1 when the demo could not run."""
    checks = [check for make in (_python, _models, _weights, _renderer, _ros) for check in make()]
    for check in checks:
        mark = "ok  " if check.ok else ("MISS" if check.needed else "-   ")
        print(f"{mark} {check.name:<26} {check.found}")
        if not check.ok and check.repair:
            print(f"     {'':<26} -> {check.repair}")
    broken = [c.name for c in checks if c.needed and not c.ok]
    print("\nthe demo can run" if not broken else f"\nthe demo cannot run: {', '.join(broken)}")
    return 1 if broken else 0


def _python() -> list[Check]:
    version = sys.version.split()[0]
    checks = [Check("Python", sys.version_info >= (3, 11), version, "use Python 3.11 or newer")]
    for name in _PACKAGES:
        try:
            checks.append(Check(name, True, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            checks.append(Check(name, False, "not installed", "make setup"))
    return checks


def _try(name: str, work: Callable[[], str], repair: str) -> Check:
    try:
        return Check(name, True, work())
    except Mu0Error as error:
        return Check(name, False, str(error).split("; run:")[0], repair)


def _models() -> list[Check]:
    from mu0_core.inference.registry import model_folder
    from mu0_core.weights.cache import check_manifest

    def checked(model_id: str) -> str:
        folder = model_folder(model_id)
        check_manifest(folder)
        return f"sha256 ok, {folder}"

    return [
        _try(f"model {m}", lambda m=m: checked(m), "restore the file from the repository")
        for m in ("mu0-embedded", "mu0-embedded-fr3")
    ]


def _weights() -> list[Check]:
    from mu0_core.weights.cache import converted_model, names

    return [
        _try(f"backbone {n}", lambda n=n: str(converted_model(n)), "python -m mu0_core.weights")
        for n in names()
    ]


def _renderer() -> list[Check]:
    def draw() -> str:
        from mu0_core.simulation.world import TableWorld

        world = TableWorld(width=64, height=48)
        world.render()
        world.close()
        return "a test image was drawn"

    if importlib.util.find_spec("mujoco") is None:
        return [Check("off-screen rendering", False, "mujoco is not installed", "make setup")]
    return [_try("off-screen rendering", draw, "apt-get install libegl1 libgl1")]


def _ros() -> list[Check]:
    from mu0_core.cli.processes import NodeProcesses

    def environment() -> str:
        env = NodeProcesses().env
        return f"profile {env['FASTRTPS_DEFAULT_PROFILES_FILE']}"

    checks = [_try("rclpy and messages", environment, "make setup")]
    free_mb = shutil.disk_usage("/dev/shm").free / 2**20
    checks.append(
        Check("/dev/shm", free_mb > 200, f"{free_mb:.0f} MB free", "Fast DDS needs about 33 MB a process")
    )
    for name, use in (
        ("tf2_ros", "camera pose from TF (else topic camera_pose)"),
        ("control_msgs", "FollowJointTrajectory (else the controller's topic)"),
        ("cv_bridge", "not needed; images are decoded with numpy"),
        ("moveit", "planning, not used yet"),
    ):
        there = importlib.util.find_spec(name) is not None
        checks.append(Check(name, there, "installed" if there else f"absent: {use}", needed=False))
    return checks
