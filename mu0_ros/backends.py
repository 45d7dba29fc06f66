# SPDX-License-Identifier: Apache-2.0
"""What stands behind the nodes: shipped models, or fakes for tests. Torch comes on demand."""

from __future__ import annotations

import json
from pathlib import Path

from builtin_interfaces.msg import Duration
from mu0.msg import ModelInfo, Trace
from mu0.msg import QueryPoints as QueryPointsMsg

from mu0_core.action_expert.geometric.geometric_expert import MODEL_ID as GEOMETRIC
from mu0_core.errors import ConfigError, InferenceError, Mu0Error
from mu0_core.inference.protocols import ActionExpert, QueryPointSelector, TraceForecaster
from mu0_core.inference.query_checks import checked_query
from mu0_core.robot.description import RobotDescription
from mu0_core.types import QueryPoints, RgbdFrame
from mu0_ros.conversions.query_points import query_from_msg
from mu0_ros.conversions.stamp import duration_from_s


def _check(backend: str, *allowed: str) -> None:
    if backend not in allowed:
        raise ConfigError(f"backend {backend!r}: allowed are {', '.join(allowed)}")


def make_selector(backend: str) -> QueryPointSelector:
    """Return the query point selector; ``no_model`` has the real one."""
    _check(backend, "model", "fake", "no_model")
    if backend == "fake":
        from mu0_core.testing.fakes import FakeSelector

        return FakeSelector()
    from mu0_core.inference.keypoints import PlaneSelector

    return PlaneSelector()


def make_forecaster(backend: str, model_id: str, device: str, fault: str) -> TraceForecaster:
    """Return the world model of an id, or for the other backends a fake with a fault."""
    _check(backend, "model", "fake", "no_model")
    if backend != "model":
        from mu0_core.testing.fakes import FakeForecaster

        return FakeForecaster(fault)
    from mu0_core.inference.runtime import load_forecaster

    return load_forecaster(model_id, device)


def make_expert(
    backend: str, model_id: str, robot: RobotDescription, device: str, fault: str
) -> ActionExpert:
    """Return the action expert of an id, or a fake with a fault."""
    _check(backend, "model", "fake")
    if backend == "fake":
        from mu0_core.testing.fakes import FakeExpert

        return FakeExpert(robot, fault)
    from mu0_core.inference.runtime import load_action_expert

    return load_action_expert(model_id, robot, device)


def check_registered(model_id: str) -> None:
    """Refuse a name from the wire that is not in the registry of models; also with fakes.

    Raises:
        UnknownModelError: see the message.
    """
    from mu0_core.inference.registry import model_folder

    model_folder(model_id)


def as_inference_error(error: Exception) -> Mu0Error:
    """Return our error for anything that escaped a model: its code says what kind it is."""
    if isinstance(error, Mu0Error):
        return error
    wrapped = InferenceError(f"{type(error).__name__}: {error}")
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        wrapped.code = "OUT_OF_MEMORY"
    elif isinstance(error, TimeoutError):
        wrapped.code = "INFERENCE_TIMEOUT"
    return wrapped


def choose_points(
    selector: QueryPointSelector, wanted: QueryPointsMsg | None, frame: RgbdFrame, max_points: int
) -> QueryPoints:
    """Return the points a client asked for, or the selector's own when it asked for none.

    Raises:
        RequestError: too many, doubled, or outside the image.
        ObservationError: they refer to an image of another size.
        NoQueryPointsError: none of them has depth, or the selector found none.
    """
    if wanted is None or len(wanted.ids) == 0:
        return selector.select(frame, max_points)
    return checked_query(query_from_msg(wanted), frame, max_points)


def model_info(
    model_id: str, kind: int, device: str, max_points: int, embodiment: str = ""
) -> ModelInfo:
    """Return what is published about a loaded model, read from its files.

    A fake has none, and neither has the geometric expert.
    """
    message = ModelInfo(
        kind=kind,
        model_id=model_id,
        device=device,
        dtype="float32",
        embodiment=embodiment,
        max_query_points=max_points,
        parameterization=Trace.PARAMETER_PHASE,
        trace_horizon=Duration(),
    )
    if model_id.startswith("fake") or model_id == GEOMETRIC:
        return message
    from mu0_core.inference.registry import model_folder
    from mu0_core.paths import ASSETS

    folder = model_folder(model_id)
    for line in (folder / "sha256sums.txt").read_text().splitlines():
        digest, _, name = line.partition("  ")
        if name == "model.safetensors":
            message.sha256 = digest
    header = checkpoint_header(folder / "model.safetensors")
    message.version = header.get("commit") or (
        f"step {header['step']}" if "step" in header else ""
    )
    shipped = folder.parent == (ASSETS / "models").resolve()
    message.license = header.get("license", "Apache-2.0" if shipped else "")
    sizes = json.loads((folder / "config.json").read_text())
    message.num_control_points = sizes.get("trace_bspline_n_ctrl", 0)
    message.action_chunk_size = sizes.get("chunk_size", 0)
    message.action_step_period = duration_from_s(sizes.get("step_period_s", 0.0))
    return message


def checkpoint_header(file: Path) -> dict[str, str]:
    """Return the strings in the header of a safetensors file that has been checked and loaded."""
    from safetensors import safe_open

    with safe_open(file, framework="numpy") as opened:
        return opened.metadata() or {}
