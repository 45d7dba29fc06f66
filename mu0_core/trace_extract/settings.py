# SPDX-License-Identifier: Apache-2.0
"""All settings of an extraction in one place, each stage's own dataclass as a part.

The defaults are the paper's where it states them; the presets change what clips of that source
need.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mu0_core.trace_extract.sources.reading import ReadSettings
from mu0_core.trace_extract.stages.camera_motion import CameraMotionSettings
from mu0_core.trace_extract.stages.captions import CaptionSettings
from mu0_core.trace_extract.stages.filters import FilterSettings
from mu0_core.trace_extract.stages.keypoints import KeypointSettings
from mu0_core.trace_extract.stages.reconstruction import ReconstructionSettings
from mu0_core.trace_extract.stages.rigid_groups import RigidSettings
from mu0_core.trace_extract.stages.segments import SegmentSettings
from mu0_core.trace_extract.stages.slots import SlotSettings


@dataclass(frozen=True, slots=True)
class BackendSettings:
    """Which models stand behind the stages, by name (see the registries).

    Attributes:
        depth: model for clips without depth; "" = none.
        reconstruction: model that gives depth and camera poses of clips without either; "" = none.
        tracker: that follows points.
        captioner: that writes sentences; captioner_options: fields of its own settings.
        saliency, hands: whether these priors add keypoints.
        device: of torch models.
    """

    depth: str = ""
    reconstruction: str = ""
    tracker: str = "embedded"
    captioner: str = "template"
    captioner_options: dict[str, str] = field(default_factory=dict)
    saliency: bool = False
    hands: bool = False
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class ExtractSettings:
    """Everything that determines what an extraction yields."""

    read: ReadSettings = field(default_factory=ReadSettings)
    backends: BackendSettings = field(default_factory=BackendSettings)
    camera: CameraMotionSettings = field(default_factory=CameraMotionSettings)
    reconstruction: ReconstructionSettings = field(default_factory=ReconstructionSettings)
    keypoints: KeypointSettings = field(default_factory=KeypointSettings)
    rigid: RigidSettings = field(default_factory=RigidSettings)
    filters: FilterSettings = field(default_factory=FilterSettings)
    slots: SlotSettings = field(default_factory=SlotSettings)
    segments: SegmentSettings = field(default_factory=SegmentSettings)
    captions: CaptionSettings = field(default_factory=CaptionSettings)
