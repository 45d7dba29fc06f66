# SPDX-License-Identifier: Apache-2.0
"""Settings are one tree of dataclasses; shipped files are views of it."""

from pathlib import Path

from mu0_core.trace_extract.settings import ExtractSettings
from mu0_core.trace_extract.stages.segments import PAPER, SHORT
from mu0_core.yaml_settings import read_settings

CONFIG = Path(__file__).parents[3] / "config" / "extract"


def test_the_defaults_are_the_papers():
    s = ExtractSettings()
    assert (s.keypoints.every_frames, s.keypoints.points_per_entity) == (5, 48)
    assert (s.keypoints.clusters.merge_share, s.keypoints.clusters.merge_rounds) == (0.25, 11)
    assert (s.camera.max_anchors, s.reconstruction.chunk) == (60, 60)
    assert (s.slots.moving.min_displacement_px, s.slots.moving.window_frames) == (40, 64)
    assert (s.filters.min_coverage, s.filters.coverage_grid) == (0.6, 16)
    assert s.read.fps == 10 and s.segments == PAPER


def test_the_tabletop_file_is_the_short_preset_and_nothing_else():
    settings = read_settings(ExtractSettings, CONFIG / "tabletop.yaml")
    assert settings.segments == SHORT
    assert settings == ExtractSettings(segments=SHORT)


def test_values_on_the_command_line_beat_the_file():
    settings = read_settings(
        ExtractSettings, CONFIG / "tabletop.yaml", ["segments.min_frames=12", "read.fps=5"]
    )
    assert settings.segments.min_frames == 12 and settings.read.fps == 5
