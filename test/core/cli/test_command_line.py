# SPDX-License-Identifier: Apache-2.0
"""``mu0``: what is imported when, help, error lines and exit codes."""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys

import pytest

from mu0_core.cli import main as command_line
from mu0_core.errors import ConfigError, Mu0Error


def _fake_command(monkeypatch: pytest.MonkeyPatch, run) -> None:
    """Put a command in the place of ``doctor``."""
    module = importlib.import_module("mu0_core.cli.doctor")
    monkeypatch.setattr(module, "add_arguments", lambda parser: None)
    monkeypatch.setattr(module, "run", run)


def test_help_imports_no_heavy_library() -> None:
    code = (
        "import sys; from mu0_core.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'numpy', 'torch', 'mujoco', 'cv2', 'rclpy', 'tqdm'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in command_line.COMMANDS)


@pytest.mark.parametrize("name", sorted(command_line.COMMANDS))
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        command_line.main([name, "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert f"mu0 {name}" in text
    assert command_line.COMMANDS[name][1:].split(",")[0] in " ".join(text.split())


@pytest.mark.parametrize("name", sorted(command_line.COMMANDS))
def test_every_option_has_a_help_text(name: str) -> None:
    parser = command_line._parser([name])
    commands = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    pending, seen = [commands.choices[name]], 0
    while pending:
        for action in pending.pop()._actions:
            seen += 1
            if isinstance(action, argparse._SubParsersAction):
                pending += action.choices.values()
            else:
                assert action.help, f"mu0 {name}: {action.option_strings or action.dest}"
    assert seen


@pytest.mark.parametrize("arguments", [[], ["fly"], ["doctor", "--fly"], ["forecast"]])
def test_wrong_usage_exits_with_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        command_line.main(arguments)
    assert end.value.code == 2
    assert "usage: mu0" in capsys.readouterr().err


def test_an_error_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(args: argparse.Namespace) -> int:
        raise ConfigError("seven is\n   not allowed")

    _fake_command(monkeypatch, run)
    assert command_line.main(["doctor"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "mu0 doctor: INVALID_REQUEST: seven is not allowed\n"
    assert captured.out == ""


def test_a_defect_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(args: argparse.Namespace) -> int:
        raise ZeroDivisionError

    _fake_command(monkeypatch, run)
    assert not issubclass(ZeroDivisionError, Mu0Error)
    with pytest.raises(ZeroDivisionError):
        command_line.main(["doctor"])


def test_ctrl_c_exits_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(args: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    _fake_command(monkeypatch, run)
    assert command_line.main(["doctor"]) == 130
    assert capsys.readouterr().err == "mu0 doctor: interrupted\n"


@pytest.mark.parametrize("code", [0, 1])
def test_the_command_decides_the_exit_code(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    _fake_command(monkeypatch, lambda args: code)
    assert command_line.main(["doctor"]) == code
