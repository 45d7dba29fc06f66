# SPDX-License-Identifier: Apache-2.0
"""Writers of tiny real sources, and pictures that tell their number after any codec."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

SIZE = (64, 48)
RED, BLUE, GREEN = (200, 30, 10), (10, 30, 200), (10, 200, 10)


def make_picture(index=0, size=SIZE):
    """Left half red, right half blue, top quarter green; a grey patch of its number below."""
    width, height = size
    rgb = np.empty((height, width, 3), np.uint8)
    rgb[:, : width // 2], rgb[:, width // 2 :] = RED, BLUE
    rgb[: height // 4] = GREEN
    rgb[height // 2 :, : width // 4] = 10 + 7 * index
    return rgb


def make_depth_m(index=0, size=SIZE):
    """1 m + 1 cm per picture on the left, 2 m on the right, unknown in the top rows."""
    width, height = size
    depth = np.full((height, width), 2.0, np.float32)
    depth[:, : width // 2] = 1 + 0.01 * index
    depth[:4] = np.nan
    return depth


def number_of(rgb):
    height, width = rgb.shape[:2]
    patch = rgb[height // 2 + 6 : height - 6, 4 : width // 4 - 4]
    return round((float(patch.mean()) - 10) / 7)


def has_right_colours(rgb, tolerance=12):
    height, width = rgb.shape[:2]
    samples = {
        RED: rgb[height * 3 // 8, width * 3 // 8],
        BLUE: rgb[height * 3 // 4, width * 3 // 4],
        GREEN: rgb[height // 8, width // 2],
    }
    return all(np.abs(np.int32(s) - want).max() <= tolerance for want, s in samples.items())


def encode_video(path, count=30, rate=30, codec="libx264", size=SIZE, stamps_ms=None, first=0):
    """Write a video; ``stamps_ms`` gives each picture a time of its own."""
    options = {"preset": "12"} if codec == "libsvtav1" else {}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.width, stream.height = size
        stream.gop_size = 5  # more than one place to seek to
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        if codec.startswith("mpeg"):
            stream.bit_rate = 2_000_000  # their default spoils the colours
        if stamps_ms is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for index in range(count):
            picture = make_picture(first + index, size)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if stamps_ms is not None:
                frame.pts, frame.time_base = stamps_ms[index], stream.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


class BagWriter:
    """Messages with the fields of ROS types, and bags of them."""

    def __init__(self):
        self.store = get_typestore(Stores.ROS2_JAZZY)

    def header(self, stamp_ns):
        stamp = self.store.types["builtin_interfaces/msg/Time"](
            stamp_ns // 10**9, stamp_ns % 10**9
        )
        return self.store.types["std_msgs/msg/Header"](stamp, "camera_color_optical_frame")

    def image(self, stamp_ns, pixels, encoding, padding=0, is_bigendian=0):
        height, width = pixels.shape[:2]
        rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(height, -1)
        rows = np.pad(rows, ((0, 0), (0, padding)))
        return self.store.types["sensor_msgs/msg/Image"](
            self.header(stamp_ns),
            height,
            width,
            encoding,
            is_bigendian,
            rows.shape[1],
            rows.ravel(),
        )

    def compressed(self, stamp_ns, data, form):
        return self.store.types["sensor_msgs/msg/CompressedImage"](
            self.header(stamp_ns), form, np.frombuffer(bytes(data), np.uint8)
        )

    def info(self, stamp_ns, size=SIZE, k=(50, 0, 31.5, 0, 51, 23.5, 0, 0, 1), d=(0,) * 5, p=None):
        types = self.store.types
        p = p or (*k[:3], 0, *k[3:6], 0, *k[6:], 0)
        return types["sensor_msgs/msg/CameraInfo"](
            self.header(stamp_ns),
            size[1],
            size[0],
            "plumb_bob",
            np.array(d, float),
            np.array(k, float),
            np.eye(3).ravel(),
            np.array(p, float),
            0,
            0,
            types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False),
        )

    def string(self, text):
        return self.store.types["std_msgs/msg/String"](text)

    def write(self, path, messages, storage=StoragePlugin.SQLITE3, compression=None):
        """Write [(topic, log ns, message), …]."""
        writer = Writer(path, version=9, storage_plugin=storage)
        if compression:
            writer.set_compression(*compression)
        with writer:
            connections = {}
            for topic, log_ns, message in sorted(messages, key=lambda item: item[1]):
                kind = message.__msgtype__
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, kind, typestore=self.store)
                raw = self.store.serialize_cdr(message, kind)
                writer.write(connections[topic], log_ns, raw)
        return path


@pytest.fixture(scope="session")
def bags():
    return BagWriter()


@pytest.fixture(scope="session")
def tiny():
    """Functions to make and to recognise pictures."""
    return SimpleNamespace(
        picture=make_picture,
        depth_m=make_depth_m,
        number_of=number_of,
        has_right_colours=has_right_colours,
        video=encode_video,
        size=SIZE,
    )


@pytest.fixture
def image_folder(tmp_path):
    """Write a folder of colour and depth images and return it."""

    def write(name="clip", count=6, color="color", depth="depth", unit_m=0.001, stems=None):
        root = tmp_path / name
        stems = stems or [f"{index:06d}" for index in range(count)]
        (root / color).mkdir(parents=True)
        if depth:
            (root / depth).mkdir()
        for index, stem in enumerate(stems):
            bgr = make_picture(index)[..., ::-1]
            cv2.imwrite(str(root / color / f"{stem}.png"), bgr)
            if depth:
                raw = np.nan_to_num(make_depth_m(index) / unit_m).round().astype(np.uint16)
                cv2.imwrite(str(root / depth / f"{stem}.png"), raw)
        return root

    return write
