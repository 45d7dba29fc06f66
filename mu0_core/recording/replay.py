# SPDX-License-Identifier: Apache-2.0
"""Feeds recorded observations through the code of the nodes and compares with what they said.

Forecasts are made anew from the recorded image, sentence, query points and seed; chunks from the
*recorded* traces, joint states and camera pose, so that an error of one stage does not show in the
other. No ROS: the nodes and this run the same objects of `mu0_core`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mu0_core.errors import DataError, Mu0Error
from mu0_core.inference.protocols import ActionExpert, QueryPointSelector, TraceForecaster
from mu0_core.inference.query_checks import checked_query
from mu0_core.recording.decode import chunk_of, forecast_of, query_of, task_key
from mu0_core.recording.observations import RecordedImages, RecordedStates
from mu0_core.recording.poses import RecordedPoses
from mu0_core.recording.reader import Recording
from mu0_core.recording.replay_result import (
    CHUNK_TOLERANCE_RAD,
    FORECAST_TOLERANCE_M,
    Comparison,
    Replay,
)
from mu0_core.robot.description import RobotDescription
from mu0_core.types import ActionChunk, TraceForecast

MAX_POINTS = 32  # default of trace_forecaster, for recordings without parameters


@dataclass(frozen=True, slots=True)
class Models:
    """What replays: the objects behind the nodes."""

    selector: QueryPointSelector
    forecaster: TraceForecaster
    expert: ActionExpert
    robot: RobotDescription


@dataclass(slots=True)
class _Said:
    """What the nodes said, in order of recording."""

    traces: list[tuple[int, bytes, TraceForecast]] = field(default_factory=list)
    chunks: list[tuple[int, ActionChunk]] = field(default_factory=list)
    points: list[tuple[int, Any]] = field(default_factory=list)
    seeds: dict[str, dict[int, int]] = field(default_factory=dict)


def replay(recording: Recording, models: Models) -> Iterator[Comparison]:
    """Yield a comparison for each recorded forecast and chunk.

    Raises:
        DataError: the recording lacks a topic that is needed for all of them.
    """
    said = _read(recording, models.robot)
    if said.traces:
        yield from _forecasts(recording, models, said)
    if said.chunks:
        yield from _chunks(recording, models, said)


def replay_all(recording: Recording, models: Models) -> Replay:
    """Return all comparisons at once."""
    return Replay(tuple(replay(recording, models)))


def difference(one: np.ndarray, other: np.ndarray) -> float | None:
    """Return the largest absolute difference of two arrays, None when shapes differ."""
    if one.shape != other.shape:
        return None
    if np.array_equal(one, other, equal_nan=True):
        return 0.0
    return float(np.nanmax(np.abs(one.astype(np.float64) - other)))


def _read(recording: Recording, robot: RobotDescription) -> _Said:
    said = _Said()
    names = ("traces", "action_chunk", "query_points", "/diagnostics")
    topics: dict[str, str] = {}
    for name in names:
        try:
            topics[recording.topic(name)] = name
        except DataError:
            if name == "traces":
                raise
    for recorded in recording.messages(topics):
        message, name = recording.decode(recorded), topics[recorded.topic]
        if name == "traces":
            forecast = forecast_of(message)
            said.traces.append((recorded.log_ns, task_key(message), forecast))
        elif name == "action_chunk":
            said.chunks.append((recorded.log_ns, chunk_of(message, robot.gripper)))
        elif name == "query_points":
            said.points.append((recorded.log_ns, message))
        else:
            _note_seeds(message, said.seeds)
    return said


def _note_seeds(message: Any, seeds: dict[str, dict[int, int]]) -> None:
    """Read "sequence:seed" pairs that a node told in its diagnostics."""
    for status in message.status:
        for value in status.values:
            if value.key == "seeds":
                pairs = (pair.split(":") for pair in value.value.split())
                known = seeds.setdefault(status.name.rpartition("/")[2], {})
                known.update({int(sequence): int(seed) for sequence, seed in pairs})


def _counted_seeds(items: list[tuple[bytes, int]], base: int) -> dict[int, int]:
    """Return sequence -> seed as the nodes count: rounds from the first one of each task."""
    seeds: dict[int, int] = {}
    first: dict[bytes, int] = {}
    for task, sequence in items:
        first.setdefault(task, sequence)
        seeds[sequence] = base * 1000 + 1 + sequence - first[task]
    return seeds


def _forecasts(recording: Recording, models: Models, said: _Said) -> Iterator[Comparison]:
    parameters = recording.parameters("trace_forecaster")
    items = [(task, f.sequence) for _, task, f in said.traces]
    seeds = _counted_seeds(items, parameters.get("seed", 0))
    seeds |= said.seeds.get("trace_forecaster", {})
    images = RecordedImages(recording, [f.stamp_ns for *_, f in said.traces], parameters)
    before_ns = 0
    for log_ns, _, forecast in said.traces:
        wanted = [m for t, m in said.points if before_ns < t <= log_ns and len(m.ids)]
        before_ns = log_ns
        try:
            frame = images.frame(forecast.stamp_ns)
            limit = parameters.get("max_points", MAX_POINTS)
            if wanted:
                query = checked_query(query_of(wanted[-1]), frame, limit)
            else:
                query = models.selector.select(frame, limit)
            again = models.forecaster.forecast(
                frame,
                forecast.instruction,
                query,
                num_samples=parameters.get("num_samples", 1),
                seed=seeds[forecast.sequence],
                sequence=forecast.sequence,
            )
        except Mu0Error as error:
            yield _not_replayed("forecast", forecast.sequence, error)
            continue
        yield _compare_forecast(forecast, again)


def _compare_forecast(said: TraceForecast, again: TraceForecast) -> Comparison:
    found = difference(said.control_points, again.control_points)
    note = ""
    if not np.array_equal(said.query.ids, again.query.ids):
        found, note = np.inf, f"{len(again.query)} other query points, not {len(said.query)}"
    elif found is None:
        found, note = np.inf, "another number of control points"
    elif not np.array_equal(said.valid_until, again.valid_until):
        note = "valid_until differs"
    return Comparison("forecast", said.sequence, found, FORECAST_TOLERANCE_M, note)


def _chunks(recording: Recording, models: Models, said: _Said) -> Iterator[Comparison]:
    parameters = recording.parameters("action_expert")
    items = [(chunk.task_id, chunk.sequence) for _, chunk in said.chunks]
    seeds = _counted_seeds(items, parameters.get("seed", 0))
    seeds |= said.seeds.get("action_expert", {})
    states = RecordedStates(recording, models.robot)
    poses = RecordedPoses(recording, parameters)
    base = parameters.get("frame_prefix", "") + models.robot.base_frame
    for log_ns, chunk in said.chunks:
        try:
            forecast = _forecast_for(chunk, log_ns, said)
            again = models.expert.propose(
                forecast,
                states.before(chunk.start_ns),
                poses.lookup(base, forecast.frame_id, forecast.stamp_ns, log_ns),
                start_ns=chunk.start_ns,
                sequence=chunk.sequence,
                seed=seeds[chunk.sequence],
            )
        except Mu0Error as error:
            yield _not_replayed("chunk", chunk.sequence, error)
            continue
        yield _compare_chunk(chunk, again)


def _forecast_for(chunk: ActionChunk, log_ns: int, said: _Said) -> TraceForecast:
    found = [f for t, _, f in said.traces if t <= log_ns and f.sequence == chunk.trace_sequence]
    if not found:
        raise DataError(f"the recording has no traces {chunk.trace_sequence} before it")
    return found[-1]


def _compare_chunk(said: ActionChunk, again: ActionChunk) -> Comparison:
    found, note = difference(said.positions_rad, again.positions_rad), ""
    if found is None:
        found, note = np.inf, f"{len(again.positions_rad)} steps, not {len(said.positions_rad)}"
    elif (said.gripper_m is None) != (again.gripper_m is None):
        note = "one of them leaves the gripper alone"
    elif said.gripper_m is not None and again.gripper_m is not None:
        apart = difference(said.gripper_m, again.gripper_m)
        if apart is None or apart > 1e-6:
            note = f"fingers differ by {apart} m"
    return Comparison("chunk", said.sequence, found, CHUNK_TOLERANCE_RAD, note)


def _not_replayed(stage: str, sequence: int, error: Mu0Error) -> Comparison:
    return Comparison(stage, sequence, None, 0.0, f"{error.code}: {' '.join(str(error).split())}")


def model_notes(recorded: Mapping[str, str], local: Mapping[str, str]) -> tuple[str, ...]:
    """Return a sentence for each model whose weights are not those of the recording."""
    return tuple(
        f"{name} was recorded with weights {digest[:12]}, here they are {local[name][:12]}"
        for name, digest in recorded.items()
        if digest and local.get(name, digest) != digest
    )
