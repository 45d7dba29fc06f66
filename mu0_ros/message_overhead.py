# SPDX-License-Identifier: Apache-2.0
"""From an image message to its `TraceArray`, without the model; one JSON object a line.

``mu0 benchmark --messages`` runs this beside the process of the trace forecaster, whose backend
``no_model`` has the real query point selector and a forecast that costs nothing. This process is
the camera (640x480 colour and 32FC1 depth, 10 Hz, the simulated table), the task server and the
gate: a task runs, each forecast is answered at once by a chunk that was judged, so the node
forecasts again on the next image that is `settle_s` younger. Nothing moves, so nobody needs joint
states or the pose of the camera.

Measured on the steady clock of this process, for each forecast: from just before the colour image
is published until the `TraceArray` with its stamp is here as a Python object, minus the
``inference_time`` that the message tells. So it holds, of colour and of depth: turning the message
into DDS bytes, the way through shared memory, and back; pairing and checking them, choosing the
query points, making the `TraceArray`, and its way back. Not in it: rendering, filling the messages
with pixels, and the rest of the arm (``settle_s``) that an image is taken after. An image that is
lost on the way is not measured; the next one is.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import numpy as np
from mu0.msg import ErrorCode, SafetyStatus, TaskStatus, TraceArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image

from mu0_core.types import RgbdFrame
from mu0_ros import qos
from mu0_ros.client import ClientError
from mu0_ros.client_process import run_client
from mu0_ros.conversions.camera import info_from_intrinsics
from mu0_ros.conversions.error_code import code_name
from mu0_ros.conversions.image import image_from_depth_m, image_from_rgb
from mu0_ros.conversions.stamp import ns_from_stamp, s_from_duration

_PERIOD_S = 0.1
_WARM_UP = 3
_START_TIMEOUT_S, _ANSWER_TIMEOUT_S = 60.0, 20.0
_SCENE_SEED, _INSTRUCTION = 50_000, "put the red cube in the bowl"  # as `mu0 benchmark`


class OverheadClient(Node):
    """Camera, task server and gate of a forecaster, with a stop-watch.

    Args:
        frame: what the camera sees; its messages are made here, only stamps change later.

    Attributes:
        overheads_s: seconds, one for each `TraceArray` that came.
    """

    def __init__(self, frame: RgbdFrame, namespace: str = "/mu0") -> None:
        super().__init__("message_overhead", namespace=namespace)
        self.overheads_s: list[float] = []
        self._published_s: dict[int, float] = {}
        self._fault = "no fault was told"
        self._images = image_from_rgb(frame.rgb), image_from_depth_m(frame.depth_m)
        self._intrinsics = info_from_intrinsics(frame.intrinsics)
        for message in (*self._images, self._intrinsics):
            message.header.frame_id = frame.frame_id
        self._colour = self.create_publisher(Image, "color/image_raw", qos.SENSOR)
        self._depth = self.create_publisher(Image, "depth/image_raw", qos.SENSOR)
        self._info = self.create_publisher(CameraInfo, "color/camera_info", qos.SENSOR)
        self._task = self.create_publisher(TaskStatus, "task_status", qos.LATCHED)
        self._gate = self.create_publisher(SafetyStatus, "safety_status", qos.LATCHED)
        self.create_subscription(TraceArray, "traces", self._on_traces, qos.NEWEST)
        self.create_subscription(ErrorCode, "faults", self._on_fault, qos.COMMAND)
        self._turner = SingleThreadedExecutor()
        self._turner.add_node(self)

    def measure(self, runs: int) -> list[float]:
        """Return the overhead of ``runs`` forecasts in seconds, after a few that are left out.

        Raises:
            ClientError: the forecaster does not start or does not answer; names its last fault.
        """
        self._wait_for_forecaster()
        wanted, due_s = runs + _WARM_UP, time.monotonic()
        progress_s, seen = due_s, 0
        while len(self.overheads_s) < wanted:
            if seen == 0:
                self._start_task()
            self._publish_images()
            due_s = max(due_s + _PERIOD_S, time.monotonic())
            self._turn_until(due_s)
            if len(self.overheads_s) > seen:
                progress_s, seen = time.monotonic(), len(self.overheads_s)
            elif time.monotonic() - progress_s > _ANSWER_TIMEOUT_S:
                raise ClientError(f"no traces for {_ANSWER_TIMEOUT_S} s; {self._fault}")
        return self.overheads_s[_WARM_UP:wanted]

    def _wait_for_forecaster(self) -> None:
        """Wait until all topics of the forecaster have found ours."""
        end_s = time.monotonic() + _START_TIMEOUT_S
        ours = (self._colour, self._depth, self._info, self._task, self._gate)
        while not (
            all(publisher.get_subscription_count() for publisher in ours)
            and self.count_publishers("traces")
        ):
            if time.monotonic() > end_s:
                raise ClientError(f"no trace forecaster after {_START_TIMEOUT_S} s")
            self._turner.spin_once(timeout_sec=0.1)

    def _turn_until(self, end_s: float) -> None:
        while (left_s := end_s - time.monotonic()) > 0:
            self._turner.spin_once(timeout_sec=left_s)

    def _start_task(self) -> None:
        """Tell of the task and the gate; again until the first forecast, in whatever order."""
        status = TaskStatus(state=TaskStatus.STATE_EXECUTING, instruction=_INSTRUCTION)
        status.task_id.uuid = np.ones(16, np.uint8)
        self._task.publish(status)
        self._answer()

    def _answer(self) -> None:
        """Tell as the gate that the chunk of each forecast so far was judged and is over."""
        status = SafetyStatus(chunks_accepted=len(self.overheads_s))
        status.header.stamp = self.get_clock().now().to_msg()
        self._gate.publish(status)

    def _publish_images(self) -> None:
        colour, depth = self._images
        stamp = self.get_clock().now().to_msg()
        for message in (colour, depth, self._intrinsics):
            message.header.stamp = stamp
        self._info.publish(self._intrinsics)
        self._published_s[ns_from_stamp(stamp)] = time.perf_counter()
        self._colour.publish(colour)
        self._depth.publish(depth)

    def _on_traces(self, message: TraceArray) -> None:
        now_s = time.perf_counter()
        published_s = self._published_s.get(ns_from_stamp(message.header.stamp))
        if published_s is None:
            return  # of somebody else's camera
        model_s = s_from_duration(message.inference_time)
        self.overheads_s.append(now_s - published_s - model_s)
        self._answer()

    def _on_fault(self, message: ErrorCode) -> None:
        self._fault = f"last fault {code_name(message)}: {message.message}"


def _table_frame() -> RgbdFrame:
    """Return the picture of the table that the other rows of the benchmark look at."""
    from mu0_core.simulation.world import TableWorld

    world = TableWorld(width=640, height=480)
    world.reset(_SCENE_SEED)
    frame = world.render()
    world.close()
    return frame


def main() -> int:
    """Print one line for each measured forecast; used by ``mu0 benchmark --messages``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, required=True)
    args = parser.parse_args()

    def work(client: OverheadClient) -> None:
        for seconds in client.measure(args.runs):
            sys.stdout.write(json.dumps({"overhead_ms": seconds * 1e3}) + "\n")
        sys.stdout.flush()

    return run_client(lambda: OverheadClient(_table_frame()), work)


if __name__ == "__main__":
    raise SystemExit(main())
