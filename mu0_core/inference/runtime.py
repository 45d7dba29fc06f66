# SPDX-License-Identifier: Apache-2.0
"""Load run-time objects by model id: what nodes, the CLI and roll-outs start from."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from mu0_core.action_expert.geometric.geometric_expert import MODEL_ID as GEOMETRIC
from mu0_core.action_expert.geometric.geometric_expert import GeometricExpert
from mu0_core.action_expert.trace_policy import TracePolicy
from mu0_core.action_expert.trace_policy_config import TracePolicyConfig
from mu0_core.errors import ConfigError
from mu0_core.inference.calibration import CALIBRATION_FILE, Calibration
from mu0_core.inference.forecaster import WorldModelForecaster
from mu0_core.inference.keypoints import PlaneSelector
from mu0_core.inference.language import InstructionEncoder, InstructionTokenizer
from mu0_core.inference.monitor import RemainingMotionMonitor
from mu0_core.inference.protocols import ActionExpert
from mu0_core.inference.registry import model_folder
from mu0_core.inference.trace_action_expert import TraceActionExpert
from mu0_core.model.checkpoint import WEIGHTS, load_checkpoint, load_exact
from mu0_core.model.config import WorldModelConfig
from mu0_core.model.layout import PRETRAINED_LANGUAGE
from mu0_core.model.llama import LanguageModel
from mu0_core.model.loading import load_world_model, read_sizes
from mu0_core.model.pretrained import dinov2_tensors, llama_tensors
from mu0_core.model.tensor_file import sha256, verify_manifest
from mu0_core.robot.description import RobotDescription
from mu0_core.weights import dinov2_small, smollm2
from mu0_core.weights.cache import converted_model

DEFAULT_WORLD_MODEL = "mu0-embedded"
DEFAULT_ACTION_EXPERT = "mu0-embedded-fr3"
EMBEDDED = "embedded"
EMBEDDED_NOISE_SCALE = 0.3  # of a single forecast; with 1 its error is 6 % larger


def load_forecaster(
    model_id: str = DEFAULT_WORLD_MODEL, device: str = "cpu"
) -> WorldModelForecaster:
    """Load a world model by id, checked against its hashes, and its calibration if it has one.

    Raises:
        UnknownModelError, ModelError, MissingWeightsError, ConfigError, DataError: see the
            messages.
    """
    return open_forecaster(model_folder(model_id), model_id, device)


def open_forecaster(folder: Path, model_id: str, device: str = "cpu") -> WorldModelForecaster:
    """Load the world model in a folder, of whatever name; errors as in `load_forecaster`."""
    config = WorldModelConfig.from_json(folder / "config.json")
    if config.vlm_model_name != EMBEDDED:
        raise ConfigError(
            f"model {model_id} has the backbone {config.vlm_model_name!r}; only 'embedded' "
            "backbones can be loaded without their Hugging Face files beside the checkpoint"
        )
    external, language = embedded_parts(config)
    model = load_world_model(folder, external=external, require_manifest=True).to(device)
    tokenizer = InstructionTokenizer(language, config.tokenizer_max_length)
    return WorldModelForecaster(
        model, tokenizer, model_id, device, EMBEDDED_NOISE_SCALE, read_calibration(folder)
    )


def read_calibration(folder: Path) -> Calibration | None:
    """Return what ``mu0 evaluate --calibrate`` left in a checkpoint's folder, None without it.

    Raises:
        DataError: the file is damaged.
        ConfigError: it is of other weights.
    """
    path = folder / CALIBRATION_FILE
    if not path.is_file():
        return None
    calibration = Calibration.load(path)
    if calibration.weights_sha256 != sha256(folder / WEIGHTS):
        raise ConfigError(
            f"{path} was measured with other weights: remove it, or calibrate again with "
            "mu0 evaluate --calibrate"
        )
    return calibration


def embedded_parts(config: WorldModelConfig) -> tuple[dict[str, Tensor], Path]:
    """Return the frozen tensors that embedded checkpoints leave out, and the tokenizer's folder.

    Raises:
        MissingWeightsError, ModelIntegrityError: the cache of weights is incomplete or changed.
    """
    language, vision = converted_model(smollm2.NAME), converted_model(dinov2_small.NAME)
    tensors = {
        **dinov2_tensors(vision / WEIGHTS, max(config.vision_feature_layers)),
        **llama_tensors(language / WEIGHTS, config.num_vlm_layers),
    }
    return tensors, language


def load_action_expert(
    model_id: str, robot: RobotDescription, device: str = "cpu", *, allow_blind: bool = False
) -> ActionExpert:
    """Load an action expert by id for an arm; it must have been trained for that arm.

    "geometric" is the one that needs no training and serves any arm. ``allow_blind`` accepts one
    that was trained without traces, to compare with.

    Raises:
        UnknownModelError, ModelError, MissingWeightsError, ConfigError: see the messages.
    """
    if device != "cpu":
        raise ConfigError(f"the embedded action expert runs on the CPU, not on {device!r}")
    if model_id == GEOMETRIC:
        return GeometricExpert(robot)
    folder = model_folder(model_id)
    verify_manifest(folder, "config.json", required=True)
    config = TracePolicyConfig.from_json(folder / "config.json")
    if config.robot != robot.name:
        raise ConfigError(f"model {model_id} was trained for {config.robot!r}, not {robot.name!r}")
    policy = load_policy(folder, config)
    encoder = _instruction_encoder(config)
    return TraceActionExpert(policy, encoder, robot, model_id, allow_blind=allow_blind)


def load_policy(folder: Path, config: TracePolicyConfig) -> TracePolicy:
    """Build and strictly fill a policy from ``model.safetensors``."""
    policy = TracePolicy(config)
    names = {name: name for name in policy.state_dict()}
    load_checkpoint(policy, names, folder, require_manifest=True)
    return policy.eval()


def _instruction_encoder(config: TracePolicyConfig) -> InstructionEncoder:
    """Return the language part of the world model that the policy was trained with."""
    folder = model_folder(config.world_model)
    world = WorldModelConfig.from_json(folder / "config.json")
    text = read_sizes(folder).text
    parts = converted_model(smollm2.NAME)
    tensors = llama_tensors(parts / WEIGHTS, world.num_vlm_layers)
    language = LanguageModel(text, world.num_vlm_layers)
    names = {name: PRETRAINED_LANGUAGE + name for name in language.state_dict()}
    load_exact(language, names, {parts.name: tensors})
    tokenizer = InstructionTokenizer(parts, world.tokenizer_max_length)
    return InstructionEncoder(tokenizer, language.eval(), text, world.rope_theta)


def make_selector() -> PlaneSelector:
    """Return the query point selector with its defaults."""
    return PlaneSelector()


def make_monitor() -> RemainingMotionMonitor:
    """Return the task monitor with its defaults."""
    return RemainingMotionMonitor()
