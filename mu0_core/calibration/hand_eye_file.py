# SPDX-License-Identifier: Apache-2.0
"""A mount as files: the whole record, and node parameters for a camera that never moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from mu0_core.atomic_file import replace_file
from mu0_core.calibration.hand_eye_records import HandEye
from mu0_core.errors import ConfigError, ShapeError
from mu0_core.geometry import se3

RECORD, PARAMETERS = "hand_eye.yaml", "camera_pose.yaml"


def write_mount(
    out: Path,
    T_parent_camera: np.ndarray,
    parent_frame: str,
    camera_frame: str,
    facts: dict[str, Any],
    driver: tuple[str, np.ndarray] | None = None,
    still: bool = False,
) -> list[Path]:
    """Write the record, and node parameters where the camera does not move; return the paths.

    Args:
        out: folder.
        T_parent_camera: (4, 4) of the optical frame (REP 103).
        parent_frame: of the robot: its base, or its tool.
        camera_frame: header.frame_id of the images.
        facts: what else to write into the record.
        driver: the frame that the camera's driver puts the optical frame under, and
            T_driver_camera (4, 4): a frame has one parent, so the robot gets this one (REP 105).
        still: the parent is the base.
    """
    child, T = camera_frame, T_parent_camera
    if driver is not None:
        child, T = driver[0], T_parent_camera @ se3.inverse(driver[1])
    record = {
        "parent_frame": parent_frame,
        "camera_frame": camera_frame,
        **_pose_facts(T_parent_camera),
        "static_transform": {
            "parent_frame": parent_frame,
            "child_frame": child,
            **_pose_facts(T),
            "command": publisher_command(T, parent_frame, child),
        },
        **facts,
    }
    paths = [_dump(out / RECORD, record, "Written by mu0 calibrate hand-eye. Metres, quat_xyzw.")]
    if still:
        paths.append(
            _dump(
                out / PARAMETERS,
                parameters(
                    transform_source="static",
                    camera_frame=camera_frame,
                    camera_pose=_numbers(T_parent_camera),
                ),
                f"Pose of {camera_frame} in {parent_frame}: x y z [m], qx qy qz qw. Written by "
                "mu0 calibrate hand-eye.",
            )
        )
    return paths


def parameters(**values: Any) -> dict[str, Any]:
    """Return node parameters in the form of a parameter file, for every node that has them."""
    return {"/**": {"ros__parameters": values}}


def write_parameters(path: Path, comment: str, **values: Any) -> Path:
    """Write a parameter file."""
    return _dump(path, parameters(**values), comment)


def hand_eye_facts(result: HandEye) -> dict[str, Any]:
    """Return what the record says beside the pose."""
    board = "board_in_base" if result.mode == "eye-in-hand" else "board_in_tool"
    return {
        "mode": result.mode,
        board: _pose_facts(result.T_other_board),
        "residual_px": round(result.rms("px"), 4),
        "residual_mm": round(result.rms("mm"), 4),
        "residual_deg": round(result.rms("deg"), 5),
        "standard_error_mm": round(result.spread_mm, 4),
        "standard_error_deg": round(result.spread_deg, 5),
        "views_used": [v.name for v in result.used],
        "views_left_out": [v.name for v in result.views if not v.used],
        "warnings": list(result.warnings),
    }


def publisher_command(T: np.ndarray, parent: str, child: str) -> str:
    """Return the tf2_ros command that tells a transform (4, 4)."""
    names = ("x", "y", "z", "qx", "qy", "qz", "qw")
    pose = " ".join(f"--{name} {value:.6f}" for name, value in zip(names, _numbers(T)))
    return (
        f"ros2 run tf2_ros static_transform_publisher {pose} --frame-id {parent} "
        f"--child-frame-id {child}"
    )


def parse_driver(text: str) -> tuple[str, np.ndarray]:
    """Return frame and T_frame_camera (4, 4) of ``FRAME:x,y,z,qx,qy,qz,qw``.

    Raises:
        ConfigError: another form, or no rigid transform.
    """
    frame, _, numbers = text.partition(":")
    try:
        values = np.array([float(n) for n in numbers.split(",")])
        if not frame or values.shape != (7,):
            raise ValueError("expected FRAME:x,y,z,qx,qy,qz,qw")
        return frame, se3.from_quat_xyzw(values[:3], values[3:])
    except (ValueError, ShapeError) as error:
        raise ConfigError(f"driver transform {text!r}: {error}") from None


def _pose_facts(T: np.ndarray) -> dict[str, list[float]]:
    numbers = _numbers(T)
    return {"xyz": numbers[:3], "quat_xyzw": numbers[3:]}


def _numbers(T: np.ndarray) -> list[float]:
    """Return x y z qx qy qz qw; 1e-7 is finer than any mount."""
    return [round(float(x), 7) for x in np.concatenate(se3.to_quat_xyzw(T))]


def _dump(path: Path, values: dict[str, Any], comment: str) -> Path:
    text = f"# {comment}\n" + yaml.safe_dump(
        values, sort_keys=False, default_flow_style=None, width=99
    )
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return path
