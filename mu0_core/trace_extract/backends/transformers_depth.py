# SPDX-License-Identifier: Apache-2.0
"""Metric depth of single images by a transformers model: Depth Anything V2, Depth Pro, ZoeDepth.

Only models whose output is metres are taken. What makes a model metric is in its configuration,
not in its name:

- ``depth_anything``: ``depth_estimation_type`` must be ``metric``; the usual checkpoints are
  ``relative`` (inverse depth up to scale and shift).
- ``zoedepth``, ``glpn``, ``depth_pro``: always metric.
- ``dpt`` and others: mostly relative, and nothing in the configuration says which; refused.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mu0_core.errors import ModelError
from mu0_core.trace_extract.backends import depth_pro
from mu0_core.trace_extract.backends.runtime import Runtime, to_numpy
from mu0_core.types import CameraIntrinsics

ALWAYS_METRIC = ("depth_pro", "glpn", "zoedepth")


class TransformersDepth:
    """Implements `DepthModel`.

    Attributes:
        name: for manifests and cache keys.
    """

    def __init__(self, model: str, runtime: Runtime | None = None) -> None:
        """Load a model.

        Args:
            model: folder written by ``save_pretrained``, or a hub id such as
                ``depth-anything/Depth-Anything-V2-Metric-Indoor-Large-hf``.
            runtime: device and precision.

        Raises:
            ModelError: nothing can be loaded from there, or the model's depth is not metres.
        """
        from transformers import AutoConfig, AutoImageProcessor, AutoModelForDepthEstimation
        from transformers.image_processing_utils import BaseImageProcessor
        from transformers.utils import logging

        logging.disable_progress_bar()
        self._runtime = runtime or Runtime()
        self.name = f"transformers:{model}"
        config = _load(AutoConfig.from_pretrained, model)
        require_metric(model, config)
        loaded = _load(AutoModelForDepthEstimation.from_pretrained, model)
        self._model = loaded.eval().to(self._runtime.device)
        if config.model_type == "depth_pro":
            self._processor = None
            self._settings = _load(BaseImageProcessor.get_image_processor_dict, model)[0]
        else:
            self._processor = _load(AutoImageProcessor.from_pretrained, model)

    def depth_m(self, rgb: np.ndarray, intrinsics: CameraIntrinsics | None = None) -> np.ndarray:
        """Return (h, w) float32 metres of (h, w, 3) uint8; NaN where not finite and positive.

        Args:
            rgb: image.
            intrinsics: of the camera; only Depth Pro uses them, the others learned one camera.

        Raises:
            ModelError: the scale is unknown, or a package for the post-processing is missing.
        """
        size = rgb.shape[:2]
        if self._processor is None:
            outputs = self._run(depth_pro.pixel_values(rgb, self._settings))
            fov = getattr(outputs, "field_of_view", None)
            metres = depth_pro.depth_from_output(
                self.name, outputs.predicted_depth[0], fov, size, intrinsics
            )
            return known_depth(to_numpy(metres), depth_pro.FURTHEST_M * (1 - 1e-6))
        inputs = self._processor(images=np.ascontiguousarray(rgb), return_tensors="pt")
        return known_depth(self._post_process(self._run(inputs["pixel_values"]), size))

    def _run(self, pixels: torch.Tensor) -> Any:
        with torch.inference_mode(), self._runtime.autocast():
            outputs = self._model(pixel_values=pixels.to(self._runtime.device))
        outputs.predicted_depth = outputs.predicted_depth.float()
        return outputs

    def _post_process(self, outputs: Any, size: tuple[int, int]) -> np.ndarray:
        sizes = {"target_sizes": [size]}
        if self._model.config.model_type == "zoedepth":
            sizes["source_sizes"] = [size]  # it pads the image and takes the padding off again
        try:
            found = self._processor.post_process_depth_estimation(outputs, **sizes)
        except (ImportError, NameError) as error:  # ZoeDepth without torchvision: NameError
            raise ModelError(
                f"{self.name}: post-processing needs torchvision ({error}); "
                "run: pip install torchvision"
            ) from error
        return to_numpy(found[0]["predicted_depth"])


def require_metric(model: str, config: Any) -> None:
    """Check by its configuration that a model's output is metres.

    Raises:
        ModelError: it is not, or that cannot be told; says which models can be used.
    """
    kind = config.model_type
    if kind in ALWAYS_METRIC:
        return
    better = "use e.g. depth-anything/Depth-Anything-V2-Metric-Indoor-Large-hf"
    if kind == "depth_anything":
        if config.depth_estimation_type == "metric":
            return
        raise ModelError(
            f"{model}: depth_estimation_type is {config.depth_estimation_type!r}: inverse depth "
            f"without a scale, which gives no metres; {better}"
        )
    allowed = ", ".join(("depth_anything (metric)", *ALWAYS_METRIC))
    raise ModelError(
        f"{model}: model type {kind!r} may be relative, its configuration does not say; "
        f"allowed: {allowed}; {better}"
    )


def known_depth(depth_m: np.ndarray, limit_m: float = np.inf) -> np.ndarray:
    """Return depth as float32 with NaN where it is not finite, not positive, or at the limit."""
    with np.errstate(invalid="ignore"):
        known = np.isfinite(depth_m) & (depth_m > 0) & (depth_m < limit_m)
    return np.where(known, depth_m, np.nan).astype(np.float32)


def _load(from_pretrained: Callable[[str], Any], model: str) -> Any:
    path = Path(model).expanduser()
    is_path = path.is_absolute() or model.startswith((".", "~")) or model.count("/") > 1
    if is_path and not path.is_dir():
        raise ModelError(f"depth model: there is no folder {path}")
    try:
        return from_pretrained(str(path) if path.is_dir() else model)
    except (OSError, ValueError, ImportError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(
            f"depth model {model!r} cannot be loaded: {reason}; give a folder written by "
            "save_pretrained, or a hub id that is reachable or in the cache"
        ) from error
