# SPDX-License-Identifier: Apache-2.0
"""The connector without a vision-language corpus: ridge regression onto word embeddings.

Patch features are standardised, then a linear map sends each image cell to the embedding of the
word for what it shows (`scene_words`). A random part of lower amplitude is added, so that
appearance without a word (pose, shading, distance) also reaches the language model. Frozen
afterwards; no gradient is involved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mu0_core.errors import ConfigError, ShapeError
from mu0_core.model.world_model import WorldModel
from mu0_core.training.scene_words import BACKGROUND, CellWords


@dataclass(frozen=True, slots=True)
class ConnectorSettings:
    """How the connector is fitted.

    Attributes:
        frames: images used.
        ridge: weight of the penalty.
        background_share: share of the cells without a query point that count as background.
        random_amplitude: standard deviation of the random part over that of the word targets.
        training_share: the rest measures the fit.
        seed: of the choice of cells and of the random part.
    """

    frames: int = 500
    ridge: float = 300.0
    background_share: float = 0.06
    random_amplitude: float = 0.35
    training_share: float = 0.85
    seed: int = 0

    def __post_init__(self) -> None:
        if self.frames < 2 or self.ridge <= 0 or not 0 < self.training_share < 1:
            raise ConfigError(f"connector needs frames >= 2, ridge > 0, a share in (0, 1): {self}")


@dataclass(frozen=True, slots=True)
class ConnectorFit:
    """The fitted tensors and how well they name cells that were not fitted.

    Attributes:
        mean, std: (E,) of the patch features; weight: (d, E·s²) of the connector.
        r2: share of the word embeddings' variance explained; accuracy: nearest word is right.
    """

    mean: Tensor
    std: Tensor
    weight: Tensor
    r2: float
    accuracy: float

    def apply(self, model: WorldModel) -> None:
        """Put the tensors into a model."""
        with torch.no_grad():
            model.backbone.vision.feature_mean.copy_(self.mean)
            model.backbone.vision.feature_std.copy_(self.std)
            model.backbone.connector.proj.weight.copy_(self.weight)


def fit_connector(
    patch_maps: Tensor,
    cells: Sequence[CellWords],
    words: dict[str, Tensor],
    scale: int,
    settings: ConnectorSettings,
) -> ConnectorFit:
    """Fit standardisation and connector.

    Args:
        patch_maps: (F, E, h, w) tower features, not standardised.
        cells: per image, the words of cells on the (h / scale, w / scale) grid.
        words: embedding (d,) of each word; holds `BACKGROUND`.
        scale: pixel-shuffle factor s of the connector.
        settings: of the fit.

    Raises:
        ShapeError: images and labels differ in number, or too few cells are named.
    """
    if len(patch_maps) != len(cells):
        raise ShapeError(f"{len(patch_maps)} patch maps, labels of {len(cells)} images")
    mean, std = patch_maps.mean((0, 2, 3)), patch_maps.std((0, 2, 3)).clamp_min(1e-3)
    grid = (patch_maps - mean[:, None, None]) / std[:, None, None]
    grid = grid.unflatten(3, (-1, scale)).unflatten(2, (-1, scale))
    grid = grid.permute(0, 2, 4, 3, 5, 1).flatten(3)  # as `Connector` shuffles: F R C E·s²
    x, y = _pairs(grid, cells, words, settings)
    fitted = int(settings.training_share * len(x))
    if fitted < 2 or fitted == len(x):
        raise ShapeError(f"{len(x)} named cells are too few to fit and to measure a connector")
    penalty = settings.ridge * torch.eye(x.shape[1], dtype=x.dtype)
    named = torch.linalg.solve(x[:fitted].T @ x[:fitted] + penalty, x[:fitted].T @ y[:fitted])
    r2, accuracy = _quality(x[fitted:] @ named, y[fitted:], y[:fitted].mean(0), words)
    generator = torch.Generator().manual_seed(settings.seed + 1)
    rest = torch.randn(named.shape, generator=generator, dtype=x.dtype)
    rest *= settings.random_amplitude * y.std() / (x @ rest).std()
    return ConnectorFit(mean, std, (named + rest).T.float(), r2, accuracy)


def _pairs(
    grid: Tensor,
    cells: Sequence[CellWords],
    words: dict[str, Tensor],
    settings: ConnectorSettings,
) -> tuple[Tensor, Tensor]:
    """Return named cells (n, E·s²) and the mean embedding of their words (n, d)."""
    rng = np.random.default_rng(settings.seed)
    x, y = [], []
    for image, named in zip(grid, cells, strict=True):
        for row, column in np.ndindex(*image.shape[:2]):
            found = named.get((row, column))
            if found is None:
                if rng.random() > settings.background_share:
                    continue
                found = [BACKGROUND]
            x.append(image[row, column])
            y.append(torch.stack([words[word] for word in found]).mean(0))
    if not x:
        raise ShapeError("no image cell has a word")
    return torch.stack(x).double(), torch.stack(y).double()


def _quality(
    predicted: Tensor, target: Tensor, mean: Tensor, words: dict[str, Tensor]
) -> tuple[float, float]:
    r2 = 1 - (predicted - target).square().sum() / (target - mean).square().sum()
    directions = F.normalize(torch.stack(list(words.values())).double() - mean, dim=1)
    nearest = (F.normalize(predicted - mean, dim=1) @ directions.T).argmax(1)
    true = (F.normalize(target - mean, dim=1) @ directions.T).argmax(1)
    return float(r2), float((nearest == true).double().mean())
