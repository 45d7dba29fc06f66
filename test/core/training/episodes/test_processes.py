# SPDX-License-Identifier: Apache-2.0
"""Two processes (gloo) that share a batch end with the weights of one, with DDP and with FSDP."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import asdict

import pytest
import torch
from safetensors.torch import load_file

from mu0_core.errors import ConfigError
from mu0_core.training.episodes.processes import distribute
from mu0_core.training.train_state import STATE_FILE

# What one of two processes runs: each variant is a training of its own, continued once.
PROGRAM = """
import json, os, sys
from pathlib import Path
import torch
from accelerate.state import AcceleratorState, PartialState
from mu0_core.training.episodes.run import train_on_episodes
from mu0_core.training.episodes.settings import EpisodeTraining
from mu0_core.training.model_card import Provenance
from mu0_core.yaml_settings import from_values

torch.set_num_threads(1)
job = json.loads(sys.argv[1])
for name, port, steps, changes, environment in job["runs"]:
    os.environ.update({"MASTER_PORT": str(port), "ACCELERATE_USE_FSDP": "false", **environment})
    values = json.loads(json.dumps(job["settings"]))
    values["run"] |= {"steps": steps} | changes
    train_on_episodes(
        from_values(EpisodeTraining, values), Path(job["out"]) / name,
        lambda data: Provenance("command", 0, "abc", data),
    )
    AcceleratorState._reset_state(True)
    PartialState._reset_state()
"""
STEPS = 4


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("two")


@pytest.fixture
def shared(settings, changed, out):
    """Run all variants in two processes once; return their folder."""
    if any(out.iterdir()):
        return out
    settings = changed(settings, optimiser={"average": True}, evaluation={"every": 2})
    fsdp = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}
    runs = [
        ("ddp", free_port(), STEPS, {"accumulation": 2}, {}),
        ("fsdp", free_port(), 2, {}, fsdp),
        ("fsdp", free_port(), STEPS, {}, fsdp),
    ]
    job = json.dumps({"settings": asdict(settings), "out": str(out), "runs": runs})
    children = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, job],
            env=os.environ
            | {
                "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2",
                "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1",
            },
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    try:
        for child in children:
            text, _ = child.communicate(timeout=600)
            assert child.returncode == 0, text[-3000:]
    finally:
        for child in children:
            child.kill()
    return out


@pytest.fixture
def alone(settings, changed, run, tmp_path):
    """Train in this process; return progress and folder."""
    settings = changed(
        settings, optimiser={"average": True}, evaluation={"every": 2}, run={"steps": STEPS}
    )
    return run(settings, tmp_path)[0], tmp_path


@pytest.mark.parametrize("variant", ["ddp", "fsdp"])
def test_two_processes_train_as_one_does(shared, alone, tensors, variant):
    """Hidden depth and history are drawn in all of them; DDP accumulates, FSDP is continued."""
    progress, folder = alone
    one, two = tensors(folder), tensors(shared / variant)
    assert one.keys() == two.keys()
    start = torch.cat([t.flatten() for t in one.values()]).abs().mean()
    for name in one:
        torch.testing.assert_close(one[name], two[name], atol=float(1e-5 * start) + 2e-6, rtol=0)
    card = (shared / variant / "MODEL_CARD.md").read_text()
    assert "| processes | 2 |" in card
    rows = [line.split("|")[1:-1] for line in card.splitlines() if line.startswith("| 4 |")]
    shown = [float(cell) for cell in rows[-1]][1:]
    expected = list(progress.history[-1].values())[1:]
    assert shown == pytest.approx(expected, rel=2e-4)  # losses and held-out errors


def test_the_kept_states_agree_too(shared, alone):
    state = load_file(alone[1] / "work" / STATE_FILE)
    for variant in ("ddp", "fsdp"):
        other = load_file(shared / variant / "work" / STATE_FILE)
        assert other.keys() == state.keys()
        for name, value in state.items():
            if name.startswith(("exp_avg.", "average.", "parameter.")):
                torch.testing.assert_close(value, other[name], atol=5e-5, rtol=1e-3)


def test_the_first_fsdp_is_refused(monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_VERSION", "1")
    with pytest.raises(ConfigError, match="--fsdp_version 2"):
        distribute(torch.nn.Linear(1, 1), None)
