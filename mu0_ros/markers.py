# SPDX-License-Identifier: Apache-2.0
"""Forecasts for RViz: line strips and a point cloud. Colour runs with the phase, blue to red."""

from __future__ import annotations

import array

import numpy as np
from geometry_msgs.msg import Point
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from mu0_core.evaluation.trace_colour import phase_colours
from mu0_core.spline.basis import design_matrix
from mu0_core.types import TraceForecast

_FIELDS = ("x", "y", "z", "t", "id", "stddev")


def sample_traces(forecast: TraceForecast, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return phases (count,) and positions (N, count, 3) in metres."""
    phases = np.linspace(0.0, 1.0, count)
    basis = design_matrix(forecast.knots, forecast.degree, phases)
    return phases, np.einsum("hd,ndc->nhc", basis, forecast.control_points)


def trace_markers(forecast: TraceForecast, header, count: int = 24) -> MarkerArray:
    """Return one LINE_STRIP per trace up to its end, and the query points as spheres."""
    phases, positions = sample_traces(forecast, count)
    colours = [
        ColorRGBA(r=float(c[0]), g=float(c[1]), b=float(c[2]), a=1.0)
        for c in phase_colours(phases)
    ]
    result = MarkerArray(markers=[Marker(header=header, action=Marker.DELETEALL)])
    spheres = Marker(header=header, ns="query_points", id=0, type=Marker.SPHERE_LIST)
    spheres.scale.x = spheres.scale.y = spheres.scale.z = 0.008
    spheres.color = ColorRGBA(r=1.0, g=1.0, b=1.0, a=0.9)
    spheres.pose.orientation.w = 1.0
    for index, path in enumerate(positions):
        points = [Point(x=float(p[0]), y=float(p[1]), z=float(p[2])) for p in path]
        spheres.points.append(points[0])
        kept = max(2, round(float(forecast.valid_until[index]) * count))
        strip = Marker(header=header, ns="traces", id=index, type=Marker.LINE_STRIP)
        strip.scale.x = 0.004
        strip.pose.orientation.w = 1.0
        strip.points, strip.colors = points[:kept], colours[:kept]
        result.markers.append(strip)
    result.markers.append(spheres)
    return result


def trace_cloud(forecast: TraceForecast, header, count: int = 24) -> PointCloud2:
    """Return sampled traces as float32 points x, y, z, t (phase), id, stddev (NaN = unknown)."""
    phases, positions = sample_traces(forecast, count)
    n = len(positions)
    rows = np.empty((n, count, len(_FIELDS)), np.float32)
    rows[..., :3] = positions
    rows[..., 3] = phases
    rows[..., 4] = forecast.query.ids[:, None]
    rows[..., 5] = np.nan
    if forecast.spread_m is not None:
        basis = design_matrix(forecast.knots, forecast.degree, phases)
        rows[..., 5] = forecast.spread_m @ basis.T
    message = PointCloud2(header=header, height=1, width=n * count, is_dense=True)
    message.fields = [
        PointField(name=name, offset=4 * k, datatype=PointField.FLOAT32, count=1)
        for k, name in enumerate(_FIELDS)
    ]
    message.point_step, message.row_step = 4 * len(_FIELDS), 4 * len(_FIELDS) * n * count
    message.data = array.array("B", rows.tobytes())
    return message
