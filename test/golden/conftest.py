# SPDX-License-Identifier: Apache-2.0
"""Golden files: where they are, which cases they hold, and the model they belong to.

The folder is ``MU0_GOLDEN_DIR`` (default: ``shared/golden`` beside the repository). Any folder of
the same format will do: nothing here knows a width, a layer count or the name of a case.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mu0_core.model.config import WorldModelConfig
from mu0_core.model.loading import load_world_model
from mu0_core.model.world_model import WorldModel

GOLDEN = Path(
    os.environ.get("MU0_GOLDEN_DIR", Path(__file__).resolve().parents[2].parent / "shared/golden")
)
IMAGE = "observation.images.cam_front"


@dataclass(frozen=True)
class GoldenCase:
    """Inputs (completed from the case they vary) and expected tensors."""

    name: str
    inputs: dict[str, torch.Tensor]
    expected: dict[str, torch.Tensor]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "golden_case_name" in metafunc.fixturenames:
        files = sorted(GOLDEN.glob("case_*.inputs.safetensors"))
        names = [f.name.removesuffix(".inputs.safetensors") for f in files]
        metafunc.parametrize("golden_case_name", names or ["no-golden-cases"])


@pytest.fixture(scope="session")
def golden_dir() -> Path:
    if not (GOLDEN / "model.safetensors").is_file():
        pytest.skip(f"no golden tensors in {GOLDEN} (set MU0_GOLDEN_DIR)")
    return GOLDEN


@pytest.fixture
def golden_model(golden_dir: Path) -> WorldModel:
    """The model of the folder; the goldens come from an fp32 tower, hence fp32 position ids."""
    config = WorldModelConfig.from_json(golden_dir / "config.json")
    config = dataclasses.replace(config, vision_position_dtype="float32")
    return load_world_model(golden_dir, config=config)


@pytest.fixture(scope="session")
def complete_inputs(golden_dir: Path):
    """Return a function that fills inputs up from the case that they vary."""
    cases = {
        f.name.split(".")[0]: load_file(f) for f in golden_dir.glob("case_*.inputs.safetensors")
    }
    full = {name: tensors for name, tensors in cases.items() if IMAGE in tensors}

    def complete(inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        if IMAGE in inputs:
            return inputs

        def likeness(base: dict[str, torch.Tensor]) -> int:
            shared = [k for k in inputs if k in base and base[k].shape == inputs[k].shape]
            fits = all(k in shared for k in inputs if k.startswith("observation."))
            same = sum(torch.equal(base[k], inputs[k]) for k in shared)
            return fits * (1 + len(shared) + same)

        best = max(full.values(), key=likeness)
        assert likeness(best) > 0, "no complete case has the shapes of this one"
        return {**best, **inputs}

    return complete


@pytest.fixture
def golden_case(golden_case_name: str, golden_dir: Path, complete_inputs) -> GoldenCase:
    inputs = load_file(golden_dir / f"{golden_case_name}.inputs.safetensors")
    expected = load_file(golden_dir / f"{golden_case_name}.expected.safetensors")
    return GoldenCase(golden_case_name, complete_inputs(inputs), expected)


@pytest.fixture
def encode():
    """Return a function (model, inputs) -> prefix."""

    def run(model: WorldModel, inputs: dict[str, torch.Tensor]):
        return model.encode_prefix(
            inputs[IMAGE],
            inputs["observation.language.tokens"],
            inputs["observation.language.attention_mask"],
            inputs.get(f"{IMAGE}_depth"),
            inputs.get(f"{IMAGE}_padding_mask"),
            inputs.get(f"{IMAGE}_depth_padding_mask"),
        )

    return run


@pytest.fixture
def close():
    """Return a function that compares two tensors where a mask is true."""

    def check(actual, expected, mask=None, atol: float = 5e-6, rtol: float = 1e-5) -> None:
        assert actual.shape == expected.shape
        if mask is not None:
            assert mask.any(), "nothing to compare"
            actual, expected = actual[mask], expected[mask]
        if expected.is_floating_point() and expected.numel():
            # fp32 sums over large activations round by more, differently on each processor
            atol = max(atol, 1e-6 * float(expected.abs().max()))
        torch.testing.assert_close(actual, expected, atol=atol, rtol=rtol)

    return check
