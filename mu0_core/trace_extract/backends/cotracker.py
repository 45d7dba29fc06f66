# SPDX-License-Identifier: Apache-2.0
"""2D tracking by CoTracker3 (offline), lifted to 3D with the clip's depth.

The package ``cotracker`` is used when installed, else torch.hub fetches the commit below, which is
code that then runs here: choosing this tracker is agreeing to that. Its queries are (frame, x, y);
its pixels have integer centres like ours (it resizes with aligned corners), so nothing shifts.
"""

from __future__ import annotations

import importlib.util
from functools import partial

import numpy as np
import torch

from mu0_core.errors import ModelError
from mu0_core.trace_extract.backends.checkpoint_file import load_strictly, read_checkpoint
from mu0_core.trace_extract.backends.chunks import ChunkSettings, track_in_chunks
from mu0_core.trace_extract.backends.foreign_code import ForeignCode
from mu0_core.trace_extract.backends.lifting import tracks_from_pixels
from mu0_core.trace_extract.backends.progressive import ProgressSettings, track_progressively
from mu0_core.trace_extract.backends.runtime import Runtime, to_numpy
from mu0_core.trace_extract.records import Geometry, Keypoints, Tracks

CODE = ForeignCode(
    "CoTracker3",
    "github.com/facebookresearch/co-tracker",
    "run: pip install git+https://github.com/facebookresearch/co-tracker",
    "code and weights CC-BY-NC 4.0 (non-commercial)",
)
HUB_COMMIT = "facebookresearch/co-tracker:82e02e8029753ad4ef13cf06be7f4fc5facdda4d"
WEIGHTS = "https://huggingface.co/facebook/cotracker3/resolve/main/scaled_offline.pth"
_WINDOW = 60  # frames that the released offline weights were trained for


class CoTracker3:
    """Implements `PointTracker`.

    Attributes:
        name: for manifests and cache keys.
    """

    name = "cotracker3"

    def __init__(
        self,
        weights: str | None = None,
        runtime: Runtime | None = None,
        chunks: ChunkSettings | None = None,
        progress: ProgressSettings | None = None,
    ) -> None:
        """Load the network.

        Args:
            weights: file ``scaled_offline.pth``; None = download it once.
            runtime: device and precision.
            chunks: how long clips are cut.
            progress: which queries are taken.

        Raises:
            ModelError: the code or the weights are not there.
        """
        self._runtime, self._chunks = runtime or Runtime(), chunks or ChunkSettings()
        self._progress = progress or ProgressSettings()
        predictor = _predictor()
        load_strictly(CODE, predictor.model, read_checkpoint(CODE, weights, WEIGHTS))
        self._predictor = predictor.eval().to(self._runtime.device)

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
        video = self._runtime.tensor(rgb[order]).permute(0, 3, 1, 2)[None].float()
        queries = self._runtime.tensor(np.column_stack([start, points]).astype(np.float32))
        with torch.inference_mode(), self._runtime.autocast():
            tracks, visible = self._predictor(video, queries=queries[None])
        seen = to_numpy(visible).reshape(len(order), len(points))
        return to_numpy(tracks)[0].swapaxes(0, 1), seen.T.astype(bool)


def _predictor() -> torch.nn.Module:
    if importlib.util.find_spec("cotracker") is not None:
        predictor = CODE.attribute("cotracker.predictor", "CoTrackerPredictor")
        return predictor(checkpoint=None, offline=True, v2=False, window_len=_WINDOW)
    try:
        return torch.hub.load(
            HUB_COMMIT,
            "cotracker3_offline",
            pretrained=False,
            trust_repo=True,
            skip_validation=True,  # it would ask GitHub whether a commit is a branch
            verbose=False,
        )
    except (OSError, RuntimeError, ImportError) as error:
        raise ModelError(
            f"{CODE.name} is not installed and torch.hub cannot fetch {HUB_COMMIT} ({error}); "
            f"{CODE.install}. Licence: {CODE.licence}"
        ) from error
