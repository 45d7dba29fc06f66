# SPDX-License-Identifier: Apache-2.0
"""``mu0 benchmark``: timing in turns, ratios, the bfloat16 path, refusals."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mu0_core.cli import benchmark
from mu0_core.cli.main import main
from mu0_core.model.backbone_config import BackboneConfig, TextConfig, VisionConfig
from mu0_core.model.config import WorldModelConfig
from mu0_core.model.world_model import WorldModel


def test_callables_take_turns() -> None:
    order = []
    work = {name: (lambda name=name: order.append(name)) for name in "ab"}
    times = benchmark._interleaved(work, 3)
    assert order == list("ab" * 4)  # one warm-up and three measured rounds
    assert {name: len(values) for name, values in times.items()} == {"a": 3, "b": 3}


def test_ratios_compare_medians_of_one_run() -> None:
    rows = {
        "forecast, 1 sample": [10.0, 10.0, 99.0],
        "forecast, 5 samples": [12.0, 1.0, 12.0],
        "optimised, 5 samples": [4.0],
        "plain, 5 samples": [20.0],
    }
    assert benchmark._ratios(rows) == {"5 samples against 1": 1.2, "plain against optimised": 5.0}
    assert set(benchmark._ratios({k: rows[k] for k in list(rows)[:2]})) == {"5 samples against 1"}


def test_release_path_runs_in_bfloat16() -> None:
    torch.manual_seed(0)
    config = WorldModelConfig(
        num_vlm_layers=2,
        expert_width_multiplier=0.5,
        resize_imgs_with_padding=(32, 32),
        future_len=8,
        trace_group_horizon=4,
        use_depth=True,
        use_dino=True,
        dino_input_size=28,
        trace_done_head=True,
        num_steps=2,
    )
    sizes = BackboneConfig(
        TextConfig(48, 64, num_layers=2, num_heads=6, num_kv_heads=2, head_dim=8, vocab_size=50),
        VisionConfig(32, 48, num_layers=1, num_heads=4, image_size=24, patch_size=4),
        scale_factor=2,
        dino=VisionConfig(24, 96, num_layers=1, num_heads=2, image_size=56, patch_size=14),
    )
    model = WorldModel(config, sizes).eval().to(torch.bfloat16)
    result = benchmark.random_forecast(model, 4, "cpu")(3)
    assert result.control_points.shape == (1, 3, 4, config.trace_bspline_n_ctrl, 3)
    assert result.control_points.isfinite().all()


def test_too_few_runs_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "--runs", "2"]) == 2
    assert "at least 3" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_release_size_without_a_gpu_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "--release-size"]) == 2
    assert "CUDA" in capsys.readouterr().err
