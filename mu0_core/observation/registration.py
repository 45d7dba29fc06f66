# SPDX-License-Identifier: Apache-2.0
"""Whether depth lies on its colour image: do the edges of both coincide? numpy only.

Surfaces are linear in inverse depth, so its second difference marks steps and spares slanted
tables. The mask of steps is correlated with the strength of colour edges over all shifts of up to
`REACH`; where both belong together one shift stands out. A turned or zoomed image has none. A
scene without edges shows nothing, and that is said, not guessed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mu0_core.errors import ObservationError
from mu0_core.types import RgbdFrame

# Lengths are pixels of an image of 320 columns. The thresholds were chosen on 24 rendered and
# noised tables: the true shift scored at least 5.8 deviations and 0.60 for its rival, a zoomed or
# foreign image at most 4.9 with 0.72 or more; at zero 5.9 against at most 2.5.
REACH = 24
ALLOWED = 3.0
_COLUMNS = 320
_STEP = 0.06  # share of the inverse depth
_STEP_REACH = 2
_LOCAL = 12  # colour edges stand out against this neighbourhood
_NEAR = 2  # a peak is so wide
_CLEAR_SIGMA, _CLEAR_RIVAL = 5.2, 0.70
_NOWHERE_SIGMA = 2.5
_FEWEST_STEPS = 0.005  # share of pixels
_FAINTEST = 4.0  # grey levels, 95 % of colour gradients below: nothing is seen


@dataclass(frozen=True, slots=True)
class Registration:
    """How depth lies on colour.

    Attributes:
        shift_px: (right, down) by which depth lies off colour; None = no shift stands out.
        sigma: how far the best shift stands out, in deviations over all shifts.
        sigma_at_zero: the same of no shift.
        decided: there were edges enough to tell.
        allowed_px: largest shift that passes.
    """

    shift_px: tuple[float, float] | None
    sigma: float
    sigma_at_zero: float
    decided: bool
    allowed_px: float

    @property
    def fits(self) -> bool:
        """Whether depth lies on colour; False also when it cannot be told."""
        if not self.decided:
            return False
        if self.shift_px is None:
            return self.sigma_at_zero > _NOWHERE_SIGMA
        return float(np.hypot(*self.shift_px)) <= self.allowed_px


def measure_registration(rgb: np.ndarray, depth_m: np.ndarray) -> Registration:
    """Return how depth (h, w) in metres, NaN unknown, lies on colour (h, w, 3) uint8."""
    stride = max(1, round(depth_m.shape[1] / _COLUMNS))
    allowed_px = ALLOWED * stride
    steps = _depth_steps(depth_m, stride)
    edges = _colour_edges(_pooled(rgb[..., 1].astype(np.float32), stride, np.mean))
    if edges is None or steps.mean() < _FEWEST_STEPS or min(steps.shape) <= 2 * REACH:
        return Registration(None, 0.0, 0.0, False, allowed_px)
    score = _scores(steps.astype(np.float32), edges)
    row, column = np.unravel_index(score.argmax(), score.shape)
    best, sigma = float(score[row, column]), float(score.std())
    middle = slice(REACH - _NEAR, REACH + _NEAR + 1)
    rest = score.copy()
    around = 3 * _NEAR
    rest[
        max(row - around, 0) : row + around + 1, max(column - around, 0) : column + around + 1
    ] = -1
    clear = best > _CLEAR_SIGMA * sigma and rest.max() < _CLEAR_RIVAL * best
    shift = ((REACH - column) * stride, (REACH - row) * stride)
    return Registration(
        (float(shift[0]), float(shift[1])) if clear else None,
        best / sigma,
        float(score[middle, middle].max()) / sigma,
        True,
        float(allowed_px),
    )


def check_registration(frame: RgbdFrame) -> Registration:
    """Return how depth lies on colour, if it may lie so.

    Raises:
        ObservationError: it lies elsewhere, by how much; or edges enough coincide nowhere.
    """
    found = measure_registration(frame.rgb, frame.depth_m)
    if found.decided and not found.fits:
        if found.shift_px is not None:
            x, y = found.shift_px
            raise ObservationError(
                f"depth lies {abs(x):g} px to the {'right' if x > 0 else 'left'} of and "
                f"{abs(y):g} px {'below' if y > 0 else 'above'} its colour image (allowed "
                f"{found.allowed_px:g} px): register depth to colour"
            )
        raise ObservationError(
            f"edges of depth coincide with no edges of colour ({found.sigma_at_zero:.1f} "
            f"deviations, allowed above {_NOWHERE_SIGMA:g}): register depth to colour"
        )
    return found


def _depth_steps(depth_m: np.ndarray, stride: int) -> np.ndarray:
    """Return (h, w) bool around steps in depth; small holes take what is left of them."""
    with np.errstate(divide="ignore"):
        inverse = _pooled(np.where(depth_m > 0, 1 / depth_m, 0.0), stride, np.max)
    known = inverse > 0
    columns = np.arange(inverse.shape[1])
    last = np.maximum.accumulate(np.where(known, columns, -1), axis=1)
    rows = np.arange(inverse.shape[0])[:, None]
    inverse = np.where(last >= 0, inverse[rows, np.maximum(last, 0)], np.nan)
    bend, k = np.zeros_like(inverse), _STEP_REACH
    for axis in (0, 1):
        line, out = np.moveaxis(inverse, axis, 0), np.moveaxis(bend, axis, 0)
        second = np.abs(line[2 * k :] + line[: -2 * k] - 2 * line[k:-k]) / line[k:-k]
        out[k:-k] = np.fmax(out[k:-k], second)
    return bend > _STEP


def _colour_edges(grey: np.ndarray) -> np.ndarray | None:
    """Return (h, w) gradient strength 0 to 1, None when the picture shows nothing."""
    strength = np.zeros_like(grey)
    strength[1:-1, 1:-1] = np.hypot(
        grey[1:-1, 2:] - grey[1:-1, :-2], grey[2:, 1:-1] - grey[:-2, 1:-1]
    )
    strong = float(np.percentile(strength, 98))
    if strong < _FAINTEST:
        return None
    return np.minimum(strength / max(float(np.percentile(strength, 95)), 2 * _FAINTEST), 1.0)


def _scores(steps: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the correlation (2 REACH + 1, 2 REACH + 1) over shifts of colour, 0 in the middle."""
    a, b = steps - _box_mean(steps), edges - _box_mean(edges)
    spectrum = np.conj(np.fft.rfft2(a)) * np.fft.rfft2(b)
    around = np.roll(np.fft.irfft2(spectrum, s=a.shape), (REACH, REACH), (0, 1))
    return around[: 2 * REACH + 1, : 2 * REACH + 1] / np.sqrt((a**2).sum() * (b**2).sum())


def _box_mean(image: np.ndarray) -> np.ndarray:
    """Return the mean over squares of 2 `_LOCAL` + 1 pixels; borders are repeated."""
    size = 2 * _LOCAL + 1
    for axis in (0, 1):
        line = np.moveaxis(image, axis, 0)
        wide = np.concatenate(
            [np.repeat(line[:1], _LOCAL + 1, 0), line, np.repeat(line[-1:], _LOCAL, 0)]
        ).cumsum(0, dtype=np.float64)
        image = np.moveaxis((wide[size:] - wide[:-size]) / size, 0, axis)
    return image


def _pooled(image: np.ndarray, stride: int, how) -> np.ndarray:
    h, w = image.shape[0] // stride, image.shape[1] // stride
    blocks = image[: h * stride, : w * stride].reshape(h, stride, w, stride)
    return how(blocks, axis=(1, 3))
