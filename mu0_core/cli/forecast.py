# SPDX-License-Identifier: Apache-2.0
"""``mu0 forecast``: traces for one image, as a picture and as numbers."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from mu0_core.errors import ConfigError, ObservationError
from mu0_core.types import CameraIntrinsics, RgbdFrame


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("image", type=Path, help="colour image (any format OpenCV reads)")
    parser.add_argument("--instruction", required=True, help="what is to be done")
    parser.add_argument(
        "--depth", type=Path, required=True,
        help="registered depth: 16-bit PNG in millimetres, or .npy in metres",
    )
    parser.add_argument("--fovy-deg", type=float, default=42.0, help="vertical field of view (42)")
    parser.add_argument("--points", type=int, default=32, help="query points (32)")
    parser.add_argument("--samples", type=int, default=1, help="sampled futures (1)")
    parser.add_argument("--seed", type=int, default=0, help="of the sampling noise (0)")
    parser.add_argument("--model", default="mu0-embedded", help="model id")
    parser.add_argument("--out", type=Path, default=Path("outputs/forecast"), help="folder")


def run(args: argparse.Namespace) -> int:
    """Write ``overlay.png`` and ``traces.npz``."""
    import cv2

    from mu0_core.evaluation.overlay import draw_forecast
    from mu0_core.inference import runtime
    from mu0_core.inference.instruction import checked_instruction

    instruction = checked_instruction(args.instruction)
    frame = read_frame(args.image, args.depth, args.fovy_deg)
    query = runtime.make_selector().select(frame, args.points)
    forecast = runtime.load_forecaster(args.model).forecast(
        frame, instruction, query, num_samples=args.samples, seed=args.seed
    )
    args.out.mkdir(parents=True, exist_ok=True)
    picture = draw_forecast(frame.rgb, forecast, frame.intrinsics)
    cv2.imwrite(str(args.out / "overlay.png"), picture[..., ::-1])
    arrays = {
        "control_points_m": forecast.control_points, "knots": forecast.knots,
        "valid_until": forecast.valid_until, "query_uv_px": forecast.query.uv_px,
        "query_depth_m": forecast.query.depth_m, "entity_ids": forecast.query.entity_ids,
    }
    if forecast.spread_m is not None:
        arrays["spread_m"] = forecast.spread_m
    np.savez(args.out / "traces.npz", **arrays)
    moved = np.linalg.norm(forecast.control_points - forecast.control_points[:, :1], axis=-1).max(1)
    print(
        f"{len(query)} query points, {int((moved > 0.03).sum())} are forecast to move by more than "
        f"3 cm ({forecast.inference_s * 1e3:.0f} ms)\n{args.out}/overlay.png\n{args.out}/traces.npz"
    )
    return 0


def read_frame(image: Path, depth: Path, fovy_deg: float) -> RgbdFrame:
    """Read a frame from files.

    Raises:
        ObservationError: a file cannot be read or the sizes differ.
        ConfigError: the field of view is outside (1, 170) degrees.
    """
    import cv2

    if not 1.0 < fovy_deg < 170.0:
        raise ConfigError(f"--fovy-deg {fovy_deg} is outside (1, 170)")
    bgr = cv2.imread(str(image), cv2.IMREAD_COLOR)
    if bgr is None:
        raise ObservationError(f"cannot read an image from {image}")
    if depth.suffix == ".npy":
        try:
            metres = np.load(depth, allow_pickle=False).astype(np.float32)
        except (OSError, ValueError) as error:
            raise ObservationError(f"cannot read depth from {depth}: {error}") from error
    else:
        raw = cv2.imread(str(depth), cv2.IMREAD_UNCHANGED)
        if raw is None or raw.dtype != np.uint16 or raw.ndim != 2:
            raise ObservationError(f"{depth} is not a 16-bit single-channel image (millimetres)")
        metres = raw.astype(np.float32) / 1000
    metres[~(metres > 0)] = np.nan
    height, width = bgr.shape[:2]
    if metres.shape != (height, width):
        raise ObservationError(
            f"depth is {metres.shape[1]}x{metres.shape[0]}, colour {width}x{height}: they must agree"
        )
    focal = height / 2 / np.tan(np.radians(fovy_deg) / 2)
    camera = CameraIntrinsics(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)
    return RgbdFrame(np.ascontiguousarray(bgr[..., ::-1]), metres, camera, "camera_optical_frame", 0)
