# SPDX-License-Identifier: Apache-2.0
"""All settings of a training on episodes; a YAML file is a view of `EpisodeTraining`.

Defaults are those of the μ0 paper where it has one; every other choice is off.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mu0_core.data.augment import AugmentSettings
from mu0_core.data.episode import Steps
from mu0_core.data.sampling import HEADLINE_OFFSETS
from mu0_core.errors import ConfigError
from mu0_core.training.episodes.methods import METHODS
from mu0_core.training.flow_time import FlowTime

TARGETS = {"arc_length": Steps.ARC_LENGTH, "time": Steps.TIME}
KNOTS = {"released": "bezier", "uniform": "uniform"}


def _one_of(name: str, value: object, allowed: tuple) -> None:
    if value not in allowed:
        raise ConfigError(f"{name}={value!r}: expected one of {allowed}")


def _at_least(low: float, **values: float | None) -> None:
    for name, value in values.items():
        if value is not None and not value >= low:
            raise ConfigError(f"{name}={value}: expected at least {low}")


def _share(**values: float) -> None:
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise ConfigError(f"{name}={value}: expected a number in 0..1")


@dataclass(frozen=True, slots=True)
class DataSettings:
    """What is learned from.

    Attributes:
        episodes: folders and glob patterns; each is split into training and held-out episodes.
        split_file: JSON with the lists ``train`` and ``held_out``; replaces ``episodes``.
        held_out_share: share of each pattern's episodes that is held out, at least one.
        split_seed: of that choice.
        points_min, points_max: query points of a sample.
        min_future_motion: least movement in uv of a point that is drawn, or None.
        history: show the past of the points.
        depth: show depth images; None = if the model reads them.
        target: "arc_length" (released) or "time": one step of a trace is one frame.
        captions: "required" refuses data without any instruction, "optional" does not.
        augment: changes of colour and depth; zeros for none.
        workers: loader processes of each training process; 0 loads while nothing is computed.
        prefetch: batches that each loader process prepares ahead.
        feature_folder: folder where what the frozen tower makes of each frame is kept, for this
            and other trainings; None computes it each time. Needs ``augment.jitter`` 0.
        normalizer_episodes: most episodes that the normaliser is measured on, drawn at random.
    """

    episodes: tuple[str, ...] = ()
    split_file: str | None = None
    held_out_share: float = 0.05
    split_seed: int = 0
    points_min: int = 1
    points_max: int = 256
    min_future_motion: float | None = None
    history: bool = True
    depth: bool | None = None
    target: str = "arc_length"
    captions: str = "required"
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    workers: int = 4
    prefetch: int = 4
    feature_folder: str | None = None
    normalizer_episodes: int = 500

    def __post_init__(self) -> None:
        if not 1 <= self.points_min <= self.points_max <= 256:
            raise ConfigError(
                f"points_min={self.points_min}, points_max={self.points_max}: "
                "expected 1 <= points_min <= points_max <= 256"
            )
        if not 0 < self.held_out_share < 1:
            raise ConfigError(f"held_out_share={self.held_out_share}: expected between 0 and 1")
        _at_least(0, workers=self.workers, min_future_motion=self.min_future_motion)
        _at_least(1, prefetch=self.prefetch, normalizer_episodes=self.normalizer_episodes)
        _one_of("target", self.target, tuple(TARGETS))
        _one_of("captions", self.captions, ("required", "optional"))


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Which architecture is trained. None leaves a value as the architecture has it.

    Attributes:
        architecture: "embedded", "tiny" (random, to try things out), or a folder with a
            ``config.json`` and the sizes of its backbone. None = that of the checkpoint that is
            learned on from, else "embedded".
        backbone: folder of pretrained SmolVLM weights; point_features: of DINOv2 weights. For a
            new model whose ``architecture`` is a folder.
        tokenizer: folder of the backbone's tokenizer; None = found from the architecture.
        history_len, future_len, control_points: steps back, steps ahead, spline size.
        max_tokens: of an instruction; more are cut off and counted.
        knots: "released" or "uniform" (C2).
        query_depth: embed the depth of query points, ``depth_log_range`` in ln metres.
        point_map: False hides what the tower sees at the query points (ablation).
        output: "velocity" (released) or "curve": what the expert predicts of the flow. The second
            needs not learn to repeat the noise and gets there in fewer updates.
        method: "mu0", or a model to compare it with, see `methods`.
    """

    architecture: str | None = None
    backbone: str | None = None
    point_features: str | None = None
    tokenizer: str | None = None
    history_len: int | None = None
    future_len: int | None = None
    control_points: int | None = None
    max_tokens: int | None = None
    knots: str | None = None
    query_depth: bool | None = None
    depth_log_range: tuple[float, float] | None = None
    point_map: bool | None = None
    output: str | None = None
    method: str = "mu0"

    def __post_init__(self) -> None:
        _one_of("knots", self.knots, (None, *KNOTS))
        _one_of("method", self.method, METHODS)
        _one_of("output", self.output, (None, "velocity", "curve"))


