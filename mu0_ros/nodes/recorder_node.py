# SPDX-License-Identifier: Apache-2.0
"""Records the topics of the contract to MCAP, with definitions, models and parameters inside.

It only listens: when the disk is full it says so in `/diagnostics` and the task goes on. A file is
begun when the node is activated and ended when it is deactivated.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mu0_core import __version__
from mu0_core.errors import Mu0Error
from mu0_core.paths import config_file
from mu0_core.recording.definitions import definition
from mu0_core.recording.writer import RecordingError, RecordingLimits, RecordingWriter
from mu0_core.robot.description import load_robot
from mu0_ros.lifecycle import Mu0LifecycleNode
from mu0_ros.node_process import run
from mu0_ros.params import parameter
from mu0_ros.recording.contract import NODES, recorded_topics
from mu0_ros.recording.node_parameters import NodeParameters
from mu0_ros.recording.taps import Taps

_LOOK_S = 0.2
_LIMITS = RecordingLimits()


@dataclass(frozen=True)
class RecorderParameters:
    """Parameters of the node."""

    out: str = parameter("recordings", "folder of the files; each is named by its time")
    topics: str = parameter("", "names separated by commas; empty: the contract")
    robot: str = parameter("fr3", "name in config/robots or path of a robot description")
    max_gb: float = parameter(_LIMITS.max_gb, "a file ends at this size", low=0.001, high=1e5)
    min_free_gb: float = parameter(
        _LIMITS.min_free_gb, "a file ends when its disk has less left", low=0.0, high=1e5
    )
    end_with_recording: bool = parameter(
        False, "end the process, with code 1, when the recording had to end"
    )


class RecorderNode(Mu0LifecycleNode):
    """One file for each activation; its topics may come later than it."""

    def __init__(self) -> None:
        super().__init__("recorder", RecorderParameters)
        self.writer: RecordingWriter | None = None
        self.ended = ""
        self._taps: Taps | None = None

    def setup(self) -> None:
        """Read the robot and find the names on the wire."""
        p = self.settings
        self._limits = RecordingLimits(p.max_gb, p.min_free_gb)
        robot = load_robot(p.robot)
        self.topics = {t: self.resolve_topic_name(t) for t in recorded_topics(robot, p.topics)}
        self.create_timer(_LOOK_S, self.guard("look", self._look), clock=self.steady)

    def start(self) -> None:
        """Begin a file; raises `RecordingError` when that is not possible."""
        self.ended, self._definitions = "", {}
        self._counts: Counter[str] = Counter()
        now = datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")[:-3]
        path = Path(self.settings.out).expanduser() / f"{now}.mcap"
        self.writer = RecordingWriter(path, self._limits)
        self._taps = Taps(self, tuple(self.topics.values()), self._take)
        self._parameters = NodeParameters(self, NODES, self._note_parameters)
        self.facts["recording"] = str(path)
        self.get_logger().info(f"recording to {path}")
        self.writer.note("mu0", self._about())
        self.writer.note("mu0/topics", self.topics)
        robot = self._robot_file()
        if robot is not None:
            self.writer.attach("robot.yaml", robot.read_text(), "application/yaml")
        self._look()

    def halt(self) -> None:
        """End the file."""
        if self._taps is not None:
            self._taps.close()
            self._taps = None
        writer, self.writer = self.writer, None
        if writer is not None:
            writer.close()
            self.get_logger().info(f"recorded {sum(self._counts.values())} messages")

    def publish_diagnostics(self) -> None:
        """Publish, and warn as long as the recording has ended before its time."""
        if self.ended:
            self.report(self.ended)
        super().publish_diagnostics()

    # -- work ------------------------------------------------------------------------------------

    def _about(self) -> dict[str, str]:
        return {
            "version": __version__,
            "robot": self.settings.robot,
            "namespace": self.get_namespace(),
            "began": datetime.now().astimezone().isoformat(),
        }

    def _robot_file(self) -> Path | None:
        name = self.settings.robot
        is_path = Path(name).suffix in (".yaml", ".yml")
        return Path(name) if is_path else config_file(f"robots/{name}.yaml")

    def _look(self) -> None:
        if self._taps is None:
            return
        if self.writer is None:  # it ended: there is nothing to listen for
            self._taps.close()
            self._taps = None
            return
        self._taps.look()
        self._parameters.look()
        self.facts["messages"] = str(sum(self._counts.values()))
        self.facts["waiting for"] = ", ".join(self._taps.waiting) or "nothing"
        for topic, why in self._taps.unreadable.items():
            self.facts[f"not recorded {topic}"] = why

    def _note_parameters(self, name: str, values: dict[str, Any]) -> None:
        if self.writer is not None:
            texts = {key: json.dumps(_plain(value)) for key, value in values.items()}
            self._guarded_write(lambda: self.writer.note(f"mu0/parameters/{name}", texts))

    def _take(self, topic: str, kind: str, offered: str, raw: bytes, sent_ns: int) -> None:
        writer, now_ns = self.writer, time.time_ns()
        if writer is None:
            return

        def write() -> None:
            if kind not in self._definitions:
                self._definitions[kind] = definition(kind)
            channel = writer.channel(topic, kind, self._definitions[kind], offered)
            writer.write(channel, raw, now_ns, sent_ns or now_ns)
            self._counts[topic] += 1

        self._guarded_write(write)

    def _guarded_write(self, work: Any) -> None:
        """Write; a recording that cannot go on ends here and nothing else does."""
        try:
            work()
        except RecordingError as error:
            self.ended, self.writer = str(error), None
            self.counters["recordings that ended before their time"] += 1
            self.report(self.ended)
            if self.settings.end_with_recording:
                os.kill(os.getpid(), signal.SIGINT)
        except Mu0Error as error:
            self.counters[f"record: {error.code}"] += 1
            self.report(f"record: {error.code}: {error}")


def _plain(value: Any) -> Any:
    """Return a parameter as JSON can hold it."""
    if isinstance(value, bytes) or not hasattr(value, "__iter__") or isinstance(value, str):
        return value.hex() if isinstance(value, bytes) else value
    return [_plain(item) for item in value]


def main() -> None:
    """Run the node."""
    made: list[RecorderNode] = []

    def make() -> RecorderNode:
        made.append(RecorderNode())
        return made[0]

    code = run(make)
    raise SystemExit(1 if made and made[0].ended else code)


if __name__ == "__main__":
    main()
