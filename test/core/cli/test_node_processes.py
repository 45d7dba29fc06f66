# SPDX-License-Identifier: Apache-2.0
"""Node processes: started, watched, ended whatever happens. Scripts stand in."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from mu0_core.cli import processes
from mu0_core.cli.processes import NodeProcesses, ProcessError

_NODE = (
    "import signal, sys, time\n"
    "signal.signal(signal.SIGINT, lambda *_: sys.exit(0))\n"
    "print('up', flush=True)\n"
    "time.sleep({life_s})\n"
)


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Return a function: seconds that each node lives -> NodeProcesses."""
    monkeypatch.setattr(
        processes, "_environment", lambda: {**os.environ, "PYTHONPATH": str(tmp_path)}
    )

    def make(*lives_s: float) -> NodeProcesses:
        names = tuple(f"node{k}" for k in range(len(lives_s)))
        scripts = {n: _NODE.format(life_s=s) for n, s in zip(names, lives_s)}
        monkeypatch.setattr(
            NodeProcesses, "_command", lambda self, name: [sys.executable, "-c", scripts[name]]
        )
        return NodeProcesses(log_dir=tmp_path / "log", nodes=names)

    return make


def _client(tmp_path: Path, code: str) -> str:
    (tmp_path / "a_client.py").write_text(code)
    return "a_client"


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _pids(started: NodeProcesses) -> list[int]:
    return [process.pid for process in started._processes.values()]


def test_facts_are_the_json_lines_of_the_client(nodes, tmp_path: Path) -> None:
    module = _client(
        tmp_path, "import sys\nprint('noise')\nprint('{\"n\": %d}' % len(sys.argv))\n"
    )
    with nodes(60.0, 60.0) as started:
        pids = _pids(started)
        assert list(started.facts(module, ["x"])) == [{"n": 2}]
        assert set(started.resident_mb()) == {"node0", "node1"}
        assert started.ended() == []
    assert not any(_is_alive(pid) for pid in pids)


def test_a_failing_client_is_an_error_that_names_the_logs(nodes, tmp_path: Path) -> None:
    module = _client(tmp_path, "raise SystemExit(2)")
    with nodes(60.0) as started, pytest.raises(ProcessError, match=r"ended with 2 .*log"):
        list(started.facts(module, []))


@pytest.mark.parametrize("ignores", [False, True])
def test_a_dead_node_interrupts_the_client(nodes, tmp_path: Path, ignores: bool) -> None:
    deaf = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n" if ignores else ""
    module = _client(tmp_path, f"{deaf}import time\nprint('{{}}', flush=True)\ntime.sleep(60)")
    began = time.monotonic()
    with nodes(60.0, 0.0) as started, pytest.raises(ProcessError, match="nodes ended: node1"):
        list(started.facts(module, []))
    assert time.monotonic() - began < 30.0


def test_nodes_end_when_the_body_fails(nodes) -> None:
    with pytest.raises(ZeroDivisionError), nodes(60.0) as started:
        pids = _pids(started)
        raise ZeroDivisionError
    assert not any(_is_alive(pid) for pid in pids)


def test_nodes_end_when_the_command_is_terminated(nodes) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as end, nodes(60.0) as started:
        pids = _pids(started)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10.0)  # the signal arrives before this ends
    assert end.value.code == 128 + signal.SIGTERM
    assert not any(_is_alive(pid) for pid in pids)
    assert signal.getsignal(signal.SIGTERM) == before
