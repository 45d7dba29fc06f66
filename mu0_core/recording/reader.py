# SPDX-License-Identifier: Apache-2.0
"""Reads an MCAP recording by the definitions inside it; also one that was cut short. No ROS.

Any MCAP file of ROS 2 messages with ``ros2msg`` definitions can be read: ours, rosbag2's.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mu0_core.errors import ConfigError, DataError

_PADDING = 15  # bytes after a message: its size is estimated with every alignment


@dataclass(frozen=True, slots=True)
class Recorded:
    """A message as it was recorded: topic, type, serialized bytes, times in ns.

    ``log_ns`` is when the recorder had it, ``publish_ns`` when it was sent, both wall time.
    """

    topic: str
    type_name: str
    raw: bytes
    log_ns: int
    publish_ns: int

    def header_ns(self) -> int:
        """Return the stamp of its header, which must be its first field, without decoding it.

        Raises:
            DataError: it is too short for that.
        """
        if len(self.raw) < 12:
            raise DataError(f"a message on {self.topic} has {len(self.raw)} bytes, no header")
        order = "<" if self.raw[1] & 1 else ">"
        seconds, nanoseconds = struct.unpack_from(f"{order}iI", self.raw, 4)
        return seconds * 1_000_000_000 + nanoseconds


class Recording:
    """A recording on disk; each pass over its messages opens the file anew.

    Attributes:
        path: of the file.
        types: topic -> type, of topics that have messages.
        counts: topic -> number of messages.
        notes: name -> facts, as `RecordingWriter.note` took them; the last of a name counts.
        attachments: name -> text.
        is_whole: False for a file that was cut short; it is read up to there.

    Raises:
        DataError: there is no such file, or it is no MCAP file.
        ConfigError: the packages mcap and rosbags are not installed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.types: dict[str, str] = {}
        self.counts: dict[str, int] = {}
        self.notes: dict[str, dict[str, str]] = {}
        self.attachments: dict[str, str] = {}
        self.is_whole = True
        self._definitions: dict[str, str] = {}
        self._store = _typestore()
        self._known: set[str] = set()
        if not path.is_file():
            raise DataError(f"{path}: no such file; expected one of mu0 record or rosbag2 (.mcap)")
        self._survey()

    def messages(self, topics: Collection[str]) -> Iterator[Recorded]:
        """Yield the messages of these topics in the order of recording."""
        from mcap.records import Channel, Message, Schema

        channels: dict[int, tuple[str, str]] = {}
        schemas: dict[int, str] = {}
        for record in self._records():
            if isinstance(record, Schema):
                schemas[record.id] = record.name
            elif isinstance(record, Channel):
                channels[record.id] = record.topic, schemas.get(record.schema_id, "")
            elif isinstance(record, Message):
                topic, kind = channels[record.channel_id]
                if topic in topics:
                    yield Recorded(topic, kind, record.data, record.log_time, record.publish_time)

    def decode(self, message: Recorded) -> Any:
        """Return an object with the fields of the message's type; arrays are numpy's.

        Raises:
            DataError: its bytes do not fit the definition in the file, or there is none.
        """
        from rosbags.typesys import get_types_from_msg

        kind = message.type_name
        try:
            if kind not in self._known:
                types = get_types_from_msg(self._definitions[kind], kind)
                known = self._store.fielddefs
                self._store.register({k: v for k, v in types.items() if k not in known})
                self._known.add(kind)
            return self._deserialize(message.raw, kind)
        except Exception as error:  # whatever the library's parsing runs into
            raise DataError(
                f"{self.path}: a message on {message.topic} is no {kind} "
                f"({type(error).__name__}: {error})"
            ) from error

    def _deserialize(self, raw: bytes, kind: str) -> Any:
        """Deserialize CDR; the store's own method refuses the padding that rmw may leave."""
        if len(raw) < 4 or raw[:2] not in (b"\x00\x00", b"\x00\x01"):
            raise DataError(f"encapsulation {raw[:4].hex()!r} is no plain CDR")
        types = self._store.get_msgdef(kind)
        read = types.deserialize_cdr_le if raw[1] else types.deserialize_cdr_be
        message, end = read(raw[4:], 0, types.cls, self._store)
        if not 0 <= len(raw) - 4 - end <= _PADDING:
            raise DataError(f"{len(raw)} bytes, of which it has {end + 4}")
        return message

    def parameters(self, node: str) -> dict[str, Any]:
        """Return the parameters that a node had; {} when they were not recorded."""
        texts = self.notes.get(f"mu0/parameters/{node}", {})
        return {key: json.loads(text) for key, text in texts.items()}

    def topic(self, name: str) -> str:
        """Return the recorded topic that our nodes call so.

        Our recordings say it. In others it is the topic whose name ends so.

        Raises:
            DataError: there is none, or there are several.
        """
        own = self.notes.get("mu0/topics", {})
        if name in own:
            return own[name]
        found = [t for t in self.types if t == name or t.endswith(f"/{name.strip('/')}")]
        if len(found) != 1:
            raise DataError(
                f"{self.path}: {len(found)} topics end in {name!r}, expected one; there are: "
                f"{', '.join(sorted(self.types)) or 'none'}"
            )
        return found[0]

    def _survey(self) -> None:
        from mcap.records import Attachment, Channel, Message, Metadata, Schema

        channels: dict[int, tuple[str, str]] = {}
        schemas: dict[int, str] = {}
        for record in self._records():
            if isinstance(record, Schema):
                schemas[record.id] = record.name
                self._definitions[record.name] = record.data.decode()
            elif isinstance(record, Channel):
                channels[record.id] = record.topic, schemas.get(record.schema_id, "")
            elif isinstance(record, Message):
                topic, kind = channels[record.channel_id]
                self.types[topic] = kind
                self.counts[topic] = self.counts.get(topic, 0) + 1
            elif isinstance(record, Metadata):
                self.notes[record.name] = dict(record.metadata)
            elif isinstance(record, Attachment):
                self.attachments[record.name] = record.data.decode()

    def _records(self) -> Iterator[Any]:
        """Yield the records up to the end, or to where the file was cut."""
        from mcap.exceptions import EndOfFile, InvalidMagic, McapError
        from mcap.records import DataEnd
        from mcap.stream_reader import StreamReader

        with self.path.open("rb") as stream:
            try:
                for record in StreamReader(stream, record_size_limit=None).records:
                    if isinstance(record, DataEnd):
                        return  # what follows repeats it
                    yield record
            except InvalidMagic as error:
                raise DataError(f"{self.path}: is no MCAP file") from error
            except (EndOfFile, McapError, struct.error, RuntimeError):
                self.is_whole = False


def _typestore() -> Any:
    try:
        import mcap  # noqa: F401
        from rosbags.typesys import Stores, get_typestore
    except ImportError as error:
        raise ConfigError("recordings are read with: pip install 'mu0-ros[record]'") from error
    return get_typestore(Stores.EMPTY)
