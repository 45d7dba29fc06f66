# SPDX-License-Identifier: Apache-2.0
"""Node parameters are views of a frozen dataclass: one default, one description, one range."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

T = TypeVar("T")


def parameter(
    default: Any, doc: str, *, unit: str = "", low: float | None = None, high: float | None = None
) -> Any:
    """Return a dataclass field that becomes a read-only ROS parameter.

    Args:
        default: the one default.
        doc: what it does.
        unit: SI unit, shown in the description.
        low, high: allowed range, both or none.
    """
    metadata = {"doc": doc, "unit": unit, "low": low, "high": high}
    return dataclasses.field(default=default, metadata=metadata)


def declare(node: Node, settings: type[T]) -> T:
    """Declare all fields of a settings dataclass on a node and return their values.

    Raises:
        rclpy parameter exceptions: a value has the wrong type or lies outside its range.
    """
    values = {}
    for field in dataclasses.fields(settings):
        descriptor = ParameterDescriptor(description=_describe(field.metadata), read_only=True)
        low, high = field.metadata["low"], field.metadata["high"]
        if low is not None and isinstance(field.default, bool) is False:
            if isinstance(field.default, int):
                descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high))]
            else:
                descriptor.floating_point_range = [
                    FloatingPointRange(from_value=float(low), to_value=float(high))
                ]
        values[field.name] = node.declare_parameter(field.name, field.default, descriptor).value
    return settings(**values)


def _describe(metadata: Any) -> str:
    unit = f" [{metadata['unit']}]" if metadata["unit"] else ""
    return f"{metadata['doc']}{unit}"
