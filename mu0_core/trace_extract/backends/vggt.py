# SPDX-License-Identifier: Apache-2.0
"""Depth, intrinsics and poses of a few images by VGGT, or by VGGT4Track of SpatialTrackerV2.

Both networks take images with a long side of 518 px and sides in multiples of 14, and return depth
with a confidence and one pose encoding per image: translation and rotation of the camera from the
world (OpenCV axes) and two fields of view. The optical axis goes through the middle of the image.
Neither package is on PyPI; the released weights are mostly for non-commercial use.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from mu0_core.errors import InferenceError, ModelError
from mu0_core.geometry import se3
from mu0_core.trace_extract.backends.depth_resize import resize_depth
from mu0_core.trace_extract.backends.foreign_code import ForeignCode
from mu0_core.trace_extract.backends.runtime import Runtime, to_numpy

LONG_SIDE_PX = 518
PATCH_PX = 14


@dataclass(frozen=True, slots=True)
class VggtVariant:
    """One network of the family.

    Attributes:
        code: where it comes from.
        model: module and class of the network.
        encoding: module with ``pose_encoding_to_extri_intri``.
        weights: default hub id.
        confidence: key of the output; higher is better.
        min_confidence: what counts as known. VGGT's confidence starts at 1 (1 + exp), 1.5 is
            ours; VGGT4Track's is in 0..1, its authors cut at 0.5.
    """

    code: ForeignCode
    model: tuple[str, str]
    encoding: str
    weights: str
    confidence: str
    min_confidence: float


VGGT = VggtVariant(
    ForeignCode(
        "VGGT",
        "github.com/facebookresearch/vggt",
        "run: pip install git+https://github.com/facebookresearch/vggt",
        "code: VGGT License; weights facebook/VGGT-1B are non-commercial, "
        "facebook/VGGT-1B-Commercial excludes military use",
    ),
    ("vggt.models.vggt", "VGGT"),
    "vggt.utils.pose_enc",
    "facebook/VGGT-1B",
    "depth_conf",
    1.5,
)
VGGT4TRACK = VggtVariant(
    ForeignCode(
        "VGGT4Track",
        "github.com/henry123-boy/SpaTrackerV2",
        "run: git clone https://github.com/henry123-boy/SpaTrackerV2, install its requirements",
        "code and weights CC-BY-NC 4.0 (non-commercial)",
        "SPATRACKER_FOLDER",
        ("models",),
    ),
    ("models.SpaTrackV2.models.vggt4track.models.vggt_moe", "VGGT4Track"),
    "models.SpaTrackV2.models.vggt4track.utils.pose_enc",
    "Yuxihenry/SpatialTrackerV2_Front",
    "unc_metric",
    0.5,
)


class VggtReconstruction:
    """Implements `Reconstruction`.

    Attributes:
        name: for manifests and cache keys.
    """

    def __init__(
        self,
        weights: str | None = None,
        runtime: Runtime | None = None,
        variant: VggtVariant = VGGT,
        min_confidence: float | None = None,
    ) -> None:
        """Load a network.

        Args:
            weights: hub id or folder; default: that of the variant.
            runtime: device and precision.
            variant: which network.
            min_confidence: depth below it is unknown; default: that of the variant.

        Raises:
            ModelError: the code or the weights are not there.
        """
        self._runtime, self._variant = runtime or Runtime(), variant
        self._least = variant.min_confidence if min_confidence is None else min_confidence
        weights = weights or variant.weights
        with variant.code.active():
            network = variant.code.attribute(*variant.model)
            self._decode = variant.code.attribute(variant.encoding, "pose_encoding_to_extri_intri")
            try:
                model = network.from_pretrained(weights)
            except (OSError, ValueError, RuntimeError) as error:
                raise ModelError(
                    f"{variant.code.name}: weights {weights!r} cannot be loaded: "
                    f"{str(error).strip().splitlines()[0]}; give a hub id that is reachable or in "
                    f"the cache, or a folder. Licence: {variant.code.licence}"
                ) from error
        self._model = model.eval().to(self._runtime.device)
        self.name = f"{variant.code.name.lower()}:{weights}"

    def reconstruct(
        self, rgb: np.ndarray
    ) -> tuple[np.ndarray, tuple[float, float, float, float], np.ndarray]:
        """Return depth, intrinsics and poses of (F, h, w, 3) uint8; see `Reconstruction`.

        Raises:
            InferenceError: the network returned another size, or no finite camera.
        """
        frames, height, width = rgb.shape[:3]
        frame = _Frame.of(width, height)
        images = self._runtime.tensor(np.stack([frame.insert(image) for image in rgb]))
        with torch.inference_mode(), self._variant.code.active(), self._runtime.autocast():
            found = self._model((images.permute(0, 3, 1, 2) / 255)[None])
        camera_world, K = self._decode(found["pose_enc"].float(), frame.canvas)
        depth = to_numpy(found["depth"]).reshape(frames, *to_numpy(found["depth"]).shape[2:4])
        if depth.shape[1:] != frame.canvas:
            raise InferenceError(f"{self.name}: depth {depth.shape[1:]}, images {frame.canvas}")
        confidence = to_numpy(found[self._variant.confidence]).reshape(depth.shape)
        with np.errstate(invalid="ignore"):
            known = np.isfinite(depth) & (depth > 0) & (confidence >= self._least)
        depth = np.where(known, depth, np.nan)
        resized = [resize_depth(frame.cut(image), width, height) for image in depth]
        intrinsics = frame.source_intrinsics(to_numpy(K).reshape(frames, 3, 3).mean(axis=0))
        return np.stack(resized), intrinsics, _world_from_first(to_numpy(camera_world)[0])


@dataclass(frozen=True, slots=True)
class _Frame:
    """How an image of ``width`` x ``height`` lies in the network's canvas.

    A portrait image is padded with white at both sides: VGGT4Track would cut it.
    """

    width: int
    height: int
    inner: tuple[int, int]
    canvas: tuple[int, int]

    @staticmethod
    def of(width: int, height: int) -> _Frame:
        scale = LONG_SIDE_PX / max(width, height)
        inner_h, inner_w = (
            max(PATCH_PX, round(side * scale / PATCH_PX) * PATCH_PX) for side in (height, width)
        )
        canvas_w = LONG_SIDE_PX if height > width else inner_w
        return _Frame(width, height, (inner_h, inner_w), (inner_h, canvas_w))

    @property
    def left(self) -> int:
        return (self.canvas[1] - self.inner[1]) // 2

    def insert(self, rgb: np.ndarray) -> np.ndarray:
        shrinks = self.inner[1] < self.width
        method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        resized = cv2.resize(np.ascontiguousarray(rgb), self.inner[::-1], interpolation=method)
        canvas = np.full((*self.canvas, 3), 255, np.uint8)
        canvas[:, self.left : self.left + self.inner[1]] = resized
        return canvas

    def cut(self, image: np.ndarray) -> np.ndarray:
        return image[:, self.left : self.left + self.inner[1]]

    def source_intrinsics(self, K: np.ndarray) -> tuple[float, float, float, float]:
        """Return fx, fy, cx, cy of the source image; ``K`` counts pixels from the corner."""
        if not np.isfinite(K).all():
            raise InferenceError(f"the network returned the camera matrix {K.tolist()}")
        sx, sy = self.width / self.inner[1], self.height / self.inner[0]
        cx, cy = (K[0, 2] - self.left) * sx - 0.5, K[1, 2] * sy - 0.5
        return float(K[0, 0] * sx), float(K[1, 1] * sy), float(cx), float(cy)


def _world_from_first(camera_world: np.ndarray) -> np.ndarray:
    """Return T_first_camera (F, 4, 4) of (F, 3, 4) camera-from-world matrices."""
    if not np.isfinite(camera_world).all():
        raise InferenceError("the network returned camera poses that are not finite")
    T = np.tile(np.eye(4), (len(camera_world), 1, 1))
    T[:, :3] = camera_world
    return T[0] @ se3.inverse(T)
