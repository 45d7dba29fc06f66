# SPDX-License-Identifier: Apache-2.0
"""``mu0 film``: films by task and seed, continued where it stopped."""

from __future__ import annotations

from pathlib import Path

import pytest

from mu0_core.cli import film as film_command
from mu0_core.cli.main import main
from mu0_core.simulation import film as film_module


@pytest.fixture
def filmed(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """Make empty folders in place of films and return what was asked for."""
    calls: list[tuple] = []

    def film(folder: Path, task: str, seed: int, settings: film_module.FilmSettings) -> None:
        calls.append((folder.name, task, seed, settings))
        folder.mkdir(parents=True)

    monkeypatch.setattr(film_module, "film", film)
    return calls


def test_every_task_and_seed_is_filmed_once(tmp_path, filmed, capsys):
    arguments = ["film", "--out", str(tmp_path), "--tasks", "stack_cubes,push_left"]
    arguments += ["--seeds", "49999:50001", "--camera", "moving", "--frames", "7"]
    assert main(arguments) == 0
    assert [name for name, *_ in filmed] == [
        "moving_stack_cubes_49999",
        "moving_stack_cubes_50000",
        "moving_push_left_49999",
        "moving_push_left_50000",
    ]
    settings = filmed[0][3]
    assert (settings.camera, settings.frames, settings.textured) == ("moving", 7, True)
    assert settings.noise is not None and "4 filmed, 0 were there" in capsys.readouterr().out


def test_films_that_are_there_are_left_alone(tmp_path, filmed, capsys):
    (tmp_path / "static_push_left_49000").mkdir()
    assert main(["film", "--out", str(tmp_path), "--seeds", "49000:49001"]) == 0
    assert len(filmed) == 5 and "push_left" not in {task for _, task, *_ in filmed}
    assert main(["film", "--out", str(tmp_path), "--seeds", "49000:49001"]) == 0
    assert len(filmed) == 5 and "0 filmed, 6 were there" in capsys.readouterr().out


def test_plain_and_exact_turn_texture_and_noise_off(tmp_path, filmed):
    main(["film", "--out", str(tmp_path), "--tasks", "push_left", "--plain", "--exact"])
    settings = filmed[0][3]
    assert not settings.textured and settings.noise is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tasks", "juggle"], "juggle"),
        (["--seeds", "9:3"], "FIRST:END"),
        (["--frames", "0"], "frames 0"),
        (["--workers", "0"], "--workers 0"),
    ],
)
def test_impossible_arguments_are_one_line(tmp_path, filmed, capsys, arguments, message):
    assert main(["film", "--out", str(tmp_path / "films"), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not filmed and not (tmp_path / "films").exists()


def test_two_workers_make_the_same_films_as_one(tmp_path):
    from mu0_core.simulation.film import FilmSettings, film_name

    settings = FilmSettings(frames=2, width=64, height=48)
    for name, workers in (("one", 1), ("two", 2)):
        jobs = [
            (tmp_path / name / film_name(settings, "push_left", seed), "push_left", seed, settings)
            for seed in (1, 2)
        ]
        assert list(film_command._films(jobs, workers)) == [None, None]
    files = [p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*.*")]
    assert len(files) > 20
    for path in files:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes()
