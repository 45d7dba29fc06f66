# SPDX-License-Identifier: Apache-2.0
"""``mu0 forecast``: reading images and depth, refusing what cannot be lifted."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from mu0_core.cli import forecast as command
from mu0_core.cli.main import main
from mu0_core.errors import ConfigError, ObservationError
from mu0_core.inference import runtime
from mu0_core.testing.fakes import FakeForecaster, FakeSelector

WIDTH, HEIGHT = 64, 48


@pytest.fixture
def colour(tmp_path: Path) -> Path:
    """A picture whose red grows to the right and whose blue grows downwards."""
    bgr = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    bgr[..., 2] = np.arange(WIDTH) * 3
    bgr[..., 0] = np.arange(HEIGHT)[:, None] * 4
    cv2.imwrite(str(tmp_path / "rgb.png"), bgr)
    return tmp_path / "rgb.png"


@pytest.fixture
def depth(tmp_path: Path) -> Path:
    """0.8 m everywhere, nothing measured in the first row."""
    metres = np.full((HEIGHT, WIDTH), 0.8, np.float32)
    metres[0] = 0.0
    np.save(tmp_path / "depth.npy", metres)
    return tmp_path / "depth.npy"


def test_millimetres_and_metres_give_the_same_frame(
    colour: Path, depth: Path, tmp_path: Path
) -> None:
    metres = np.load(depth)
    cv2.imwrite(str(tmp_path / "mm.png"), np.round(metres * 1000).astype(np.uint16))
    frames = [command.read_frame(colour, f, 42.0) for f in (depth, tmp_path / "mm.png")]
    np.testing.assert_allclose(frames[0].depth_m, frames[1].depth_m)
    assert np.isnan(frames[0].depth_m[0]).all() and np.isfinite(frames[0].depth_m[1:]).all()
    assert frames[0].rgb[5, 10].tolist() == [30, 0, 20]


def test_field_of_view_spans_the_image(colour: Path, depth: Path) -> None:
    camera = command.read_frame(colour, depth, 60.0).intrinsics
    edge = np.arctan((camera.height / 2) / camera.fy)
    assert np.degrees(2 * edge) == pytest.approx(60.0)
    assert (camera.cx, camera.cy) == ((WIDTH - 1) / 2, (HEIGHT - 1) / 2)


def test_without_depth_it_refuses(colour: Path) -> None:
    with pytest.raises(ObservationError, match="--assume-plane-depth-m"):
        command.read_frame(colour, None, 42.0)


def test_an_assumed_plane_is_flat(colour: Path) -> None:
    assert np.unique(command.read_frame(colour, None, 42.0, 0.7).depth_m) == np.float32(0.7)


@pytest.mark.parametrize("metres", [0.0, -1.0, float("nan"), float("inf")])
def test_a_plane_must_lie_in_front(colour: Path, metres: float) -> None:
    with pytest.raises(ConfigError, match="outside"):
        command.read_frame(colour, None, 42.0, metres)


@pytest.mark.parametrize("degrees", [0.0, 180.0, float("nan")])
def test_field_of_view_is_checked(colour: Path, depth: Path, degrees: float) -> None:
    with pytest.raises(ConfigError, match="fovy"):
        command.read_frame(colour, depth, degrees)


@pytest.mark.parametrize(
    "name", ["absent.png", "text.png", "absent.npy", "pickle.npy", "small.npy"]
)
def test_unusable_depth_is_named(colour: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "text.png").write_text("no picture")
    np.save(tmp_path / "pickle.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "small.npy", np.ones((4, 4), np.float32))
    with pytest.raises(ObservationError):
        command.read_frame(colour, tmp_path / name, 42.0)


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """No weights."""
    monkeypatch.setattr(runtime, "load_forecaster", lambda model_id: FakeForecaster())
    monkeypatch.setattr(runtime, "make_selector", FakeSelector)


@pytest.mark.parametrize("source", ["depth", "plane"])
def test_command_writes_overlay_and_traces(
    fakes, colour: Path, depth: Path, tmp_path: Path, source: str
) -> None:
    out = tmp_path / "out"
    lift = ["--depth", str(depth)] if source == "depth" else ["--assume-plane-depth-m", "0.8"]
    arguments = [str(colour), "--instruction", "push the cube", "--points", "9", *lift]
    assert main(["forecast", *arguments, "--samples", "2", "--out", str(out)]) == 0
    overlay = cv2.imread(str(out / "overlay.png"))
    assert overlay.shape == (HEIGHT, WIDTH, 3)
    assert not np.array_equal(overlay, cv2.imread(str(colour)))
    content = json.loads((out / "traces.json").read_text())
    with np.load(out / "traces.npz", allow_pickle=False) as arrays:
        count = len(arrays["query_uv_px"])
        assert 1 <= count <= 9
        assert arrays["control_points_m"].shape == (count, 10, 3)
        assert "spread_m" in arrays
        np.testing.assert_allclose(
            content["control_points_m"], arrays["control_points_m"], atol=1e-5
        )
    assert content["instruction"] == "push the cube"


def test_command_without_depth_is_one_error_line(
    fakes, colour: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["forecast", str(colour), "--instruction", "push", "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("mu0 forecast: OBSERVATION_INVALID: ") and error.count("\n") == 1
    assert not out.exists()
