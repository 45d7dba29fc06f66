# SPDX-License-Identifier: Apache-2.0
"""The world model as a service: an RGB-D frame, a sentence and query points in, metres out.

The model forecasts (u, v, z) in the image; a control point of that curve is not the control point
of the metric curve, so traces are sampled, unprojected and fitted again in the optical frame.
"""

from __future__ import annotations

import time

import cv2
import numpy as np
import torch

from mu0_core.errors import ConfigError, NonFiniteOutputError, NoQueryPointsError, ObservationError
from mu0_core.geometry import camera
from mu0_core.inference.calibration import Calibration, sample_spread
from mu0_core.inference.language import InstructionTokenizer
from mu0_core.inference.selection import DEFAULT_RULE, fuse, selection_weights
from mu0_core.model.noise import seeded_noise
from mu0_core.model.render import DEGREE, end_phase, path_basis, trace_knots
from mu0_core.model.world_model import TraceSamples, WorldModel
from mu0_core.spline.basis import design_matrix, greville_phases
from mu0_core.spline.curve import SPLINES
from mu0_core.types import QueryPoints, RgbdFrame, TraceForecast


class WorldModelForecaster:
    """Forecasts traces with a `WorldModel`. Keeps the last image's features; not thread-safe.

    Args:
        model: in evaluation mode; its configuration holds ``delta_scale``.
        tokenizer: of its backbone.
        model_id: name under which forecasts are signed.
        device: where the model lies.
        noise_scale: of the noise that a single sample is made from; less than 1 keeps to what is
            most likely. Several samples get it in full, so that their spread means something.
        calibration: how one trace is chosen from several samples and what their spread means;
            None = the most central one, and their standard deviation.
    """

    def __init__(
        self,
        model: WorldModel,
        tokenizer: InstructionTokenizer,
        model_id: str,
        device: torch.device | str = "cpu",
        noise_scale: float = 1.0,
        calibration: Calibration | None = None,
    ) -> None:
        if model.config.delta_scale is None:
            raise ConfigError(f"model {model_id}: config.json has no delta_scale")
        if not 0 <= noise_scale <= 1:
            raise ConfigError(f"noise_scale {noise_scale} must be in 0..1")
        steps = model.config.future_len
        if calibration is not None and calibration.steps != steps:
            raise ConfigError(
                f"model {model_id} forecasts {steps} steps, its calibration is of "
                f"{calibration.steps}"
            )
        self.model, self.model_id, self.calibration = model, model_id, calibration
        self._noise_scale = noise_scale
        self._tokenizer = tokenizer
        self._device = torch.device(device)
        self._scale = np.asarray(model.config.delta_scale)
        self._knots = trace_knots(model.config)
        self._basis = path_basis(model.config)
        phases = np.arange(steps + 1) / steps
        self._metric_basis = design_matrix(self._knots, DEGREE, phases)
        self._fit = np.linalg.pinv(self._metric_basis)

    @torch.no_grad()
    def forecast(
        self,
        frame: RgbdFrame,
        instruction: str,
        query: QueryPoints,
        *,
        num_samples: int = 1,
        seed: int = 0,
        sequence: int = 0,
    ) -> TraceForecast:
        """Forecast the traces of all query points that have depth.

        With several samples the most central one is returned and ``spread_m`` is their standard
        deviation; a calibrated model returns what its rule makes of them, and the spread of a
        Gaussian that holds the truth as often as was measured. With one sample the spread is
        unknown (None).

        Raises:
            NoQueryPointsError: no query point has depth.
            ObservationError: the query refers to another image size.
            NonFiniteOutputError: the model produced NaN or infinity.
        """
        started = time.perf_counter()
        size = (frame.intrinsics.width, frame.intrinsics.height)
        if (query.width, query.height) != size:
            raise ObservationError(
                f"query points refer to {query.width}x{query.height} pixels, image is {size}"
            )
        query = query.select(np.isfinite(query.depth_m) & (query.depth_m > 0))
        uvz = self._query_uvz(query)
        samples = self._sample(frame, instruction, uvz, num_samples, seed)
        control = samples.control_points[0].double().cpu().numpy()
        control_m = self._to_metres(control, uvz, frame)
        weights = self._weights(control_m)
        chosen_m = fuse(weights, control_m) + self._correction(control_m)
        valid_until = np.ones(len(query), np.float32)
        if samples.done_logits is not None:
            logits = samples.done_logits[0].double().cpu().numpy()
            valid_until = end_phase(torch.from_numpy(fuse(weights, logits)))
        return TraceForecast(
            control_points=chosen_m.astype(np.float32),
            knots=self._knots,
            degree=DEGREE,
            valid_until=valid_until,
            spread_m=self._spread(control_m) if num_samples > 1 else None,
            query=query,
            instruction=instruction,
            model_id=self.model_id,
            frame_id=frame.frame_id,
            stamp_ns=frame.stamp_ns,
            sequence=sequence,
            inference_s=time.perf_counter() - started,
        )

    @torch.no_grad()
    def sample_uvz(
        self,
        frame: RgbdFrame,
        instruction: str,
        query: QueryPoints,
        *,
        num_samples: int = 1,
        seed: int = 0,
    ) -> np.ndarray:
        """Return sampled traces (S, N, H, 3) as u, v in [-1, 1] and z in metres."""
        uvz = self._query_uvz(query)
        samples = self._sample(frame, instruction, uvz, num_samples, seed)
        return self._traces(samples.control_points[0].double().cpu().numpy(), uvz)[:, :, 1:]

    @staticmethod
    def _query_uvz(query: QueryPoints) -> np.ndarray:
        """Return (N, 3) u, v in [-1, 1] and z in metres."""
        if len(query) == 0:
            raise NoQueryPointsError("no query point has depth")
        uv = camera.pixels_to_uv(query.uv_px, query.width, query.height)
        return np.concatenate([uv, query.depth_m[:, None]], axis=1)

    def _sample(
        self, frame: RgbdFrame, instruction: str, uvz: np.ndarray, num_samples: int, seed: int
    ) -> TraceSamples:
        """Run the model once for all samples."""
        points = torch.from_numpy(uvz).float()[None].to(self._device)
        image = self.model.encode_image(self._image(frame))
        tokens = self._tokenizer(instruction)[None].to(self._device)
        prefix = self.model.encode_prefix(
            image, tokens, torch.ones_like(tokens, dtype=torch.bool), with_hidden=False
        )
        features = self.model.point_features(image, points[..., :2])
        noise = seeded_noise([seed], num_samples, len(uvz), self.model.config.trace_bspline_n_ctrl)
        if num_samples == 1:
            noise *= self._noise_scale
        samples = self.model.sample(
            prefix, features, points, num_samples=num_samples, noise=noise.to(self._device)
        )
        if not bool(torch.isfinite(samples.control_points).all()):
            raise NonFiniteOutputError(f"model {self.model_id} produced non-finite control points")
        return samples

    def _traces(self, control: np.ndarray, uvz: np.ndarray) -> np.ndarray:
        """Render scaled deltas (S, N, D, 3) as absolute u, v, z (S, N, H + 1, 3)."""
        deltas = control * self._scale
        if self.model.config.trace_knots in SPLINES:
            deltas[..., 0, :] = 0.0  # a trace starts at its query point
        return np.einsum("hd,sndc->snhc", self._basis, deltas) + uvz[None, :, None]

    def _image(self, frame: RgbdFrame) -> torch.Tensor:
        side = self.model.config.image_size
        squashed = cv2.resize(frame.rgb, (side, side), interpolation=cv2.INTER_AREA)
        return torch.from_numpy(squashed).permute(2, 0, 1)[None].float().to(self._device) / 255

    def _to_metres(self, control: np.ndarray, uvz: np.ndarray, frame: RgbdFrame) -> np.ndarray:
        """Turn scaled deltas (S, N, D, 3) into metric control points in the optical frame.

        Raises:
            NonFiniteOutputError: a trace leaves the half space in front of the camera.
        """
        traces = self._traces(control, uvz)
        if np.any(traces[..., 2] <= 0.01):
            raise NonFiniteOutputError(
                f"model {self.model_id} forecast a point behind the camera "
                f"(z = {traces[..., 2].min():.3f} m)"
            )
        pixels = camera.uv_to_pixels(
            traces[..., :2], frame.intrinsics.width, frame.intrinsics.height
        )
        metres = camera.unproject(
            np.concatenate([pixels, traces[..., 2:]], axis=-1), frame.intrinsics
        )
        return np.einsum("dh,snhc->sndc", self._fit, metres)

    def _weights(self, control_m: np.ndarray) -> np.ndarray:
        """Return the share (S, N) of each sample in the forecast, of (S, N, D, 3)."""
        if self.calibration is None:
            return selection_weights(DEFAULT_RULE, control_m)
        paths = self._metric_paths(control_m)
        return selection_weights(self.calibration.rule, paths, self.calibration.learned)

    def _correction(self, control_m: np.ndarray) -> np.ndarray:
        """Return what is added to the fused control points (N, D, 3); zeros mostly."""
        correct = None if self.calibration is None else self.calibration.correction
        if correct is None or len(control_m) < 2:
            return np.zeros(control_m.shape[1:])
        paths = self._metric_paths(control_m)
        change = correct(paths, control_m[0, :, 0])  # a trace starts at its query point
        return np.einsum("dh,nhc->ndc", self._fit[:, 1:], change)

    def _spread(self, control_m: np.ndarray) -> np.ndarray:
        """Return the isotropic standard deviation (N, D) of control points.

        Calibrated, it is that of the trace at the phase that each control point weighs most on.
        """
        if self.calibration is None:
            return np.sqrt(control_m.var(axis=0).mean(axis=-1)).astype(np.float32)
        sigma = self.calibration.sigma_m(sample_spread(self._metric_paths(control_m)))
        steps = sigma.shape[1]
        places = greville_phases(self._knots, DEGREE) * steps
        by_point = [np.interp(places, np.arange(1, steps + 1), row) for row in sigma]
        return np.array(by_point, np.float32)

    def _metric_paths(self, control_m: np.ndarray) -> np.ndarray:
        """Return (S, N, H, 3) metres at steps 1..H."""
        return np.einsum("hd,sndc->snhc", self._metric_basis[1:], control_m)
