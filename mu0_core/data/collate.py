# SPDX-License-Identifier: Apache-2.0
"""Samples of different point counts as one batch: zeros behind the points, marked as padding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mu0_core.data.sample import FrameFeatures, TraceSample
from mu0_core.errors import DataError

IMAGE = "observation.images.cam_front"
IMAGE_TOKENS, PATCH_MAP, KEY_VALUES = (
    f"{IMAGE}_{name}" for name in ("tokens", "patch_map", "key_values")
)
_PER_POINT = (
    "current_kp",
    "traj_future",
    "valid_future",
    "traj_history",
    "valid_history",
    "ctrl_pts_future",
    "valid_kp",
    "cluster_ids",
)
_PADDING = {"cluster_ids": -1}


def collate(samples: Sequence[TraceSample]) -> dict[str, np.ndarray | list[str]]:
    """Return a batch under the released keys.

    ``task`` holds the instructions, ``key_pad_mask`` (B, N) is true for real points, per-point
    arrays are (B, N, ...), images (B, 3, I, I). Depth images and spline targets appear when the
    samples have them; what was kept of their frames stands in for the images.

    Raises:
        DataError: no sample, or only some samples have depth images, features or spline targets.
    """
    if not samples:
        raise DataError("a batch needs at least one sample")
    most = max(len(sample) for sample in samples)
    batch: dict[str, np.ndarray | list[str]] = {
        "task": [s.instruction for s in samples],
        "key_pad_mask": np.arange(most) < np.array([[len(s)] for s in samples]),
    }
    if _all_or_none(samples, "features"):
        kept = [s.features for s in samples]
        batch[IMAGE_TOKENS] = np.stack([f.tokens for f in kept])
        for key, name in ((PATCH_MAP, "patch_map"), (KEY_VALUES, "key_values")):
            if _all_or_none(kept, name):
                batch[key] = np.stack([getattr(f, name) for f in kept])
    else:
        batch[IMAGE] = np.stack([s.image for s in samples])
    if _all_or_none(samples, "depth_image"):
        batch[f"{IMAGE}_depth"] = np.stack([s.depth_image for s in samples])
    for name in _PER_POINT:
        if _all_or_none(samples, name):
            batch[name] = _pad([getattr(s, name) for s in samples], most, _PADDING.get(name, 0))
    return batch


def _all_or_none(samples: Sequence[TraceSample | FrameFeatures], name: str) -> bool:
    present = [getattr(s, name) is not None for s in samples]
    if any(present) != all(present):
        raise DataError(f"only {sum(present)} of {len(present)} samples of a batch have {name}")
    return present[0]


def _pad(arrays: Sequence[np.ndarray], most: int, value: int) -> np.ndarray:
    shapes = {a.shape[1:] for a in arrays}
    if len(shapes) > 1:
        raise DataError(f"samples of a batch differ in shape: {sorted(shapes)}")
    padded = np.full((len(arrays), most, *arrays[0].shape[1:]), value, arrays[0].dtype)
    for row, array in zip(padded, arrays):
        row[: len(array)] = array
    return padded