@dataclass(frozen=True, slots=True)
class LossSettings:
    """The objective, and what is hidden from the model while it learns.

    Attributes:
        done_weight, rigidity_weight: of these terms beside flow matching.
        depth_dropout: share of the samples whose depth image is hidden.
        history_dropout: share of the samples whose whole history is hidden.
        history_point_dropout: share of the points of the others whose own history is.
        flow_time: which flow times are visited.
    """

    done_weight: float = 0.5
    rigidity_weight: float = 5.0
    depth_dropout: float = 0.7
    history_dropout: float = 0.5
    history_point_dropout: float = 0.3
    flow_time: FlowTime = field(default_factory=lambda: FlowTime(least=0.001, exponent=1.5))

    def __post_init__(self) -> None:
        _at_least(0, done_weight=self.done_weight, rigidity_weight=self.rigidity_weight)
        _share(
            depth_dropout=self.depth_dropout,
            history_dropout=self.history_dropout,
            history_point_dropout=self.history_point_dropout,
        )


@dataclass(frozen=True, slots=True)
class OptimiserSettings:
    """AdamW.

    Attributes:
        learning_rate: constant, or the peak of a half cosine down to ``floor`` (``cosine``).
        warmup_steps: linear rise at the start; 1 = none.
        clip_norm: largest gradient norm.
        average: evaluate and export a moving average of the parameters.
    """

    learning_rate: float = 1e-4
    cosine: bool = False
    floor: float = 0.0
    warmup_steps: int = 1
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    weight_decay: float = 1e-10
    clip_norm: float = 10.0
    average: bool = False


@dataclass(frozen=True, slots=True)
class EvaluationSettings:
    """The measurement on held-out episodes.

    Attributes:
        every: updates between two.
        samples: S of best-of-S; points: query points of a sample.
        offsets: which usable slots of an episode, by time from 0; the last one of a shorter one.
        batches, batch_size: at most so many samples.
        history: show the past of the points.
    """

    every: int = 1000
    samples: int = 5
    points: int = 16
    offsets: tuple[int, ...] = HEADLINE_OFFSETS
    batches: int = 20
    batch_size: int = 8
    history: bool = False

    def __post_init__(self) -> None:
        for name in ("every", "samples", "points", "batches", "batch_size"):
            _at_least(1, **{name: getattr(self, name)})
        if not self.offsets or min(self.offsets) < 0:
            raise ConfigError(f"offsets={self.offsets}: expected indices from 0")


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How long, on how much, and what is kept.

    Attributes:
        steps: updates in all.
        batch_size: samples of an update, over all processes.
        accumulation: parts that each process computes its share of an update in.
        precision: "fp32", or "bf16": computed in bfloat16, parameters stay in float32.
        gradient_checkpointing: recompute expert layers in the backward pass to save memory.
        seed: of the initial weights, the order of the data and all draws.
        save_every: updates between two states.
        max_skipped: updates in a row without a finite loss that end the training.
        trackers: names known to accelerate: "tensorboard", "wandb", ...
        save_dtype: of the exported tensors; None = float16 for "embedded", else float32.
    """

    steps: int = 200_000
    batch_size: int = 16
    accumulation: int = 1
    precision: str = "fp32"
    gradient_checkpointing: bool = False
    seed: int = 0
    save_every: int = 1000
    max_skipped: int = 20
    trackers: tuple[str, ...] = ("tensorboard",)
    save_dtype: str | None = None

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "accumulation", "save_every", "max_skipped"):
            _at_least(1, **{name: getattr(self, name)})
        _at_least(0, seed=self.seed)
        _one_of("precision", self.precision, ("fp32", "bf16"))
        _one_of("save_dtype", self.save_dtype, (None, "float32", "bfloat16", "float16"))


@dataclass(frozen=True, slots=True)
class FineTuneSettings:
    """Learning on from a checkpoint.

    Attributes:
        start: its folder, or None for a new model.
        lora_rank: train adapters of this rank on the expert's layers instead of everything; 0 =
            everything. They are merged into the weights of what is exported.
        lora_alpha: scale of the adapters times their rank; None = twice the rank.
        normalizer: "keep" that of the checkpoint or "recompute" it from the data.
        accept: differences from the checkpoint that are meant: names as in the error.
    """

    start: str | None = None
    lora_rank: int = 0
    lora_alpha: float | None = None
    normalizer: str = "keep"
    accept: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _at_least(0, lora_rank=self.lora_rank)
        _one_of("normalizer", self.normalizer, ("keep", "recompute"))
        if self.start is None and (self.lora_rank or self.accept):
            raise ConfigError("lora_rank and accept need a checkpoint to start from (start)")


@dataclass(frozen=True, slots=True)
class EpisodeTraining:
    """All settings of a training."""

    data: DataSettings = field(default_factory=DataSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    losses: LossSettings = field(default_factory=LossSettings)
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    run: RunSettings = field(default_factory=RunSettings)
    fine_tune: FineTuneSettings = field(default_factory=FineTuneSettings)

    def __post_init__(self) -> None:
        if bool(self.data.episodes) == (self.data.split_file is not None):
            raise ConfigError("give either data.episodes or data.split_file")
