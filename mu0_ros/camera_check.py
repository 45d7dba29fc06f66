# SPDX-License-Identifier: Apache-2.0
"""Is the camera that runs now one to forecast from? For ``mu0 doctor --camera``.

Prints one JSON object per line: name, ok, found, repair. Run as a program with ROS arguments:
``python -m mu0_ros.camera_check BASE_FRAME SECONDS --ros-args -r __ns:=/mu0``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator

import rclpy
from rclpy.node import Node
from rclpy.utilities import remove_ros_args

from mu0_core.errors import ObservationError, TransformError
from mu0_core.observation.rules import CameraRules
from mu0_core.types import RgbdFrame
from mu0_ros.camera_stream import CameraStream
from mu0_ros.tf import TransformSource, make_transform_source

_TOPICS = ("color/image_raw", "depth/image_raw", "color/camera_info")
_SLOP_S = 0.02


def check_camera(
    node: Node, base: str, seconds: float, turn: Callable[[float], object]
) -> Iterator[dict[str, object]]:
    """Yield findings: images, calibration and depth, registration, the camera's place.

    Args:
        node: whose namespace and remappings apply.
        base: frame of the arm.
        seconds: to wait for images, and again for the camera's pose.
        turn: serves the node's subscriptions for so many seconds.
    """
    stream = CameraStream(node, _SLOP_S, CameraRules())
    source = make_transform_source(node)
    try:
        frame, error = _first_frame(stream, seconds, turn)
        if frame is None and error is None:
            yield _finding("images", False, _who_sends(node), "see run-on-your-camera.md")
            return
        yield _finding("images", True, "colour and depth come in pairs")
        if frame is None:
            yield _finding("camera and depth", False, str(error), "see run-on-your-camera.md")
            return
        c, depth = frame.intrinsics, frame.depth_m[frame.depth_m == frame.depth_m]
        reach = f"{depth.min():.2f} to {depth.max():.2f} m" if len(depth) else "unknown everywhere"
        yield _finding(
            "camera and depth", True, f"{c.width}x{c.height}, fx {c.fx:.1f}, depth {reach}"
        )
        found = stream.registration.found
        if found is None or not found.decided:
            yield _finding("depth on colour", True, "too few edges in view to tell")
        else:
            x, y = found.shift_px or (0.0, 0.0)
            yield _finding("depth on colour", True, f"edges coincide within ({x:g}, {y:g}) px")
        yield _place(source, base, frame, seconds, turn)
    finally:
        stream.close()


def _first_frame(
    stream: CameraStream, seconds: float, turn: Callable[[float], object]
) -> tuple[RgbdFrame | None, ObservationError | None]:
    """Return the first good frame, or what the last one was refused for."""
    end, error = time.monotonic() + seconds, None
    while time.monotonic() < end:
        turn(0.05)
        try:
            if (frame := stream.newest_frame()) is not None:
                return frame, None
        except ObservationError as refused:
            error = refused
    return None, error


def _who_sends(node: Node) -> str:
    counts = [(node.resolve_topic_name(t), node.count_publishers(t)) for t in _TOPICS]
    return "no pair of colour and depth with camera_info; publishers: " + ", ".join(
        f"{topic} {count}" for topic, count in counts
    )


def _place(
    source: TransformSource,
    base: str,
    frame: RgbdFrame,
    seconds: float,
    turn: Callable[[float], object],
) -> dict[str, object]:
    end = time.monotonic() + seconds
    while True:
        turn(0.05)
        try:
            T = source.lookup(base, frame.frame_id, frame.stamp_ns)
        except TransformError as error:
            if time.monotonic() > end:
                return _finding("place of the camera", False, str(error), "mu0 calibrate hand-eye")
        else:
            x, y, z = T[:3, 3]
            return _finding(
                "place of the camera", True, f"({x:.3f}, {y:.3f}, {z:.3f}) m in {base}"
            )


def _finding(name: str, ok: bool, found: str, repair: str = "") -> dict[str, object]:
    return {"name": name, "ok": ok, "found": found, "repair": repair}


def main() -> None:
    """Print what is found."""
    base, seconds = remove_ros_args(sys.argv)[1:]
    rclpy.init(args=sys.argv)
    node = Node("mu0_camera_check")

    def turn(duration_s: float) -> None:
        rclpy.spin_once(node, timeout_sec=duration_s)

    try:
        for finding in check_camera(node, base, float(seconds), turn):
            sys.stdout.write(json.dumps(finding) + "\n")
            sys.stdout.flush()
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
