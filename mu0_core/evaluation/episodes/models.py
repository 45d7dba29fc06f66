# SPDX-License-Identifier: Apache-2.0
"""World models as rows of the table: found, loaded strictly, and shown what they were trained on.

One observation at a time: numbers then depend on no batch, and times are those of a forecast.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import torch

from mu0_core.data.episode import EpisodeReader, Steps
from mu0_core.data.index import Opening
from mu0_core.data.normalizer import Normalizer
from mu0_core.data.sample import SampleSettings, TraceSample, build_sample
from mu0_core.data.sampling import SamplingSettings
from mu0_core.errors import ConfigError, DataError, NonFiniteOutputError
from mu0_core.evaluation.episodes.methods import Forecasts
from mu0_core.evaluation.episodes.scenes import Scene
from mu0_core.evaluation.episodes.settings import EvaluateSettings
from mu0_core.inference.registry import model_folder
from mu0_core.inference.runtime import EMBEDDED, embedded_parts
from mu0_core.model.config import WorldModelConfig, read_json
from mu0_core.model.loading import CONFIG, load_world_model
from mu0_core.model.world_model import WorldModel
from mu0_core.spline.curve import SPLINES
from mu0_core.training.episodes.architecture import META, backbone_tokenizer
from mu0_core.training.episodes.batch import observe
from mu0_core.training.episodes.forecasting import sampled_paths
from mu0_core.training.episodes.module import TraceTraining
from mu0_core.training.episodes.prompts import Prompts, folder_tokenizer
from mu0_core.training.episodes.scales import STATS
from mu0_core.training.episodes.settings import TARGETS

OURS = "mu0"


@dataclass(frozen=True)
class ModelSource:
    """A model to evaluate: the name of its row and its folder."""

    name: str
    folder: Path


def find_model(text: str) -> ModelSource:
    """Return what ``[NAME=]FOLDER`` or a model id means.

    Without a name, the row is called like the folder, with ``mu0-`` before it for a model of this
    project and not one to compare with.

    Raises:
        ConfigError: the name is empty, or the folder holds no model.
        UnknownModelError: it is neither a folder nor a registered id.
    """
    name, found, place = text.partition("=")
    if not found or (Path(text).expanduser() / CONFIG).is_file():
        name, place = "", text
    elif not name.strip() or "|" in name:
        raise ConfigError(f"model {text!r}: expected NAME=FOLDER with a name without '|'")
    folder = Path(place).expanduser()
    if (folder / CONFIG).is_file():
        folder = folder.resolve()
    elif folder.is_dir():
        raise ConfigError(f"{folder} holds no {CONFIG}: no checkpoint of a world model")
    else:
        folder = model_folder(place)
    if name:
        return ModelSource(name.strip(), folder)
    own = folder.name
    if own.startswith(OURS) or not is_ours(WorldModelConfig.from_json(folder / CONFIG)):
        return ModelSource(own, folder)
    return ModelSource(f"{OURS}-{own}", folder)


def is_ours(config: WorldModelConfig) -> bool:
    """Say whether a model is one of this project and not one to compare with."""
    return config.trace_head == "flow" and config.trace_knots in SPLINES


def load_model(source: ModelSource) -> tuple[WorldModel, Prompts]:
    """Load a checkpoint of any backbone, on the CPU, and what makes its tokens.

    Raises:
        ConfigError, ModelError, MissingWeightsError: see the messages.
    """
    config = WorldModelConfig.from_json(source.folder / CONFIG)
    if config.delta_scale is None:
        raise ConfigError(f"{source.name}: {CONFIG} has no delta_scale")
    if config.vlm_model_name == EMBEDDED:
        external, language = embedded_parts(config)
        tokenizer = folder_tokenizer(language)
    else:
        external, tokenizer = None, backbone_tokenizer(config, None, [source.folder])
    model = load_world_model(source.folder, external=external)
    return model, Prompts(tokenizer, config.tokenizer_max_length)


def trained_steps(source: ModelSource) -> Steps:
    """Return what one step of a model's traces is; a checkpoint that does not tell: path length.

    Raises:
        ConfigError: its ``meta.json`` names a target that is not known.
    """
    path = source.folder / META
    target = read_json(path).get("target", "arc_length") if path.is_file() else "arc_length"
    if target not in TARGETS:
        raise ConfigError(f"{path}: target {target!r}, expected one of {tuple(TARGETS)}")
    return TARGETS[target]


@dataclass
class ModelMethod:
    """A world model as a `Method`.

    Attributes:
        source: where it lies.
        model: on ``device``; prompts: makes its tokens.
        settings: what it is shown.
        target: what a step is.
        device: where it runs.
        counts: instructions that were cut off.
    """

    source: ModelSource
    model: WorldModel
    prompts: Prompts
    settings: EvaluateSettings
    target: Steps = Steps.ARC_LENGTH
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    counts: Counter = field(default_factory=Counter)
    sampled: bool = True

    def __post_init__(self) -> None:
        config = self.model.config
        self.name, self.steps = self.source.name, config.future_len
        shows_depth = self.settings.depth and config.use_depth
        history = config.history_len if self.settings.history else 1
        self._opening = Opening(history, 1, shows_depth, self.target)
        self._sample = SampleSettings(
            config.delta_scale,
            self._depth_range() if shows_depth else None,
            config.image_size,
            SamplingSettings(n_ctrl=None),
            knots=config.trace_knots,
        )
        self._module = TraceTraining(self.model).eval().to(self.device)
        self._reader: EpisodeReader | None = None

    def forecast(self, scene: Scene, samples: int) -> Forecasts:
        """Sample futures of a scene.

        Raises:
            NonFiniteOutputError: the model produced NaN or infinity.
            DataError: the episode cannot be read as this model needs it.
        """
        return self._run(self._seen(scene), scene, samples)

    def timed(self, scene: Scene) -> float:
        """Return the seconds that one forecast of one sample takes, without reading the data."""
        sample = self._seen(scene)
        started = time.perf_counter()
        self._run(sample, scene, 1)
        return time.perf_counter() - started

    def _seen(self, scene: Scene) -> TraceSample:
        if self._reader is None or self._reader.directory != scene.directory:
            self._reader = self._opening.open(scene.directory)
        return build_sample(
            self._reader, scene.slot, scene.rows, self._sample, instruction=scene.instruction
        )

    @torch.no_grad()
    def _run(self, sample: TraceSample, scene: Scene, samples: int) -> Forecasts:
        seen, _, cut = observe([sample], self.prompts, self.settings.history)
        self.counts["cut"] += cut
        paths, motion = sampled_paths(
            self._module,
            seen,
            [scene.key],
            samples,
            self.model.config,
            self.device,
            self.settings.first_noise,
        )
        if not bool(torch.isfinite(paths).all()):
            raise NonFiniteOutputError(
                f"{self.name} forecast NaN or infinity for {scene.directory}, frame {scene.frame}"
            )
        return Forecasts(paths[0].numpy(), None if motion is None else motion[0].numpy())

    def _depth_range(self) -> tuple[float, float]:
        path = self.source.folder / STATS
        found = Normalizer.from_file(path).depth_log_range if path.is_file() else None
        if found is None:
            raise DataError(f"{self.name}: {path} is missing or holds no depth range")
        return found
