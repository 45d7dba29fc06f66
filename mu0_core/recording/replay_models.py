# SPDX-License-Identifier: Apache-2.0
"""The objects that a recording was made with, found by what it says about itself."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from mu0_core.errors import ConfigError, Mu0Error
from mu0_core.recording.reader import Recording
from mu0_core.recording.replay import Models, model_notes
from mu0_core.robot.description import RobotDescription, load_robot

_MODEL_INFO = "mu0/msg/ModelInfo"


def recorded_models(recording: Recording) -> dict[str, str]:
    """Return model id -> sha256 of every model that was told about; "" = it has no weights."""
    topics = {topic for topic, kind in recording.types.items() if kind == _MODEL_INFO}
    messages = (recording.decode(m) for m in recording.messages(topics))
    return {m.model_id: m.sha256 for m in messages}


def load_models(
    recording: Recording, robot: str = "", model: str = "", action_expert: str = ""
) -> tuple[Models, tuple[str, ...]]:
    """Load what the nodes had, and say what is not the same here.

    Args:
        recording: whose parameters count.
        robot, model, action_expert: instead of what the recording says, when not empty.

    Raises:
        Mu0Error: a model or the robot is not here.
    """
    forecaster = recording.parameters("trace_forecaster")
    expert = recording.parameters("action_expert")
    arm = _robot(recording, robot or expert.get("robot", ""))
    from mu0_core.inference import runtime

    is_fake = [p.get("backend", "model") == "fake" for p in (forecaster, expert)]
    world = model or forecaster.get("model_id", runtime.DEFAULT_WORLD_MODEL)
    actor = action_expert or expert.get("model_id", "") or arm.action_expert
    if any(is_fake):
        from mu0_core.testing.fakes import FakeExpert, FakeForecaster, FakeSelector
    models = Models(
        FakeSelector() if is_fake[0] else runtime.make_selector(),
        FakeForecaster() if is_fake[0] else runtime.load_forecaster(world),
        FakeExpert(arm) if is_fake[1] else runtime.load_action_expert(actor, arm),
        arm,
    )
    notes = [] if forecaster else ["no parameters in the recording: defaults are assumed"]
    notes += model_notes(recorded_models(recording), _local_digests(world, actor))
    return models, tuple(notes)


def _robot(recording: Recording, name: str) -> RobotDescription:
    """Return the robot of a name; a file that is not here comes from the recording itself."""
    name = name or recording.notes.get("mu0", {}).get("robot", "")
    if not name:
        raise ConfigError(f"{recording.path} names no robot: say --robot")
    if not Path(name).suffix or Path(name).is_file() or "robot.yaml" not in recording.attachments:
        return load_robot(name)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "robot.yaml"
        copy.write_text(recording.attachments["robot.yaml"])
        return load_robot(str(copy))


def _local_digests(*model_ids: Any) -> dict[str, str]:
    from mu0_core.inference.registry import model_folder

    digests = {}
    for model_id in model_ids:
        try:
            lines = (model_folder(model_id) / "sha256sums.txt").read_text().splitlines()
        except (Mu0Error, OSError):
            continue  # the geometric expert has none
        for line in lines:
            digest, _, name = line.partition("  ")
            if name == "model.safetensors":
                digests[model_id] = digest
    return digests
