# SPDX-License-Identifier: Apache-2.0
"""``mu0 doctor``: what is missing is named with its repair, and decides the exit code."""

from __future__ import annotations

import pytest

from mu0_core.cli import doctor
from mu0_core.cli.main import main
from mu0_core.errors import MissingWeightsError

GROUPS = ("_python", "_models", "_weights", "_renderer", "_ros")


def _only(monkeypatch: pytest.MonkeyPatch, *checks: doctor.Check) -> None:
    for name in GROUPS:
        monkeypatch.setattr(doctor, name, list)
    monkeypatch.setattr(doctor, "_python", lambda: list(checks))


def test_all_fine(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _only(monkeypatch, doctor.Check("arm", True, "two"))
    assert main(["doctor"]) == 0
    assert "the demo can run" in capsys.readouterr().out


def test_a_missing_part_is_named_with_its_repair(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _only(
        monkeypatch, doctor.Check("arm", False, "none", "buy one"), doctor.Check("eye", True, "")
    )
    assert main(["doctor"]) == 1
    printed = capsys.readouterr().out
    assert "MISS arm" in printed and "-> buy one" in printed
    assert "the demo cannot run: arm" in printed


def test_an_optional_part_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    _only(monkeypatch, doctor.Check("moveit", False, "absent", needed=False))
    assert main(["doctor"]) == 0


@pytest.mark.parametrize(
    "error", [MissingWeightsError("no weights; run: x"), ImportError("no cv2")]
)
def test_a_failing_check_is_a_finding_not_a_crash(error: Exception) -> None:
    def fail() -> str:
        raise error

    check = doctor._try("weights", fail, "fetch them")
    assert not check.ok and check.needed and check.found and check.repair
    assert "run:" not in check.found


def test_an_empty_model_folder_is_a_finding(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("MU0_MODEL_DIR", str(tmp_path))
    checks = doctor._models()
    assert len(checks) == 2
    assert not any(check.ok for check in checks)


def test_a_running_camera_is_asked_instead_of_the_installation(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _only(monkeypatch, doctor.Check("arm", False, "none"))
    found = [doctor.Check("images", True, "pairs"), doctor.Check("camera and depth", True, "1 m")]
    monkeypatch.setattr(doctor, "_camera", lambda args: list(found))
    assert main(["doctor", "--camera", "-r", "color/image_raw:=/a"]) == 0
    assert "forecasts can be made from this camera" in capsys.readouterr().out
    found.append(doctor.Check("depth on colour", False, "12 px to the right", "align"))
    assert main(["doctor", "--camera"]) == 1
    assert "forecasts cannot be made from this camera: depth on colour" in capsys.readouterr().out


def test_a_camera_is_not_waited_for_without_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--camera", "--seconds", "200"]) == 2
    assert "--seconds 200.0 is outside 0.5 to 60" in capsys.readouterr().err
