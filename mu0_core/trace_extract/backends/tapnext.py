# SPDX-License-Identifier: Apache-2.0
"""2D tracking by TAPNext++ (torch), lifted to 3D with the clip's depth.

The network is recurrent and gets one frame at a time, stretched to 256 x 256. Its queries are
(frame, y, x), its tracks (y, x); both count pixels of that square from its corner, so that half a
pixel is added on the way in and taken off on the way out.
"""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np
import torch

from mu0_core.trace_extract.backends.checkpoint_file import load_strictly, read_checkpoint
from mu0_core.trace_extract.backends.chunks import ChunkSettings, track_in_chunks
from mu0_core.trace_extract.backends.foreign_code import ForeignCode
from mu0_core.trace_extract.backends.lifting import tracks_from_pixels
from mu0_core.trace_extract.backends.progressive import ProgressSettings, track_progressively
from mu0_core.trace_extract.backends.runtime import Runtime, to_numpy
from mu0_core.trace_extract.records import Geometry, Keypoints, Tracks

CODE = ForeignCode(
    "TAPNext++",
    "github.com/google-deepmind/tapnet",
    'run: pip install einops torchvision "tapnet[torch] @ '
    'git+https://github.com/google-deepmind/tapnet"',
    "code and weights Apache-2.0",
)
WEIGHTS = "https://storage.googleapis.com/dm-tapnet/tapnextpp/tapnextpp_ckpt.pt"
SIDE_PX = 256


class TapNext:
    """Implements `PointTracker`.

    Attributes:
        name: for manifests and cache keys.
    """

    name = "tapnext++"

    def __init__(
        self,
        weights: str | None = None,
        runtime: Runtime | None = None,
        chunks: ChunkSettings | None = None,
        progress: ProgressSettings | None = None,
    ) -> None:
        """Load the network.

        Args:
            weights: file ``tapnextpp_ckpt.pt``; None = download it once.
            runtime: device and precision.
            chunks: how long clips are cut.
            progress: which queries are taken.

        Raises:
            ModelError: the code or the weights are not there.
        """
        self._runtime, self._chunks = runtime or Runtime(), chunks or ChunkSettings()
        self._progress = progress or ProgressSettings()
        network = CODE.attribute("tapnet.tapnext.tapnext_torch", "TAPNext")
        model = network(image_size=(SIDE_PX, SIDE_PX))
        stored = read_checkpoint(CODE, weights, WEIGHTS)
        stored = stored.get("state_dict", stored)
        load_strictly(CODE, model, {k.removeprefix("tapnext."): v for k, v in stored.items()})
        self._model = model.eval().to(self._runtime.device)

    def track(self, rgb: np.ndarray, geometry: Geometry, queries: Keypoints) -> Tracks:
        """Return the tracks of the queries that were taken; see `PointTracker`.

        Raises:
            DataError: none of the queries has a clear depth.
        """
        track_all = partial(self._track_all, rgb, geometry)
        return track_progressively(track_all, queries, rgb.shape[2], self._progress)

    def _track_all(self, rgb: np.ndarray, geometry: Geometry, queries: Keypoints) -> Tracks:
        uv, seen = track_in_chunks(
            partial(self._track_chunk, rgb),
            len(rgb),
            queries.frame,
            queries.uv_px,
            self._chunks,
        )
        return tracks_from_pixels(uv, seen, geometry, queries)

    def _track_chunk(
        self, rgb: np.ndarray, order: np.ndarray, start: np.ndarray, points: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        scale = SIDE_PX / np.array(rgb.shape[2:0:-1])
        yx = ((points + 0.5) * scale)[:, ::-1]
        queries = self._runtime.tensor(np.column_stack([start, yx]).astype(np.float32))[None]
        uv = np.empty((len(points), len(order), 2), np.float32)
        seen = np.empty((len(points), len(order)), bool)
        state = None
        for place, frame in enumerate(order):
            with torch.inference_mode(), self._runtime.autocast():
                tracks, _, logits, state = self._model(
                    video=self._image(rgb[frame]),
                    query_points=queries if place == 0 else None,
                    state=state,
                )
            uv[:, place] = to_numpy(tracks)[0, 0, :, ::-1] / scale - 0.5
            seen[:, place] = to_numpy(logits)[0, 0, :, 0] > 0
        return uv, seen

    def _image(self, rgb: np.ndarray) -> torch.Tensor:
        """Return (1, 1, 256, 256, 3) in [-1, 1]."""
        image = cv2.resize(
            np.ascontiguousarray(rgb), (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA
        )
        return self._runtime.tensor(image)[None, None].float() / 127.5 - 1
