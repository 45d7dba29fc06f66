# SPDX-License-Identifier: Apache-2.0
"""The eyes of ``mu0 demo``: asks for tasks, films the camera, keeps every forecast."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
from mu0.msg import TaskStatus, TraceArray
from sensor_msgs.msg import CameraInfo, Image, JointState

from mu0_core.observation.image_raster import rgb_from_image
from mu0_ros import qos
from mu0_ros.client import TaskClient
from mu0_ros.client_process import run_client
from mu0_ros.conversions.camera import intrinsics_from_info
from mu0_ros.conversions.stamp import ns_from_stamp

_KEPT_IMAGES = 60
_MOVING_RAD_S = 0.02


class DemoClient(TaskClient):
    """Writes a video, and for every forecast its image and numbers, into a folder."""

    def __init__(self, out: Path) -> None:
        super().__init__()
        import imageio.v2 as imageio

        self._out = out
        self._film = imageio.get_writer(out / "demo.mp4", fps=20, macro_block_size=8)
        self._images: dict[int, Image] = {}
        self._info: CameraInfo | None = None
        self.caption = ""
        self.moved = False
        self.forecasts = 0
        self.create_subscription(Image, "color/image_raw", self._on_image, qos.SENSOR)
        self.create_subscription(CameraInfo, "color/camera_info", self._on_info, qos.SENSOR)
        self.create_subscription(JointState, "joint_states", self._on_joints, qos.STATE_STREAM)
        self.create_subscription(TraceArray, "traces", self._on_traces, qos.NEWEST)

    def _on_info(self, message: CameraInfo) -> None:
        self._info = message

    def _on_joints(self, message: JointState) -> None:
        if self.caption and max(map(abs, message.velocity), default=0.0) > _MOVING_RAD_S:
            self.moved = True

    def _on_image(self, message: Image) -> None:
        self._images[ns_from_stamp(message.header.stamp)] = message
        while len(self._images) > _KEPT_IMAGES:
            del self._images[min(self._images)]
        import cv2

        rgb = np.ascontiguousarray(rgb_from_image(message)[::2, ::2])
        cv2.putText(
            rgb, self.caption, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (20, 20, 20), 1, cv2.LINE_AA
        )
        self._film.append_data(rgb)

    def _on_traces(self, message: TraceArray) -> None:
        image = self._images.get(ns_from_stamp(message.header.stamp))
        if image is None or self._info is None:
            return
        camera = intrinsics_from_info(self._info)
        count, depth = len(message.ids), message.num_control_points
        np.savez(
            self._out / f"live_{self.forecasts:02d}.npz",
            rgb=rgb_from_image(image),
            control_points=np.array(message.control_points).reshape(count, depth, 3),
            knots=np.array(message.knots),
            degree=message.degree,
            valid_until=np.array(message.valid_until),
            intrinsics=np.array(
                [camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy]
            ),
            instruction=message.instruction,
        )
        self.forecasts += 1

    def destroy_node(self) -> None:
        """Finish the video."""
        self._film.close()
        super().destroy_node()


def main() -> int:
    """Run the demo's tasks; used by ``mu0 demo``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--tasks", required=True)
    parser.add_argument("--max-duration", type=float, required=True)
    args = parser.parse_args()
    return run_client(lambda: DemoClient(args.out), lambda client: _run_demo(client, args))


def _run_demo(client: DemoClient, args: argparse.Namespace) -> None:
    client.wait_for_stack(90.0)
    _tell(event="ready")
    instructions = client.reset_scene(args.seed)
    for task in args.tasks.split(","):
        _run_task(client, task, instructions[task], args.max_duration)


def _run_task(client: DemoClient, task: str, instruction: str, max_duration_s: float) -> None:
    """Ask for one task and tell how it goes."""
    client.caption = instruction
    _tell(event="task", task=task, instruction=instruction)
    told_s = 0.0
    motion_told = client.moved

    def progress(status: TaskStatus) -> None:
        nonlocal told_s, motion_told
        if client.moved and not motion_told:
            motion_told = True
            _tell(event="motion")
        if time.monotonic() - told_s > 1.0:
            told_s = time.monotonic()
            _tell(event="progress", progress=float(status.progress), forecasts=client.forecasts)

    end = client.run_task(instruction, max_duration_s, progress)
    _tell(
        event="end",
        task=task,
        success=client.judge()[task],
        message=end.message,
        elapsed_s=round(end.elapsed_s, 1),
    )


def _tell(**facts: object) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
