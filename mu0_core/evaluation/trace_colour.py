# SPDX-License-Identifier: Apache-2.0
"""One colour scale for traces everywhere: blue (now) over green to red (end of the phase)."""

from __future__ import annotations

import numpy as np

_STOPS = np.array([[0.15, 0.35, 0.95], [0.15, 0.80, 0.45], [0.98, 0.80, 0.15], [0.92, 0.15, 0.15]])


def phase_colours(phases: np.ndarray) -> np.ndarray:
    """Return RGB (K, 3) in 0..1 of phases (K,) in 0..1."""
    position = np.linspace(0.0, 1.0, len(_STOPS))
    return np.stack([np.interp(phases, position, _STOPS[:, c]) for c in range(3)], axis=-1)
