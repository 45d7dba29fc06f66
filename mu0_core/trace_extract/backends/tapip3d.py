# SPDX-License-Identifier: Apache-2.0
"""3D tracking in world space by TAPIP3D (the tracker of the paper): depth and camera are inputs.

Its queries are (frame, x, y, z) in metres in the world, its cameras map the world to the camera,
unknown depth is 0, and its pixels have integer centres like ours. It needs CUDA (its neighbour
search is a compiled extension) and a clone of its repository, whose folder ``TAPIP3D_FOLDER``
names. Settings of the paper: 6 iterations, a support grid of 16 x 16, bfloat16.
"""

from __future__ import annotations

import typing
from collections import defaultdict
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import torch

from mu0_core.errors import ConfigError, InferenceError, ModelError
from mu0_core.geometry import se3
from mu0_core.trace_extract.backends.checkpoint_file import load_strictly, read_checkpoint
from mu0_core.trace_extract.backends.chunks import ChunkSettings, track_in_chunks
from mu0_core.trace_extract.backends.depth_resize import resize_depth
from mu0_core.trace_extract.backends.foreign_code import ForeignCode
from mu0_core.trace_extract.backends.lifting import lift_queries, tracks_from_world
from mu0_core.trace_extract.backends.progressive import ProgressSettings, track_progressively
from mu0_core.trace_extract.backends.runtime import Runtime, to_numpy
from mu0_core.trace_extract.records import Geometry, Keypoints, Tracks

CODE = ForeignCode(
    "TAPIP3D",
    "github.com/zbw001/TAPIP3D",
    "run: git clone https://github.com/zbw001/TAPIP3D, install its requirements and build its "
    "third_party/pointops2",
    "code Apache-2.0 with parts of CoTracker (CC-BY-NC 4.0, non-commercial); weights: see "
    "huggingface.co/zbww/tapip3d",
    "TAPIP3D_FOLDER",
    ("annotation", "datasets", "models", "third_party", "training", "utils"),
)
WEIGHTS = "https://huggingface.co/zbww/tapip3d/resolve/main/tapip3d_final.pth"


@dataclass(frozen=True, slots=True)
class Tapip3dSettings:
    """How the network is run.

    Attributes:
        iterations: of refinement (paper: 6).
        support_grid: side of the grid of helper points (paper: 16).
        enlarge: pixels, in multiples of the training size (its authors: 2).
        min_visibility: what counts as seen (its authors: 0.9).
    """

    iterations: int = 6
    support_grid: int = 16
    enlarge: float = 2.0
    min_visibility: float = 0.9

    def __post_init__(self) -> None:
        if self.iterations < 1 or self.support_grid < 0 or self.enlarge <= 0:
            raise ConfigError(
                f"iterations {self.iterations} and enlarge {self.enlarge} must be positive, "
                f"support_grid {self.support_grid} not negative"
            )
        if not 0 < self.min_visibility < 1:
            raise ConfigError(f"min_visibility {self.min_visibility} must lie in 0..1")


