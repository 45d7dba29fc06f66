# SPDX-License-Identifier: Apache-2.0
"""Models behind the stages by name: ``NAME`` or ``NAME:WEIGHTS``.

Each adapter is imported when it is asked for, so that a missing package of one does not touch the
others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from mu0_core.errors import UnknownModelError
from mu0_core.trace_extract.backends.runtime import Runtime
from mu0_core.trace_extract.protocols import DepthModel, PointTracker, Reconstruction


def depth_model(name: str, *, device: str = "cpu", dtype: str | None = None) -> DepthModel:
    """Return a depth model.

    Args:
        name: ``transformers:ID_OR_FOLDER``.
        device: ``cpu``, ``cuda``, ``cuda:N``.
        dtype: ``float32``, ``bfloat16``, ``float16``; None = what the adapter uses by itself.

    Raises:
        UnknownModelError: no such name; lists the known ones.
        ConfigError: the device or the type.
        ModelError: it cannot be loaded.
    """
    return _make("depth model", _DEPTH, name, device, dtype)


def reconstruction(name: str, *, device: str = "cpu", dtype: str | None = None) -> Reconstruction:
    """Return a reconstruction: ``vggt[:ID]`` or ``vggt4track[:ID]``; else like `depth_model`."""
    return _make("reconstruction", _RECONSTRUCTION, name, device, dtype)


def point_tracker(name: str, *, device: str = "cpu", dtype: str | None = None) -> PointTracker:
    """Return a tracker; else like `depth_model`.

    Args:
        name: ``embedded`` (runs on the CPU, has no weights), ``cotracker3[:FILE]``,
            ``tapnext[:FILE]`` or ``tapip3d[:FILE]``.
        device, dtype: see there.
    """
    return _make("tracker", _TRACKER, name, device, dtype)


def known_names() -> dict[str, tuple[str, ...]]:
    """Return the names of each kind, as `mu0 extract` prints them."""
    return {
        "depth": tuple(_forms(_DEPTH)),
        "reconstruction": tuple(_forms(_RECONSTRUCTION)),
        "tracker": tuple(_forms(_TRACKER)),
    }


_Maker = Callable[[Any, str, str | None], Any]


def _make(kind: str, makers: dict[str, _Maker], name: str, device: str, dtype: str | None) -> Any:
    head, colon, weights = name.partition(":")
    bad = head not in makers or (colon and not weights)
    bad = bad or (head in _NEEDS_WEIGHTS and not weights) or (head in _HAS_NONE and weights)
    if bad:
        raise UnknownModelError(f"{kind} {name!r}; known: {', '.join(_forms(makers))}")
    return makers[head](weights or None, device, dtype)


def _forms(makers: Iterable[str]) -> list[str]:
    forms = []
    for name in makers:
        if name in _NEEDS_WEIGHTS:
            forms.append(f"{name}:WEIGHTS")
        else:
            forms.append(name if name in _HAS_NONE else f"{name}[:WEIGHTS]")
    return forms


def _transformers(weights: str, device: str, dtype: str | None) -> DepthModel:
    from mu0_core.trace_extract.backends.transformers_depth import TransformersDepth

    return TransformersDepth(weights, Runtime(device, dtype or "float32"))


def _vggt(weights: str | None, device: str, dtype: str | None) -> Reconstruction:
    from mu0_core.trace_extract.backends.vggt import VggtReconstruction

    return VggtReconstruction(weights, Runtime(device, dtype or "float32"))


def _vggt4track(weights: str | None, device: str, dtype: str | None) -> Reconstruction:
    from mu0_core.trace_extract.backends.vggt import VGGT4TRACK, VggtReconstruction

    return VggtReconstruction(weights, Runtime(device, dtype or "float32"), VGGT4TRACK)


def _embedded(weights: None, device: str, dtype: str | None) -> PointTracker:
    from mu0_core.trace_extract.backends.embedded_tracker import EmbeddedTracker

    return EmbeddedTracker()


def _cotracker3(weights: str | None, device: str, dtype: str | None) -> PointTracker:
    from mu0_core.trace_extract.backends.cotracker import CoTracker3

    return CoTracker3(weights, Runtime(device, dtype or "float32"))


def _tapnext(weights: str | None, device: str, dtype: str | None) -> PointTracker:
    from mu0_core.trace_extract.backends.tapnext import TapNext

    return TapNext(weights, Runtime(device, dtype or "float32"))


def _tapip3d(weights: str | None, device: str, dtype: str | None) -> PointTracker:
    from mu0_core.trace_extract.backends.tapip3d import Tapip3d

    return Tapip3d(weights, Runtime(device, dtype or "bfloat16"))  # as in the paper


_DEPTH: dict[str, _Maker] = {"transformers": _transformers}
_RECONSTRUCTION: dict[str, _Maker] = {"vggt": _vggt, "vggt4track": _vggt4track}
_TRACKER: dict[str, _Maker] = {
    "embedded": _embedded,
    "cotracker3": _cotracker3,
    "tapnext": _tapnext,
    "tapip3d": _tapip3d,
}
_NEEDS_WEIGHTS = ("transformers",)
_HAS_NONE = ("embedded",)
