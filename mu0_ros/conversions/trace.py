# SPDX-License-Identifier: Apache-2.0
"""Forecasts as `TraceArray`: structure of arrays, metres in the optical frame, phase 0..1."""

from __future__ import annotations

import numpy as np
from mu0.msg import Trace, TraceArray
from unique_identifier_msgs.msg import UUID

from mu0_core.errors import ShapeError
from mu0_core.types import QueryPoints, TraceForecast
from mu0_ros.conversions.query_points import flat
from mu0_ros.conversions.stamp import (
    duration_from_s,
    ns_from_stamp,
    s_from_duration,
    stamp_from_ns,
)


def msg_from_forecast(forecast: TraceForecast, task_id: UUID | None = None) -> TraceArray:
    """Return the message of a forecast."""
    message = TraceArray(
        sequence=forecast.sequence,
        instruction=forecast.instruction,
        model_id=forecast.model_id,
        inference_time=duration_from_s(forecast.inference_s),
        space=Trace.SPACE_CARTESIAN,
        parameterization=Trace.PARAMETER_PHASE,
        degree=forecast.degree,
        num_control_points=forecast.control_points.shape[1],
    )
    message.header.frame_id = forecast.frame_id
    message.header.stamp = stamp_from_ns(forecast.stamp_ns)
    if task_id is not None:
        message.task_id = task_id
    query = forecast.query
    message.knots = flat("d", forecast.knots, np.float64)
    message.ids = flat("I", query.ids, np.uint32)
    message.roles = flat("B", query.roles, np.uint8)
    message.entity_ids = flat("H", query.entity_ids, np.uint16)
    message.control_points = flat("f", forecast.control_points, np.float32)
    message.valid_until = flat("f", forecast.valid_until, np.float32)
    message.scores = flat("f", np.full(len(query), np.nan), np.float32)
    if forecast.spread_m is not None:
        message.control_point_stddev = flat("f", forecast.spread_m, np.float32)
    return message


def forecast_from_msg(message: TraceArray) -> TraceForecast:
    """Return the forecast of a message, checked.

    The pixels of the query points are not on the wire: they come back as NaN.

    Raises:
        ShapeError: lengths disagree, numbers are not finite, knots decrease, or the space or
            parameterisation is not the one this stack speaks.
    """
    n, d = len(message.ids), message.num_control_points
    if message.space != Trace.SPACE_CARTESIAN or message.parameterization != Trace.PARAMETER_PHASE:
        raise ShapeError(
            f"traces in space {message.space}, parameterization {message.parameterization}; "
            f"expected {Trace.SPACE_CARTESIAN} (metres) and {Trace.PARAMETER_PHASE} (phase)"
        )
    knots = np.array(message.knots, dtype=np.float64)
    lengths = {
        "knots": (len(knots), d + message.degree + 1),
        "control_points": (len(message.control_points), n * d * 3),
        "valid_until": (len(message.valid_until), n),
        "roles": (len(message.roles), n),
        "entity_ids": (len(message.entity_ids), n),
    }
    if len(message.control_point_stddev):
        lengths["control_point_stddev"] = (len(message.control_point_stddev), n * d)
    for name, (actual, expected) in lengths.items():
        if actual != expected:
            raise ShapeError(f"traces: {name} has {actual} numbers, expected {expected}")
    if d <= message.degree:
        raise ShapeError(f"traces: {d} control points for degree {message.degree}")
    control = np.array(message.control_points, dtype=np.float32).reshape(n, d, 3)
    valid_until = np.array(message.valid_until, dtype=np.float32)
    fields = {"control points": control, "knots": knots, "valid_until": valid_until}
    for name, values in fields.items():
        if not np.all(np.isfinite(values)):
            raise ShapeError(f"traces: {name} are not finite")
    spread = None
    if len(message.control_point_stddev):
        spread = np.array(message.control_point_stddev, dtype=np.float32).reshape(n, d)
    query = QueryPoints(
        np.full((n, 2), np.nan, np.float32),
        control[:, 0, 2].copy(),
        np.array(message.ids, dtype=np.uint32),
        np.array(message.entity_ids, dtype=np.uint16),
        np.array(message.roles, dtype=np.uint8),
        0,
        0,
    )
    return TraceForecast(
        control_points=control,
        knots=knots,
        degree=message.degree,
        valid_until=valid_until,
        spread_m=spread,
        query=query,
        instruction=message.instruction,
        model_id=message.model_id,
        frame_id=message.header.frame_id,
        stamp_ns=ns_from_stamp(message.header.stamp),
        sequence=message.sequence,
        inference_s=s_from_duration(message.inference_time),
    )