class Tapip3d:
    """Implements `PointTracker`.

    Attributes:
        name: for manifests and cache keys.
    """

    name = "tapip3d"

    def __init__(
        self,
        weights: str | None = None,
        runtime: Runtime | None = None,
        chunks: ChunkSettings | None = None,
        progress: ProgressSettings | None = None,
        settings: Tapip3dSettings | None = None,
    ) -> None:
        """Load the network.

        Args:
            weights: file ``tapip3d_final.pth``; None = download it once.
            runtime: device and precision.
            chunks: how long clips are cut.
            progress: which queries are taken.
            settings: how the network is run.

        Raises:
            ModelError: the code or the weights are not there.
        """
        self._runtime, self._chunks = runtime or Runtime(), chunks or ChunkSettings()
        self._progress = progress or ProgressSettings()
        self._settings = settings or Tapip3dSettings()
        with CODE.active():
            build = CODE.attribute("models", "from_config")
            self._infer = CODE.attribute("utils.inference_utils", "inference")
            with torch.serialization.safe_globals(_configuration_types()):
                stored = read_checkpoint(CODE, weights, WEIGHTS)
            if not {"cfg", "weight"} <= set(stored):
                raise ModelError(f"TAPIP3D: weights with {sorted(stored)[:5]}, not cfg and weight")
            cfg = stored["cfg"]
            model = build(cfg["model"], image_size=cfg["train_dataset"]["resolution"])
            load_strictly(CODE, model, stored["weight"])
            model.set_eval_mode("raw")  # world coordinates in and out
        self._model = model.eval().to(self._runtime.device)
        grow = np.sqrt(self._settings.enlarge)
        self._size = tuple(int(side * grow) for side in model.image_size)

    def track(self, rgb: np.ndarray, geometry: Geometry, queries: Keypoints) -> Tracks:
        """Return the tracks of the queries that were taken; see `PointTracker`.

        Raises:
            DataError: none of the queries has a clear depth.
        """
        track_all = partial(self._track_all, rgb, geometry)
        return track_progressively(track_all, queries, rgb.shape[2], self._progress)

    def _track_all(self, rgb: np.ndarray, geometry: Geometry, queries: Keypoints) -> Tracks:
        count, frames = len(queries.frame), len(rgb)
        world = np.full((count, frames, 3), np.nan, np.float32)
        seen = np.zeros((count, frames), bool)
        start = lift_queries(queries, geometry)
        rows = np.flatnonzero(np.isfinite(start).all(axis=1))
        if len(rows):
            world[rows], seen[rows] = track_in_chunks(
                partial(self._track_chunk, rgb, geometry),
                frames,
                queries.frame[rows],
                start[rows],
                self._chunks,
            )
        return tracks_from_world(world, seen, geometry, queries)

    def _track_chunk(
        self,
        rgb: np.ndarray,
        geometry: Geometry,
        order: np.ndarray,
        start: np.ndarray,
        points: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        # shorter than its window it would not track at all: the last frame is repeated
        missing = max(0, self._model.seq_len - len(order))
        padded = np.concatenate([order, np.repeat(order[-1:], missing)])
        inputs = self._inputs(rgb, geometry, padded)
        query = np.column_stack([start, points]).astype(np.float32)
        with CODE.active(), self._runtime.autocast():
            coords, visible = self._infer(
                model=self._model,
                query_point=self._runtime.tensor(query),
                num_iters=self._settings.iterations,
                grid_size=self._settings.support_grid,
                bidrectional=False,  # spelt so; the backward pass is ours
                vis_threshold=self._settings.min_visibility,
                **inputs,
            )
        shape = (len(padded), len(points))  # it drops axes of length 1
        world = to_numpy(coords).reshape(*shape, 3).swapaxes(0, 1)
        return world[:, : len(order)], to_numpy(visible).reshape(shape).T[:, : len(order)]

    def _inputs(
        self, rgb: np.ndarray, geometry: Geometry, order: np.ndarray
    ) -> dict[str, torch.Tensor]:
        """Return colour, depth and cameras of frames at the network's size."""
        height, width = self._size
        images = np.stack(
            [cv2.resize(np.ascontiguousarray(rgb[k]), (width, height)) for k in order]
        )
        depth = np.stack([resize_depth(geometry.depth_m[k], width, height) for k in order])
        depth = np.where(np.isfinite(depth) & (depth > 0), depth, 0)
        if np.count_nonzero(depth) < 4:
            raise InferenceError(f"TAPIP3D: no known depth in frames {order[0]}..{order[-1]}")
        camera = geometry.intrinsics.scaled(width, height)
        K = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
        tensor = self._runtime.tensor
        return {
            "video": tensor(images).permute(0, 3, 1, 2).float() / 255,
            "depths": tensor(depth),
            "intrinsics": tensor(np.tile(K, (len(order), 1, 1))),
            "extrinsics": tensor(se3.inverse(geometry.T_world_camera[order])),
        }


def _configuration_types() -> list[type]:
    """Return what its checkpoints hold besides tensors: their configuration by omegaconf."""
    module = ("omegaconf", "omegaconf.base", "omegaconf.nodes")
    names = (("DictConfig", "ListConfig"), ("ContainerMetadata", "Metadata"), ("AnyNode",))
    found = [CODE.attribute(m, name) for m, group in zip(module, names) for name in group]
    return [*found, typing.Any, defaultdict, dict, list, int]
