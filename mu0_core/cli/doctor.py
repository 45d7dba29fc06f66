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
from pathlib import Path

from mu0_core.errors import ConfigError, Mu0Error

_PACKAGES = ("numpy", "scipy", "torch", "transformers", "safetensors", "mujoco", "imageio", "tqdm")
_OPENCV = ("opencv-python-headless", "opencv-python", "opencv-contrib-python")
_SHM_MB = 200
_START_S = 20.0  # for Python, rclpy and discovery, beside the time that is waited for images

EPILOG = """\
Every line is ok, MISS (the demo needs it; what repairs it follows) or - (optional).
Exit code 1 if the demo could not run; with --camera, if no forecast could be made from it; with
--live, if something of the running stack FAILs. WARN is for people to judge.

  mu0 doctor --live

  mu0 doctor --camera
  mu0 doctor --camera -r color/image_raw:=/camera/color/image_rect_raw \\
    -r depth/image_raw:=/camera/aligned_depth_to_color/image_raw \\
    -r color/camera_info:=/camera/color/camera_info
"""


@dataclass(frozen=True, slots=True)
class Check:
    """One line: name, whether it is fine, what was found, what to do, if the demo needs it."""

    name: str
    ok: bool
    found: str
    repair: str = ""
    needed: bool = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--camera", action="store_true",
        help="look at the camera that runs now, instead of at what is installed",
    )  # fmt: skip
    parser.add_argument(
        "--live", action="store_true",
        help="look at the stack that runs now: nodes, rates, ages, QoS, clocks, tf, controllers",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="with --live: one JSON object")
    parser.add_argument("--robot", default="fr3", help="the arm that runs (fr3)")
    parser.add_argument("--namespace", default="/mu0", help="of the topics (/mu0)")
    parser.add_argument(
        "-r", action="append", default=[], metavar="FROM:=TO", dest="remap",
        help="another name of a topic on the wire, as for ros2 run",
    )  # fmt: skip
    parser.add_argument("--seconds", type=float, default=5.0, help="to wait or watch (5)")


def run(args: argparse.Namespace) -> int:
    """Print all checks; return 1 when one that is needed failed.

    Raises:
        ConfigError: ``--seconds`` is out of range, or the ROS environment is missing.
    """
    if args.live:
        from mu0_core.cli.doctor_live import live_findings, tell

        return tell(live_findings(args), args.json)
    if args.camera:
        checks, what = _camera(args), "forecasts can be made from this camera"
    else:
        makers = (_python, _models, _weights, _renderer, _ros)
        checks, what = [check for make in makers for check in make()], "the demo can run"
    for check in checks:
        mark = "ok  " if check.ok else ("MISS" if check.needed else "-   ")
        print(f"{mark} {check.name:<26} {check.found}")
        if not check.ok and check.repair:
            print(f"     {'':<26} -> {check.repair}")
    broken = [c.name for c in checks if c.needed and not c.ok]
    no = what.replace(" can ", " cannot ")
    print(f"\n{what}" if not broken else f"\n{no}: {', '.join(broken)}")
    return 1 if broken else 0


def _python() -> list[Check]:
    version = sys.version.split()[0]
    checks = [Check("Python", sys.version_info >= (3, 11), version, "use Python 3.11 or newer")]
    for name in _PACKAGES:
        try:
            checks.append(Check(name, True, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            checks.append(Check(name, False, "not installed", "make setup"))
    there = importlib.util.find_spec("cv2") is not None
    checks.append(
        Check("OpenCV", there, _version(*_OPENCV) if there else "not installed", "make setup")
    )
    return checks


def _version(*distributions: str) -> str:
    """Return the version of the first that is installed, under whichever name."""
    for name in distributions:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "version unknown"


def _try(name: str, work: Callable[[], str], repair: str) -> Check:
    try:
        return Check(name, True, work())
    except Mu0Error as error:
        return Check(name, False, " ".join(str(error).split("; run:")[0].split()), repair)
    except ImportError as error:
        return Check(name, False, str(error), "make setup")


def _models() -> list[Check]:
    def checked(model_id: str) -> str:
        from mu0_core.inference.registry import model_folder
        from mu0_core.weights.cache import check_manifest

        folder = model_folder(model_id)
        check_manifest(folder)
        size_mb = sum(f.stat().st_size for f in folder.iterdir() if f.is_file()) / 2**20
        return f"sha256 ok, {size_mb:.0f} MB, {folder}"

    return [
        _try(f"model {m}", lambda m=m: checked(m), f"git checkout -- mu0_core/assets/models/{m}")
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
    from mu0_core.cli.processes import NodeProcesses, import_in_child

    def environment() -> str:
        return f"Fast DDS profile {NodeProcesses().env['FASTRTPS_DEFAULT_PROFILES_FILE']}"

    def messages() -> str:
        import_in_child("import rclpy, mu0.msg, mu0.srv, mu0.action")
        return "import rclpy, mu0.msg, mu0.srv, mu0.action"

    checks = [
        _try("ROS environment", environment, "make setup, or source install/setup.bash"),
        _try("rclpy and messages", messages, "make setup, or colcon build"),
    ]
    shm = Path("/dev/shm")
    if shm.is_dir():
        free_mb = shutil.disk_usage(shm).free / 2**20
        found = f"{free_mb:.0f} MB free, {_SHM_MB} needed for images between processes"
        checks.append(
            Check(str(shm), free_mb > _SHM_MB, found, "mount -o remount,size=1G /dev/shm")
        )
    for name, without in (
        ("tf2_ros", "the camera pose comes from the topic camera_pose"),
        ("control_msgs", "the controller is reached by its topic"),
        ("cv_bridge", "images are decoded with numpy"),
        ("moveit", "nothing is planned"),
    ):
        there = importlib.util.find_spec(name) is not None
        found = "installed" if there else f"absent, so {without}"
        checks.append(Check(name, there, found, needed=False))
    return checks


def _camera(args: argparse.Namespace) -> list[Check]:
    """Ask ``mu0_ros.camera_check`` in a process with the ROS environment."""
    from mu0_core.cli.live import ask_process, ros_arguments
    from mu0_core.robot.description import load_robot

    if not 0.5 <= args.seconds <= 60.0:
        raise ConfigError(f"--seconds {args.seconds} is outside 0.5 to 60")
    base = load_robot(args.robot).base_frame
    words = [base, str(args.seconds), *ros_arguments(args.namespace, args.remap)]
    told, trouble = ask_process("mu0_ros.camera_check", words, 2 * args.seconds + _START_S)
    checks = [Check(**line) for line in told]
    if trouble is not None:
        checks.append(Check("camera check", False, *trouble))
    return checks
