# SPDX-License-Identifier: Apache-2.0
"""Writes serialized messages with their definitions into one MCAP file. No ROS.

The file is readable up to its last whole chunk whatever happens. It is ended before it grows past
a limit or takes the last of the disk: whoever writes beside us needs room too.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mu0_core import __version__
from mu0_core.errors import ConfigError, Mu0Error

PROFILE = "ros2"
_GB = 10**9
_LOOK_EVERY_BYTES = 8 * 2**20  # how often the disk is asked for its free space
_CHUNK_BYTES = 4 * 2**20


class RecordingError(Mu0Error):
    """A recording cannot be begun or had to end: disk full, read-only, limit reached."""


@dataclass(frozen=True, slots=True)
class RecordingLimits:
    """How large a recording may grow.

    Attributes:
        max_gb: of the file [10^9 bytes].
        min_free_gb: left free on its disk.
    """

    max_gb: float = 50.0
    min_free_gb: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.max_gb <= 1e5 or not 0 <= self.min_free_gb <= 1e5:
            raise ConfigError(
                f"max_gb {self.max_gb} must be above 0 and min_free_gb {self.min_free_gb} not "
                "negative, both at most 100000"
            )


class RecordingWriter:
    """One file of a recording. Not locked: one thread writes.

    Args:
        path: of the file; it must not exist, its folder is made.
        limits: see there.

    Raises:
        RecordingError: the file cannot be made, or the disk is too full to begin.
        ConfigError: the package mcap is not installed.
    """

    def __init__(self, path: Path, limits: RecordingLimits = RecordingLimits()) -> None:
        try:
            from mcap.writer import CompressionType, Writer
        except ImportError as error:
            raise ConfigError("recording needs: pip install 'mu0-ros[record]'") from error
        self.path, self._limits = path, limits
        self._channels: dict[tuple[str, str], int] = {}
        self._schemas: dict[str, int] = {}
        self._looked_at = -_LOOK_EVERY_BYTES
        self._written = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = _open(path)
        except OSError as error:
            raise RecordingError(f"cannot record to {path}: {error.strerror or error}") from error
        self._mcap = Writer(self._stream, chunk_size=_CHUNK_BYTES, compression=CompressionType.LZ4)
        self._guarded(self._mcap.start, PROFILE, f"mu0 {__version__}")
        self._watch_disk()

    def channel(self, topic: str, type_name: str, definition: str, qos_yaml: str = "") -> int:
        """Return the number of a topic's channel, made at the first call.

        Args:
            topic: absolute name.
            type_name: ``package/msg/Name``.
            definition: as `definitions.definition` returns it.
            qos_yaml: what the publishers offer, as rosbag2 writes it.
        """
        key = topic, type_name
        if key not in self._channels:
            if type_name not in self._schemas:
                self._schemas[type_name] = self._guarded(
                    self._mcap.register_schema, type_name, "ros2msg", definition.encode()
                )
            self._channels[key] = self._guarded(
                self._mcap.register_channel,
                topic,
                "cdr",
                self._schemas[type_name],
                {"offered_qos_profiles": qos_yaml},
            )
        return self._channels[key]

    def write(self, channel: int, raw: bytes, log_ns: int, publish_ns: int) -> None:
        """Write one serialized message.

        Raises:
            RecordingError: the disk or the limit is reached; the file is closed then.
        """
        self._guarded(self._mcap.add_message, channel, log_ns, raw, publish_ns)
        self._written += len(raw)
        if self._written - self._looked_at >= _LOOK_EVERY_BYTES:
            self._watch_disk()

    def note(self, name: str, facts: Mapping[str, str]) -> None:
        """Write facts that belong to the recording; raises `RecordingError` as `write`."""
        self._guarded(self._mcap.add_metadata, name, dict(facts))

    def attach(self, name: str, text: str, media_type: str) -> None:
        """Attach a small text file; raises `RecordingError` as `write`."""
        now_ns = time.time_ns()
        self._guarded(self._mcap.add_attachment, now_ns, now_ns, name, media_type, text.encode())

    def close(self) -> None:
        """End the file; raises `RecordingError` when its end could not be written."""
        if not self._stream.closed:
            self._guarded(self._mcap.finish)
            self._guarded(self._stream.close)

    def _guarded(self, work, *arguments):
        """Do it; an error of the disk ends the file and says so."""
        if self._stream.closed:
            raise RecordingError(f"the recording {self.path} has ended")
        try:
            return work(*arguments)
        except OSError as error:
            with suppress(OSError):
                self._stream.close()
            raise RecordingError(f"recording to {self.path} ended: {error.strerror}") from error

    def _watch_disk(self) -> None:
        self._looked_at = self._written
        size = self._guarded(self._stream.tell)
        free = shutil.disk_usage(self.path.parent).free
        reason = ""
        if size > self._limits.max_gb * _GB:
            reason = f"it reached {self._limits.max_gb:g} GB (max_gb)"
        elif free < self._limits.min_free_gb * _GB:
            reason = (
                f"{free / _GB:.2f} GB are left on its disk, {self._limits.min_free_gb:g} GB are "
                "to stay free (min_free_gb)"
            )
        if reason:
            self.close()
            raise RecordingError(f"recording to {self.path} ended: {reason}")


def _open(path: Path) -> BinaryIO:
    return path.open("xb")
