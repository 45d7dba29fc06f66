# SPDX-License-Identifier: Apache-2.0
"""Parameters of the trace forecaster's node."""

from __future__ import annotations

from dataclasses import dataclass

from mu0_ros.camera_parameters import CameraParameters
from mu0_ros.params import parameter


@dataclass(frozen=True)
class TraceForecasterParameters(CameraParameters):
    """What can be set."""

    model_id: str = parameter("mu0-embedded", "world model in the registry")
    device: str = parameter("cpu", "torch device")
    backend: str = parameter(
        "model",
        "model, fake (straight lines, for tests) or no_model (the same at real query points, for "
        "mu0 benchmark --messages)",
    )
    fake_fault: str = parameter("", "fault of the fake backend, see mu0_core/testing/fakes.py")
    max_points: int = parameter(32, "most query points per forecast", low=1, high=256)
    num_samples: int = parameter(1, "sampled futures; more give a spread", low=1, high=16)
    seed: int = parameter(0, "of the sampling noise", low=0, high=2**31)
    replan_lead_s: float = parameter(
        0.0, "forecast when this much motion is left (0 = at rest)", unit="s", low=0.0, high=5.0
    )
    settle_s: float = parameter(0.1, "rest before an image is used", unit="s", low=0.0, high=2.0)
    answer_timeout_s: float = parameter(
        6.0, "forecast again when no chunk was judged for so long", unit="s", low=0.1, high=60.0
    )
    inference_timeout_s: float = parameter(
        30.0, "leave a forecast behind that hangs for so long", unit="s", low=0.5, high=600.0
    )
    max_image_age_s: float = parameter(
        1.0, "oldest image to start a forecast from", unit="s", low=0.05, high=10.0
    )
    sync_slop_s: float = parameter(
        0.02, "largest time between a colour and a depth image", unit="s", low=0.0, high=0.5
    )
    min_depth_m: float = parameter(
        0.05, "plausible median of a depth image", unit="m", low=0.0, high=100.0
    )
    max_depth_m: float = parameter(
        10.0, "plausible median of a depth image", unit="m", low=0.0, high=100.0
    )
    check_registration: bool = parameter(
        True, "refuse depth whose edges lie beside those of colour; looked at until it is known"
    )
