# SPDX-License-Identifier: Apache-2.0
"""The pictures and the report that ``mu0 demo`` leaves behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from mu0_core.cli.demo import Story


@dataclass(frozen=True, slots=True)
class Compared:
    """One picture of a forecast against the truth."""

    picture: str
    task: str
    instruction: str
    error_m: float
    demonstration_achieved: bool


def compare_with_truth(out: Path, tasks: list[str], seed: int, model_id: str) -> list[Compared]:
    """Draw ``forecast_NN_TASK.png``: a forecast and a scripted demonstration from one state."""
    from mu0_core.evaluation.demonstrated import demonstrate
    from mu0_core.inference import runtime
    from mu0_core.simulation.world import TableWorld

    forecaster, world = runtime.load_forecaster(model_id), TableWorld()
    compared = []
    try:
        pairs = demonstrate(world, tasks, seed, runtime.make_selector(), forecaster)
        for k, pair in enumerate(pairs):
            name = f"forecast_{k:02d}_{pair.task}.png"
            _write(out / name, pair.picture(), pair.forecast.instruction)
            compared.append(
                Compared(
                    name,
                    pair.task,
                    pair.forecast.instruction,
                    pair.average_error_m(),
                    pair.achieved,
                )
            )
    finally:
        world.close()
    return compared


def draw_live(out: Path) -> list[tuple[str, str]]:
    """Draw every ``live_NN.npz`` into its image; return (file name, instruction)."""
    import numpy as np

    from mu0_core.evaluation.overlay import draw_paths
    from mu0_core.geometry import camera
    from mu0_core.spline.basis import design_matrix
    from mu0_core.types import CameraIntrinsics

    drawn = []
    for path in sorted(out.glob("live_*.npz")):
        with np.load(path, allow_pickle=False) as kept:
            width, height, *rest = kept["intrinsics"].tolist()
            intrinsics = CameraIntrinsics(int(width), int(height), *rest)
            basis = design_matrix(kept["knots"], int(kept["degree"]), np.linspace(0, 1, 33))
            points = np.einsum("hd,ndc->nhc", basis, kept["control_points"].astype(float))
            picture = draw_paths(kept["rgb"], camera.project(points, intrinsics)[..., :2])
            instruction = str(kept["instruction"])
        _write(path.with_suffix(".png"), picture, instruction)
        path.unlink()
        drawn.append((f"{path.stem}.png", instruction))
    return drawn


def _write(path: Path, rgb: np.ndarray, caption: str) -> None:
    import cv2

    cv2.putText(
        rgb, caption, (10, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (20, 20, 20), 1, cv2.LINE_AA
    )
    cv2.imwrite(str(path), rgb[..., ::-1])


def write_report(
    out: Path, seed: int, story: Story, live: list[tuple[str, str]], compared: list[Compared]
) -> None:
    """Write ``report.md``."""
    lines = [
        "# Demo",
        "",
        f"Scene {seed}; simulator and nodes as separate processes over ROS 2.",
        "",
        "| task | instruction | achieved | time | end |",
        "|---|---|---|---|---|",
    ]
    for row in story.rows:
        achieved = {True: "yes", False: "no", None: "did not end"}[row.get("success")]
        lines.append(
            f"| {row['task']} | {row['instruction']} | {achieved} | {row.get('elapsed_s', '?')} s "
            f"| {row.get('message', '')} |"
        )
    lines += [
        "",
        f"- nodes ready after {_seconds(story.ready_s)}, first motion after "
        f"{_seconds(story.first_motion_s)}",
        f"- resident memory of all nodes together: {story.memory_mb:.0f} MB",
        "- video, at twice real time: [demo.mp4](demo.mp4)",
        "",
        "## Forecast against truth",
        "",
        "Solid: the forecast, blue now to red later. Dashed white: the true traces of a scripted",
        "demonstration from the same state. Error: mean distance over the points that move.",
        "",
        "| task | error | demonstration |",
        "|---|---|---|",
    ]
    lines += [
        f"| {c.task} | {c.error_m * 100:.1f} cm | "
        f"{'achieved' if c.demonstration_achieved else 'not achieved'} |"
        for c in compared
    ]
    lines += ["", *(f"![{c.instruction}]({c.picture})" for c in compared), ""]
    firsts = {instruction: name for name, instruction in reversed(live)}
    lines += ["## What the arm acted on", "", "The first live forecast of each task:", ""]
    lines += [f"![{text}]({name})" for text, name in reversed(firsts.items())]
    (out / "report.md").write_text("\n".join(lines) + "\n")


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f} s"
