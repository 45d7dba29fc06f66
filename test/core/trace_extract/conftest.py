# SPDX-License-Identifier: Apache-2.0
"""Synthetic clips that several tests share; rendering one takes a second."""

import pytest

from mu0_core.testing.synthetic_clip import synthetic_clip


@pytest.fixture(scope="session")
def still_camera():
    return synthetic_clip(20)


@pytest.fixture(scope="session")
def swaying_camera():
    return synthetic_clip(24, sway_m=0.03, turn_rad=0.04, noise_m=0.001, seed=1)
