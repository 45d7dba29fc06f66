# SPDX-License-Identifier: Apache-2.0
"""The camera side of a node: its own rclpy node, executor and thread, so that images never wait.

Callbacks only store messages; decoding happens when somebody asks for a frame.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image

from mu0_core.observation.camera_checks import checked
from mu0_core.observation.depth_checks import check_depth_scale, check_same_raster
from mu0_core.observation.image_raster import depth_m_from_image, rgb_from_image
from mu0_core.observation.rules import CameraRules, RegistrationWatch
from mu0_core.types import RgbdFrame
from mu0_ros import qos
from mu0_ros.conversions.camera import model_from_info
from mu0_ros.conversions.stamp import ns_from_stamp
from mu0_ros.frame_sync import FrameSync

CAMERA_TOPICS = ("color/image_raw", "depth/image_raw", "color/camera_info")


class CameraStream:
    """Subscribes to ``color/image_raw``, ``depth/image_raw`` and ``color/camera_info``.

    Args:
        owner: node whose namespace and remappings apply.
        slop_s: largest stamp difference of a colour and a depth image.
        rules: what images must keep to, and how depth is corrected.
        on_pair: called in the camera's thread when a new pair is there; must return at once.
    """

    def __init__(
        self,
        owner: Node,
        slop_s: float,
        rules: CameraRules | None = None,
        on_pair: Callable[[], None] = lambda: None,
    ) -> None:
        self._rules, self._on_pair = rules or CameraRules(), on_pair
        self.registration = RegistrationWatch()
        self._lock = threading.Lock()
        self._pair_ns: int | None = None
        self._arrived_s = time.monotonic()
        self._sync = FrameSync(round(slop_s * 1e9))
        self._info: CameraInfo | None = None
        name = f"{owner.get_name()}_camera"
        self._node = Node(
            name,
            namespace=owner.get_namespace(),
            # a launch file's __node:= is meant for the owner; topic remappings hold here too
            cli_args=["--ros-args", "-r", f"__node:={name}"],
        )
        for topic, kind, callback in zip(
            CAMERA_TOPICS,
            (Image, Image, CameraInfo),
            (self._on_colour, self._on_depth, self._on_info),
        ):
            self._node.create_subscription(kind, topic, callback, qos.SENSOR)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, name="camera", daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            pass

    def close(self) -> None:
        """Stop the thread and the node."""
        self._executor.shutdown(timeout_sec=1.0)
        self._thread.join(timeout=2.0)
        self._node.destroy_node()

    def _on_colour(self, message: Image) -> None:
        with self._lock:
            self._sync.add_colour(ns_from_stamp(message.header.stamp), message)
        self._tell()

    def _on_depth(self, message: Image) -> None:
        with self._lock:
            self._sync.add_depth(ns_from_stamp(message.header.stamp), message)
        self._tell()

    def _on_info(self, message: CameraInfo) -> None:
        with self._lock:
            self._info = message

    def _tell(self) -> None:
        with self._lock:
            pair = self._sync.newest()
            if pair is None or pair[0] == self._pair_ns:
                return
            self._pair_ns, self._arrived_s = pair[0], time.monotonic()
        self._on_pair()

    def newest_stamp_ns(self) -> int | None:
        """Return the stamp of the newest pair, or None."""
        return self._pair_ns

    @property
    def arrived_s(self) -> float:
        """Return when the newest pair came (``time.monotonic``), or when the stream began."""
        return self._arrived_s

    def newest_frame(self) -> RgbdFrame | None:
        """Decode and check the newest pair; None while there is none.

        Raises:
            ObservationError: encoding, size, frame, calibration, depth scale or registration are
                not usable.
        """
        with self._lock:
            pair, info = self._sync.newest(), self._info
        if pair is None or info is None:
            return None
        stamp_ns, colour, depth = pair
        rgb, depth_m = rgb_from_image(colour), depth_m_from_image(depth)
        camera = checked(model_from_info(info), self._rules.rectified)
        check_same_raster(
            (colour.header.frame_id, *rgb.shape[1::-1]),
            (depth.header.frame_id, *depth_m.shape[1::-1]),
            camera,
        )
        depth_m = self._rules.corrected(depth_m)
        frame = RgbdFrame(rgb, depth_m, camera, colour.header.frame_id, stamp_ns)
        check_depth_scale(frame, self._rules.plausible_depth_m)
        if self._rules.check_registration:
            self.registration.check(frame)
        return frame
