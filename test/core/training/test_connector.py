# SPDX-License-Identifier: Apache-2.0
"""The connector: names what it was shown, standardises, keeps the rest, survives its file."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mu0_core.errors import DataError, ShapeError
from mu0_core.model.backbone import Connector
from mu0_core.simulation.layout import sample_layout
from mu0_core.training.connector import ConnectorSettings, fit_connector
from mu0_core.training.connector_file import load_connector, save_connector
from mu0_core.training.scene_words import BACKGROUND, WORDS, word_of_body, words_in_cells

NAMES = ("bowl", "plate", BACKGROUND)
SETTINGS = ConnectorSettings(ridge=1.0, background_share=1.0)


@pytest.fixture
def data():
    """Return maps whose cells carry one of three patterns, with their labels and embeddings."""
    generator = torch.Generator().manual_seed(0)
    words = {name: torch.randn(16, generator=generator) for name in NAMES}
    patterns = torch.randn(3, 5, 2, 2, generator=generator)
    kind = torch.randint(0, 3, (40, 3, 3), generator=generator)
    maps = patterns[kind].permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)
    maps = 4 + 3 * maps + 0.1 * torch.randn(maps.shape, generator=generator)
    cells = [
        {(r, c): [NAMES[grid[r][c]]] for r in range(3) for c in range(3)} for grid in kind.tolist()
    ]
    return maps, cells, words, kind


def test_cells_are_named_through_the_models_own_connector(data):
    maps, cells, words, kind = data
    fit = fit_connector(maps, cells, words, 2, SETTINGS)
    assert fit.accuracy > 0.95 and fit.r2 > 0.9
    connector = Connector(5, 16, 2)
    connector.proj.weight.data.copy_(fit.weight)
    standard = (maps - fit.mean[:, None, None]) / fit.std[:, None, None]
    tokens = connector(standard)
    table = torch.stack([words[name] for name in NAMES])
    nearest = torch.cdist(tokens, table[None].expand(len(tokens), -1, -1)).argmin(-1)
    assert (nearest == kind.flatten(1)).float().mean() > 0.9


def test_features_become_standard(data):
    fit = fit_connector(*data[:3], 2, SETTINGS)
    standard = (data[0] - fit.mean[:, None, None]) / fit.std[:, None, None]
    torch.testing.assert_close(standard.mean((0, 2, 3)), torch.zeros(5), atol=1e-4, rtol=0)
    torch.testing.assert_close(standard.std((0, 2, 3)), torch.ones(5), atol=1e-3, rtol=0)


def test_the_random_part_has_the_stated_amplitude(data):
    named = fit_connector(*data[:3], 2, ConnectorSettings(random_amplitude=0, ridge=1.0))
    both = fit_connector(*data[:3], 2, ConnectorSettings(random_amplitude=0.35, ridge=1.0))
    assert (named.weight - both.weight).abs().max() > 0.01
    assert both.r2 == named.r2  # quality is that of the named part


def test_labels_must_match_the_images(data):
    with pytest.raises(ShapeError, match="39"):
        fit_connector(data[0], data[1][:39], data[2], 2, SETTINGS)


def test_file_round_trip(data, tmp_path):
    fit = fit_connector(*data[:3], 2, SETTINGS)
    save_connector(fit, tmp_path / "connector.safetensors")
    read = load_connector(tmp_path / "connector.safetensors")
    assert torch.equal(read.weight, fit.weight) and (read.r2, read.accuracy) == (
        fit.r2,
        fit.accuracy,
    )
    with pytest.raises(DataError, match="absent"):
        load_connector(tmp_path / "absent.safetensors")


def test_bodies_have_words_and_points_have_cells():
    layout = sample_layout(0)
    named = {word_of_body(n, layout) for n in ("cube_a", "cube_b", "cube_c")}
    assert named == {f"{colour} cube" for colour in layout.colours}
    others = {n: word_of_body(n, layout) for n in ("fr3_link0", "button_cap", "bowl", "world", "")}
    assert others == {"fr3_link0": "robot hand", "button_cap": "button", "bowl": "bowl",
                      "world": BACKGROUND, "": BACKGROUND}  # fmt: skip
    assert named | set(others.values()) <= set(WORDS)
    uv = np.array([[-1.0, -1.0], [1.0, 1.0], [0.9, -0.9]])
    assert words_in_cells(uv, ["bowl", "plate", "table"], 8) == {
        (0, 0): ["bowl"], (7, 7): ["plate"], (0, 7): ["table"]
    }  # fmt: skip
