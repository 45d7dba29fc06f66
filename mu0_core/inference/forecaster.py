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
from mu0_core.inference.language import InstructionTokenizer
from mu0_core.model.noise import seeded_noise
from mu0_core.model.render import DEGREE, end_phase, path_basis, trace_knots
from mu0_core.model.world_model import TraceSamples, WorldModel
from mu0_core.spline.basis import design_matrix
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
    """

    def __init__(
        self,
        model: WorldModel,
        tokenizer: InstructionTokenizer,
        model_id: str,
        device: torch.device | str = "cpu",
        noise_scale: float = 1.0,
    ) -> None:
        if model.config.delta_scale is None:
            raise ConfigError(f"model {model_id}: config.json has no delta_scale")
        if not 0 <= noise_scale <= 1:
            raise ConfigError(f"noise_scale {noise_scale} must be in 0..1")
        self.model, self.model_id = model, model_id
        self._noise_scale = noise_scale
        self._tokenizer = tokenizer
        self._device = torch.device(device)
        self._scale = np.asarray(model.config.delta_scale)
        steps = model.config.future_len
        self._knots = trace_knots(model.config)
        self._basis = path_basis(model.config)
        phases = np.arange(steps + 1) / steps
        self._fit = np.linalg.pinv(design_matrix(self._knots, DEGREE, phases))

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
        deviation; with one sample the spread is unknown (None).

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
        chosen = _most_central(control_m)
        valid_until = np.ones(len(query), np.float32)
        if samples.done_logits is not None:
            valid_until = end_phase(samples.done_logits[0, chosen])
        return TraceForecast(
            control_points=control_m[chosen].astype(np.float32),
            knots=self._knots,
            degree=DEGREE,
            valid_until=valid_until,
            spread_m=_spread(control_m) if num_samples > 1 else None,
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


def _most_central(control_m: np.ndarray) -> int:
    """Return the sample (of S) that is nearest to all others over all points."""
    flat = control_m.reshape(len(control_m), -1)
    distance = np.linalg.norm(flat[:, None] - flat[None], axis=-1)
    return int(np.argmin(distance.sum(axis=1)))


def _spread(control_m: np.ndarray) -> np.ndarray:
    """Return the isotropic standard deviation (N, D) over samples (S, N, D, 3)."""
    return np.sqrt(control_m.var(axis=0).mean(axis=-1)).astype(np.float32)
