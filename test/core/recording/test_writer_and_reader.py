# SPDX-License-Identifier: Apache-2.0
"""What is written is read again, also from a file that was cut short; limits end a file whole."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("mcap")
pytest.importorskip("rosbags")
from mu0_core.errors import ConfigError, DataError
from mu0_core.recording import writer as module
from mu0_core.recording.reader import Recording
from mu0_core.recording.writer import RecordingError, RecordingLimits, RecordingWriter

DEFINITION = "int32 sec\nuint32 nanosec\nfloat64 value\n"
KIND = "here/msg/Sample"


def _raw(sec: int, nanosec: int, value: float) -> bytes:
    return b"\x00\x01\x00\x00" + struct.pack("<iId", sec, nanosec, value)


def _write(path: Path, values: list[float], **limits: float) -> None:
    made = RecordingWriter(path, RecordingLimits(**{"min_free_gb": 0.0, **limits}))
    channel = made.channel("/a/x", KIND, DEFINITION)
    for k, value in enumerate(values):
        made.write(channel, _raw(k, 5, value), 10 + k, 9 + k)
    made.note("mu0/topics", {"x": "/a/x"})
    made.attach("robot.yaml", "name: fr3\n", "application/yaml")
    made.close()


@given(values=st.lists(st.floats(allow_nan=False), min_size=1, max_size=20))
def test_everything_comes_back_in_order(
    tmp_path_factory: pytest.TempPathFactory, values: list[float]
) -> None:
    path = tmp_path_factory.mktemp("bag") / "a.mcap"
    _write(path, values)
    recording = Recording(path)
    messages = list(recording.messages({"/a/x"}))
    assert [recording.decode(m).value for m in messages] == values
    assert [(m.log_ns, m.publish_ns) for m in messages] == [
        (10 + k, 9 + k) for k in range(len(values))
    ]
    assert messages[-1].header_ns() == (len(values) - 1) * 10**9 + 5
    assert recording.types == {"/a/x": KIND} and recording.counts == {"/a/x": len(values)}
    assert recording.topic("x") == "/a/x" and recording.is_whole
    assert recording.attachments == {"robot.yaml": "name: fr3\n"}


def test_the_readers_of_others_can_read_it(tmp_path: Path) -> None:
    from rosbags.rosbag2 import Reader

    _write(tmp_path / "a.mcap", [1.0, 2.0])
    with Reader(tmp_path / "a.mcap") as reader:
        (connection,) = reader.connections
        assert (connection.topic, connection.msgtype) == ("/a/x", KIND)
        assert "float64 value" in connection.msgdef.data
        assert len(list(reader.messages())) == 2


def test_a_file_that_was_cut_short_is_read_up_to_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHUNK_BYTES", 200)
    whole, cut = tmp_path / "whole.mcap", tmp_path / "cut.mcap"
    _write(whole, [float(k) for k in range(100)])
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    recording = Recording(cut)
    values = [recording.decode(m).value for m in recording.messages({"/a/x"})]
    assert not recording.is_whole
    assert 5 < len(values) < 100 and values == [float(k) for k in range(len(values))]


@pytest.mark.parametrize("content", [b"", b"no recording at all, only text", b"\x89MCAP0\r\n"])
def test_what_is_no_recording_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.mcap"
    path.write_bytes(content)
    try:
        recording = Recording(path)
    except DataError as error:
        assert "is no MCAP file" in str(error)
    else:
        assert not recording.types and not recording.is_whole


def test_a_missing_file_and_topic_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        Recording(tmp_path / "none.mcap")
    _write(tmp_path / "a.mcap", [1.0])
    with pytest.raises(DataError, match=r"0 topics end in 'traces', .* there are: /a/x"):
        Recording(tmp_path / "a.mcap").topic("traces")


def test_bytes_that_do_not_fit_their_definition_are_told(tmp_path: Path) -> None:
    made = RecordingWriter(tmp_path / "a.mcap", RecordingLimits(min_free_gb=0.0))
    made.write(made.channel("/a/x", KIND, DEFINITION), b"\x00\x01\x00\x00\x01", 1, 1)
    made.close()
    recording = Recording(tmp_path / "a.mcap")
    (message,) = recording.messages({"/a/x"})
    with pytest.raises(DataError, match="a message on /a/x is no here/msg/Sample"):
        recording.decode(message)
    with pytest.raises(DataError, match="no header"):
        message.header_ns()


def test_a_file_ends_whole_at_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK_BYTES", 1000)
    monkeypatch.setattr(module, "_LOOK_EVERY_BYTES", 1000)
    limits = {"max_gb": 2e-5, "min_free_gb": 0.0}
    made = RecordingWriter(tmp_path / "a.mcap", RecordingLimits(**limits))
    channel = made.channel("/a/x", KIND, DEFINITION)
    with pytest.raises(RecordingError, match=r"reached 2e-05 GB \(max_gb\)"):
        for k in range(100_000):
            made.write(channel, _raw(k, 0, float(hash(k * 7919) % 104729)), k, k)
    assert (tmp_path / "a.mcap").stat().st_size < 40_000
    assert Recording(tmp_path / "a.mcap").is_whole
    with pytest.raises(RecordingError, match="has ended"):
        made.write(channel, _raw(0, 0, 0.0), 0, 0)


def test_the_last_of_the_disk_is_not_taken(tmp_path: Path) -> None:
    usage = shutil.disk_usage(tmp_path)
    with pytest.raises(RecordingError, match=r"are to stay free \(min_free_gb\)"):
        RecordingWriter(tmp_path / "a.mcap", RecordingLimits(min_free_gb=usage.total / 1e9 + 1))


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_open", lambda path: open("/dev/full", "wb"))
    made = RecordingWriter(tmp_path / "a.mcap", RecordingLimits(min_free_gb=0.0))
    channel = made.channel("/a/x", KIND, DEFINITION)
    with pytest.raises(RecordingError, match="No space left on device"):
        for k in range(200_000):
            made.write(channel, bytes(range(256)) * 64, k, k)


def test_where_nothing_can_be_written_no_recording_begins(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError, match="cannot record to .*Not a directory"):
        RecordingWriter(tmp_path / "file" / "sub" / "a.mcap")
    (tmp_path / "a.mcap").write_text("old")
    with pytest.raises(RecordingError, match="File exists"):
        RecordingWriter(tmp_path / "a.mcap")


@pytest.mark.parametrize("limits", [{"max_gb": 0.0}, {"max_gb": -1.0}, {"min_free_gb": -0.1}])
def test_limits_out_of_range_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="must be above 0 and min_free_gb"):
        RecordingLimits(**limits)
