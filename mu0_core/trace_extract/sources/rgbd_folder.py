# SPDX-License-Identifier: Apache-2.0
"""Folders of colour images with or without depth images; also our simulator's recordings.

    FOLDER/color/000000.png …     or rgb/, or the images in FOLDER itself
    FOLDER/depth/000000.png …     optional: 16-bit in depth_unit_m (0 = unknown), or float metres
    FOLDER/intrinsics.json        optional: fx fy cx cy; also width height depth_unit_m fps
    FOLDER/stamps.txt             optional: one line of seconds per colour image
    FOLDER/T_world_camera.npy     optional: (T, 4, 4)
    FOLDER/description.txt        optional: a sentence about the whole clip (or task.txt)
    FOLDER/texts.json             optional: [{"first": 0, "last": 41, "text": "…"}, …]

Times come from ``stamps.txt``, else from names that are seconds with a fraction (as TUM writes
them), else from ``fps``, else the images are taken to be `ReadSettings.fps` already. Other folders
in it, such as ``truth``, are never read.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from mu0_core.errors import SourceError
from mu0_core.trace_extract.records import Clip
from mu0_core.trace_extract.sources.file_hash import hash_files
from mu0_core.trace_extract.sources.folder_files import (
    FolderFiles,
    color_folder,
    find_folder_files,
    name_times,
)
from mu0_core.trace_extract.sources.frame_store import FrameStore
from mu0_core.trace_extract.sources.image_file import read_depth, read_rgb
from mu0_core.trace_extract.sources.reading import (
    ClipRef,
    Reader,
    ReadSettings,
    kept_frames,
    kept_texts,
)
from mu0_core.trace_extract.sources.sidecar import CameraFile, read_camera, read_json, read_text

_LOG = logging.getLogger(__name__)


def read(ref: ClipRef, settings: ReadSettings, scratch: Path) -> Clip:
    """Read a folder of images.

    Raises:
        SourceError: an image or one of the other files cannot be used; says which and why.
    """
    files = find_folder_files(ref.path)
    camera = read_camera(files.camera) if files.camera else None
    stamps = _stamps(files, camera, settings)
    kept = kept_frames(stamps, settings)
    depth = files.depth_of(stamps)
    unit = (camera and camera.depth_unit_m) or settings.depth_unit_m
    with FrameStore(scratch, ref.name, ref.path, settings) as store:
        for index in kept:
            depth_path = depth[index] if depth else None
            store.add(
                read_rgb(files.color[index]),
                None if depth_path is None else read_depth(depth_path, unit),
            )
        if depth and store.frames_without_depth:
            missing = store.frames_without_depth
            _LOG.warning("%s: %d of %d frames have no depth", ref.path, missing, len(kept))
        width, height = store.source_size
        intrinsics = (
            camera.intrinsics(width, height)
            if camera
            else settings.stated_intrinsics(width, height)
        )
        rgb, depth_m = store.finish()
        return Clip(
            name=ref.name,
            source=str(ref.path),
            source_hash=hash_files(ref.path, files.all_files()),
            rgb=rgb,
            depth_m=depth_m,
            intrinsics=store.fit(intrinsics),
            stamps_s=stamps[kept] - stamps[0],
            T_world_camera=_poses(files, kept),
            texts=kept_texts(_texts(files), kept),
        )


def _stamps(files: FolderFiles, camera: CameraFile | None, settings: ReadSettings) -> np.ndarray:
    """Return the time (T,) in s of every colour image."""
    count = len(files.color)
    if files.stamps:
        stamps, source = _read_stamps(files.stamps), files.stamps
        if len(stamps) != count:
            raise SourceError(f"{source}: {len(stamps)} lines, but {count} colour images")
    elif (stamps := name_times(files.color)) is not None:
        source = files.color[0].parent
    else:
        if not (camera and camera.fps):
            _LOG.warning(
                "%s: no stamps.txt and no fps in intrinsics.json; taken as %g frames per second",
                files.root,
                settings.fps,
            )
        return np.arange(count) / ((camera and camera.fps) or settings.fps)
    bad = np.flatnonzero(~(np.diff(stamps) > 0))
    if not np.isfinite(stamps).all() or len(bad):
        where = int(bad[0]) + 1 if len(bad) else 0
        raise SourceError(
            f"{source}: times must be finite and rise from image to image; image {where} is at "
            f"{stamps[where]} s after {stamps[max(where - 1, 0)]} s"
        )
    return stamps


def _read_stamps(path: Path) -> np.ndarray:
    lines = read_text(path).split()
    try:
        return np.array([float(line) for line in lines])
    except ValueError as error:
        raise SourceError(f"{path}: expected one number of seconds a line ({error})") from error


def _poses(files: FolderFiles, kept: np.ndarray) -> np.ndarray | None:
    if files.poses is None:
        return None
    try:
        poses = np.load(files.poses, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise SourceError(f"{files.poses}: is no .npy array ({error})") from error
    expected = (len(files.color), 4, 4)
    if poses.shape != expected or poses.dtype.kind != "f" or not np.isfinite(poses).all():
        raise SourceError(
            f"{files.poses}: {poses.shape} {poses.dtype}, expected {expected} finite floats"
        )
    rotation = poses[:, :3, :3]
    if not np.allclose(rotation @ rotation.transpose(0, 2, 1), np.eye(3), atol=1e-3):
        raise SourceError(f"{files.poses}: holds poses that are not rigid")
    return poses[kept].astype(np.float64)


def _texts(files: FolderFiles) -> list[tuple[float, float, str]]:
    texts: list[tuple[float, float, str]] = []
    if files.description:
        texts.append((0, np.inf, read_text(files.description)))
    if files.texts:
        entries = read_json(files.texts)
        try:
            texts += [(int(e["first"]), int(e["last"]), str(e["text"])) for e in entries]
        except (TypeError, KeyError, ValueError) as error:
            raise SourceError(
                f"{files.texts}: expected a list of objects with first, last and text ({error!r})"
            ) from error
    return texts


READER = Reader(
    matches=lambda path: path.is_dir() and color_folder(path) is not None,
    clips=lambda path, settings: [(path.name, 0)],
    read=read,
)
