# SPDX-License-Identifier: Apache-2.0
"""Query points of a client: do they fit the image, and can they be seen? Untrusted input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mu0_core.errors import NoQueryPointsError, ObservationError, RequestError
from mu0_core.types import QueryPoints, RgbdFrame


def checked_query(query: QueryPoints, frame: RgbdFrame, max_points: int) -> QueryPoints:
    """Return the points that have depth, filled in from the frame where the client gave none.

    Args:
        query: pixels of the frame; depth may be NaN.
        frame: the image that they refer to.
        max_points: most points that a forecast takes.

    Raises:
        NoQueryPointsError: there is none, or none has depth.
        RequestError: too many, or one lies outside the image or is not finite.
        ObservationError: they refer to an image of another size.
    """
    count, camera = len(query), frame.intrinsics
    if count == 0:
        raise NoQueryPointsError("the request has 0 query points")
    if count > max_points:
        raise RequestError(f"{count} query points, at most {max_points}")
    if (query.width, query.height) != (camera.width, camera.height):
        raise ObservationError(
            f"query points refer to {query.width}x{query.height} pixels, the image has "
            f"{camera.width}x{camera.height}"
        )
    corner = np.array([camera.width, camera.height]) - 0.5  # integers are pixel centres
    inside = np.all((query.uv_px >= -0.5) & (query.uv_px <= corner), axis=1)
    if not inside.all():  # NaN is not inside either
        raise RequestError(
            f"{int((~inside).sum())} of {count} query points lie outside the "
            f"{camera.width}x{camera.height} image"
        )
    nearest = np.round(query.uv_px).astype(int)
    column, row = np.clip(nearest, 0, [camera.width - 1, camera.height - 1]).T
    depth = np.where(np.isfinite(query.depth_m), query.depth_m, frame.depth_m[row, column])
    known = np.isfinite(depth) & (depth > 0)
    if not known.any():
        raise NoQueryPointsError(f"none of {count} query points has depth")
    return replace(query, depth_m=depth.astype(np.float32)).select(known)
