# SPDX-License-Identifier: Apache-2.0
"""A rosbag2 recording (sqlite3 or MCAP, zstd or not) through ``rosbags``; errors name the file.

Only the standard message types are read, by the definitions of ROS 2 Jazzy, so that a custom type
elsewhere in a bag does no harm.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mu0_core.errors import SourceError
from mu0_core.trace_extract.sources.reading import import_extra

SUFFIXES = (".mcap", ".db3")
METADATA_FILE = "metadata.yaml"


@dataclass(frozen=True, slots=True)
class BagMessage:
    """A message as it was recorded.

    Attributes:
        topic: where it was published.
        type_name: e.g. ``sensor_msgs/msg/Image``.
        log_ns: when it was recorded.
        raw: its bytes (CDR).
    """

    topic: str
    type_name: str
    log_ns: int
    raw: bytes

    def header_ns(self) -> int:
        """Return the stamp of its header, without decoding the rest.

        Only for types that begin with a std_msgs/Header, which begins with seconds and nanoseconds
        after the 4 bytes of CDR encapsulation.

        Raises:
            SourceError: it is too short for that.
        """
        if len(self.raw) < 12:
            raise SourceError(f"a message on {self.topic} has {len(self.raw)} bytes, no header")
        order = "<" if self.raw[1] & 1 else ">"
        seconds, nanoseconds = struct.unpack_from(f"{order}iI", self.raw, 4)
        return seconds * 1_000_000_000 + nanoseconds


class BagFile:
    """An open bag. Use `open_bag`."""

    def __init__(self, path: Path, reader: object, typestore: object) -> None:
        self.path = path
        self._reader, self._typestore = reader, typestore

    @property
    def topics(self) -> dict[str, tuple[str, int]]:
        """Return topic -> type name and number of messages, of topics that have messages."""
        topics: dict[str, tuple[str, int]] = {}
        for connection in self._reader.connections:
            count = connection.msgcount + topics.get(connection.topic, ("", 0))[1]
            if count:
                topics[connection.topic] = (connection.msgtype, count)
        return topics

    def messages(self, topics: Collection[str]) -> Iterator[BagMessage]:
        """Yield the messages of these topics in the order of recording.

        Raises:
            SourceError: the file is damaged.
        """
        wanted = [c for c in self._reader.connections if c.topic in topics]
        # Damage surfaces as whatever the library's parsing runs into, hence the broad net. What
        # the caller does with a message happens outside of it.
        try:
            for connection, log_ns, raw in self._reader.messages(wanted) if wanted else ():
                yield BagMessage(connection.topic, connection.msgtype, log_ns, bytes(raw))
        except Exception as error:
            raise _unreadable(self.path, error) from error

    def first(self, topic: str) -> BagMessage:
        """Return the first message of a topic.

        Raises:
            SourceError: there is none, whatever the bag's index says.
        """
        message = next(self.messages([topic]), None)
        if message is None:
            raise SourceError(f"{self.path}: no message on {topic}, though its index lists some")
        return message

    def decode(self, message: BagMessage) -> object:
        """Return a message as an object with the fields of its ROS type.

        Raises:
            SourceError: its bytes do not fit its type.
        """
        try:
            return self._typestore.deserialize_cdr(message.raw, message.type_name)
        except Exception as error:
            raise SourceError(
                f"{self.path}: a message on {message.topic} is no {message.type_name} ({error})"
            ) from error


@contextmanager
def open_bag(path: Path) -> Iterator[BagFile]:
    """Open a rosbag2 folder or one of its files.

    Raises:
        SourceError: it is damaged, empty or in another format.
    """
    rosbag2 = import_extra("rosbags.rosbag2")
    typesys = import_extra("rosbags.typesys")
    for file in bag_files(path):
        if not file.stat().st_size:
            raise SourceError(f"{file}: is empty (0 bytes), expected a rosbag2 recording")
    try:
        reader = rosbag2.Reader(path)
        reader.open()
    except Exception as error:
        raise _unreadable(path, error) from error
    try:
        yield BagFile(path, reader, typesys.get_typestore(typesys.Stores.ROS2_JAZZY))
    finally:
        reader.close()


def bag_files(path: Path) -> list[Path]:
    """Return the files that a bag consists of."""
    if path.is_file():
        return [path]
    data = [file for file in path.iterdir() if is_bag_name(file.name) and file.is_file()]
    return sorted([*data, path / METADATA_FILE])


def is_bag_name(name: str) -> bool:
    """Say whether a file's name is that of a recording; a compressed one ends in .zstd."""
    return Path(name.lower().removesuffix(".zstd")).suffix in SUFFIXES


def _unreadable(path: Path, error: Exception) -> SourceError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return SourceError(
        f"{path}: cannot be read as a rosbag2 recording, cut short or damaged ({reason}); "
        f"allowed: a folder with {METADATA_FILE}, or {' or '.join(SUFFIXES)} files"
    )
