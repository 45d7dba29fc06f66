# SPDX-License-Identifier: Apache-2.0
"""``mu0 demo``: the story it tells, the pictures and the report, from made-up facts."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mu0_core.cli import demo_report
from mu0_core.cli.demo import DEFAULT_SEED, DEFAULT_TASKS, Story
from mu0_core.cli.main import main
from mu0_core.simulation.layout import FIRST_EVALUATION_SEED, sample_layout
from mu0_core.simulation.tasks import TASKS
from mu0_core.spline.basis import bezier_knots


def _story() -> Story:
    story = Story()
    for fact in (
        {"event": "ready"},
        {"event": "task", "task": "press_button", "instruction": "press the button"},
        {"event": "motion"},
        {"event": "progress", "progress": 0.5, "forecasts": 2},
        {"event": "end", "success": True, "message": "", "elapsed_s": 7.5},
        {"event": "task", "task": "push_left", "instruction": "push the red cube to the left"},
    ):
        story.tell(fact)
    story.note_memory({"a": 100.0, "b": 50.0})
    story.note_memory({"a": 90.0})
    return story


def test_default_scene_asks_for_different_cubes_and_pushes_first() -> None:
    names = DEFAULT_TASKS.split(",")
    assert len(names) >= 3 and set(names) <= set(TASKS)
    assert names.index("push_left") < names.index("cube_in_bowl")
    assert DEFAULT_SEED >= FIRST_EVALUATION_SEED
    targets = sample_layout(DEFAULT_SEED).targets
    assert targets["push_left"][0] != targets["cube_in_bowl"][0]


def test_story_keeps_what_happened(capsys: pytest.CaptureFixture[str]) -> None:
    story = _story()
    assert story.rows[0] == {
        "task": "press_button",
        "instruction": "press the button",
        "success": True,
        "elapsed_s": 7.5,
        "message": "",
    }
    assert story.first_motion_s is not None and story.ready_s is not None
    assert story.memory_mb == 150.0
    printed = capsys.readouterr().out
    assert "> press the button" in printed and "[##########          ]" in printed
    assert "achieved after 7.5 s" in printed


def test_report_tells_also_of_a_task_that_did_not_end(tmp_path: Path) -> None:
    compared = [
        demo_report.Compared("forecast_00.png", "press_button", "press the button", 0.031, True)
    ]
    live = [("live_00.png", "press the button"), ("live_01.png", "press the button")]
    demo_report.write_report(tmp_path, 50_003, _story(), live, compared)
    text = (tmp_path / "report.md").read_text()
    assert "| press_button | press the button | yes | 7.5 s |" in text
    assert "| push_left | push the red cube to the left | did not end |" in text
    assert "| press_button | 3.1 cm | achieved |" in text
    assert "live_00.png" in text and "live_01.png" not in text
    assert "150 MB" in text


def test_live_forecasts_become_pictures(tmp_path: Path) -> None:
    control = np.zeros((1, 10, 3), np.float32)
    control[..., 0] = np.linspace(-0.1, 0.1, 10)
    control[..., 2] = 0.8
    np.savez(
        tmp_path / "live_00.npz",
        rgb=np.zeros((48, 64, 3), np.uint8),
        control_points=control,
        knots=bezier_knots(10),
        degree=3,
        valid_until=np.ones(1),
        intrinsics=np.array([64, 48, 60.0, 60.0, 31.5, 23.5]),
        instruction="go",
    )
    assert demo_report.draw_live(tmp_path) == [("live_00.png", "go")]
    assert not (tmp_path / "live_00.npz").exists()
    picture = cv2.imread(str(tmp_path / "live_00.png"))
    assert picture[24, 28:36].max() > 100  # the line crosses the centre
    assert picture[40:].max() == 0


@pytest.mark.parametrize(
    "options", [["--tasks", "juggle"], ["--seed", "-1"], ["--max-duration", "0"]]
)
def test_wrong_arguments_start_nothing(options: list[str], tmp_path: Path) -> None:
    assert main(["demo", *options, "--out", str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists()
