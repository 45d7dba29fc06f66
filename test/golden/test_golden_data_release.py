# SPDX-License-Identifier: Apache-2.0
"""Spline bases, spline fits and metrics of the release, from a folder of golden tensors."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from mu0_core.evaluation.metrics import summarise
from mu0_core.spline.basis import bezier_knots, design_matrix
from mu0_core.spline.fit import fit_control_points

_DEFAULT = Path(__file__).resolve().parents[2].parent / "shared" / "golden"
DATA = Path(os.environ.get("MU0_GOLDEN_DIR", _DEFAULT)) / "data"


@pytest.fixture(scope="module", autouse=True)
def folder():
    if not DATA.is_dir():
        pytest.skip(f"no golden data in {DATA}; set MU0_GOLDEN_DIR")


def test_golden_release_spline_bases():
    found = 0
    for name, expected in load_file(DATA / "bspline_basis_and_turbo.safetensors").items():
        match = re.fullmatch(r"basis_(\d+)_(\d+)_(anchor|noanchor)", name)
        if not match:
            continue
        count, horizon = int(match[1]), int(match[2])
        first = 0 if match[3] == "anchor" else 1
        basis = design_matrix(bezier_knots(count), 3, np.arange(first, horizon + 1) / horizon)
        np.testing.assert_allclose(basis, expected, atol=5e-6)
        found += 1
    assert found


def test_golden_release_spline_fits():
    tensors = load_file(DATA / "bspline_fit.safetensors")
    found = 0
    for name, expected in tensors.items():
        match = re.fullmatch(r"ctrl_D(\d+)_lam([\d.]+)_ord(\d)_clip(.+)", name)
        if not match:
            continue
        clip = None if match[4] == "None" else float(match[4])
        control, fitted = fit_control_points(
            tensors["traj_future_scaled"].astype(float), tensors["valid_future"], int(match[1]),
            ridge=float(match[2]), ridge_order=int(match[3]), clip=clip,
        )
        np.testing.assert_array_equal(fitted, tensors["valid_kp" + name.removeprefix("ctrl")])
        np.testing.assert_allclose(control, expected, atol=1e-4)
        found += 1
    assert found


def test_golden_release_metrics():
    inputs = load_file(DATA / "metrics.inputs.safetensors")
    expected = json.loads((DATA / "metrics.expected.json").read_text())
    predicted, truth = inputs["pred_abs"].astype(float), inputs["gt_abs"].astype(float)
    valid = inputs["valid_future"] & inputs["key_pad_mask"][..., None]
    samples = predicted.shape[1]
    predicted = predicted.transpose(1, 0, 2, 3, 4).reshape(samples, -1, *predicted.shape[3:])
    truth, valid = truth.reshape(-1, *truth.shape[2:]), valid.reshape(-1, valid.shape[-1])
    compared = 0
    for horizon, values in expected.items():
        if not horizon.isdigit():
            continue
        result = summarise(predicted, truth, valid, int(horizon))
        for key, value in result.items():
            if key in values:
                assert value == pytest.approx(values[key], rel=1e-4), (horizon, key)
                compared += 1
    assert compared
