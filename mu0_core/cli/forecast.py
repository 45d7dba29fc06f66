# SPDX-License-Identifier: Apache-2.0
"""``mu0 forecast``: traces for one image, as a picture and as numbers."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from mu0_core.errors import ConfigError, ObservationError
from mu0_core.types import CameraIntrinsics, QueryPoints, RgbdFrame, TraceForecast

_MOVING_M = 0.03


EPILOG = """\
writes overlay.png (blue now to red later), traces.npz and traces.json: control points in metres
in the optical frame of the camera (x right, y down, z forward), knots, and the query pixels.

Traces are metric, so depth is needed. If there is none and the scene is about as far away
everywhere, --assume-plane-depth-m says so: a grid of points on that plane is asked about.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("image", type=Path, help="colour image (any format OpenCV reads)")
    parser.add_argument("--instruction", required=True, help="what is to be done")
    depth = parser.add_mutually_exclusive_group()
    depth.add_argument(
        "--depth",
        type=Path,
        metavar="FILE",
        help="registered depth: 16-bit PNG in millimetres (0 = none), or .npy in metres",
    )
    depth.add_argument(
        "--assume-plane-depth-m", type=float, metavar="M", help="pretend that everything is M away"
    )
    parser.add_argument("--fovy-deg", type=float, default=42.0, help="vertical field of view (42)")
    parser.add_argument("--points", type=int, default=32, help="query points (32)")
    parser.add_argument(
        "--samples", type=int, default=1, help="sampled futures; > 1 gives a spread (1)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the sampling noise (0)")
    parser.add_argument("--model", default="mu0-embedded", help="model id (mu0-embedded)")
    parser.add_argument(
        "--out", type=Path, default=Path("outputs/forecast"), help="(outputs/forecast)"
    )


def run(args: argparse.Namespace) -> int:
    """Write ``overlay.png``, ``traces.npz`` and ``traces.json``.

    Raises:
        ConfigError: an argument is out of range.
        ObservationError: a file cannot be read, or there is no depth.
    """
    import cv2

    from mu0_core.evaluation.overlay import draw_forecast
    from mu0_core.inference import runtime
    from mu0_core.inference.instruction import checked_instruction

    instruction = checked_instruction(args.instruction)
    if args.points < 1 or args.samples < 1:
        raise ConfigError(
            f"--points {args.points} and --samples {args.samples} must be at least 1"
        )
    frame = read_frame(args.image, args.depth, args.fovy_deg, args.assume_plane_depth_m)
    query = _query_points(frame, args.points, flat=args.depth is None)
    forecast = runtime.load_forecaster(args.model).forecast(
        frame, instruction, query, num_samples=args.samples, seed=args.seed
    )
    args.out.mkdir(parents=True, exist_ok=True)
    picture = draw_forecast(frame.rgb, forecast, frame.intrinsics)
    cv2.imwrite(str(args.out / "overlay.png"), picture[..., ::-1])
    write_traces(args.out, forecast)
    moved = np.linalg.norm(forecast.control_points - forecast.control_points[:, :1], axis=-1).max(
        1
    )
    print(
        f"{len(forecast.query)} query points, {int((moved > _MOVING_M).sum())} are to move "
        f"by more than {_MOVING_M * 100:.0f} cm ({forecast.inference_s * 1e3:.0f} ms)\n"
        f"{args.out}/overlay.png\n{args.out}/traces.npz\n{args.out}/traces.json"
    )
    return 0


def write_traces(out: Path, forecast: TraceForecast) -> None:
    """Write the forecast as ``traces.npz`` and ``traces.json`` (same keys)."""
    arrays = {
        "control_points_m": forecast.control_points,
        "knots": forecast.knots,
        "valid_until": forecast.valid_until,
        "query_uv_px": forecast.query.uv_px,
        "query_depth_m": forecast.query.depth_m,
        "entity_ids": forecast.query.entity_ids,
    }
    if forecast.spread_m is not None:
        arrays["spread_m"] = forecast.spread_m
    np.savez(out / "traces.npz", degree=forecast.degree, **arrays)
    facts = {
        "instruction": forecast.instruction,
        "model_id": forecast.model_id,
        "frame_id": forecast.frame_id,
        "degree": forecast.degree,
    }
    rounded = {name: np.round(array.astype(float), 6).tolist() for name, array in arrays.items()}
    (out / "traces.json").write_text(json.dumps({**facts, **rounded}) + "\n")


def _query_points(frame: RgbdFrame, count: int, *, flat: bool) -> QueryPoints:
    """Choose query points; a plane has no relief to choose by, so take a grid."""
    if not flat:
        from mu0_core.inference import runtime

        return runtime.make_selector().select(frame, count)
    width, height = frame.intrinsics.width, frame.intrinsics.height
    columns = max(1, round(np.sqrt(count * width / height)))
    rows = max(1, count // columns)
    u, v = np.meshgrid(
        (np.arange(columns) + 0.5) / columns * width, (np.arange(rows) + 0.5) / rows * height
    )
    uv = np.stack([u.ravel(), v.ravel()], axis=-1)[:count].astype(int)
    n = len(uv)
    return QueryPoints(
        uv.astype(np.float32),
        frame.depth_m[uv[:, 1], uv[:, 0]].astype(np.float32),
        np.arange(n, dtype=np.uint32),
        np.zeros(n, np.uint16),
        np.zeros(n, np.uint8),
        width,
        height,
    )


def read_frame(
    image: Path, depth: Path | None, fovy_deg: float, plane_depth_m: float | None = None
) -> RgbdFrame:
    """Read a frame from files; without a depth file, ``plane_depth_m`` must be given.

    Raises:
        ObservationError: a file cannot be read, the sizes differ, or there is no depth.
        ConfigError: the field of view is outside (1, 170) degrees or the plane not in front.
    """
    import cv2

    if not 1.0 < fovy_deg < 170.0:
        raise ConfigError(f"--fovy-deg {fovy_deg} is outside (1, 170)")
    bgr = cv2.imread(str(image), cv2.IMREAD_COLOR) if image.is_file() else None
    if bgr is None:
        raise ObservationError(f"cannot read an image from {image}")
    height, width = bgr.shape[:2]
    if depth is not None:
        metres = _read_depth(depth)
    elif plane_depth_m is None:
        raise ObservationError(
            "traces are metric and need depth: give --depth FILE, or --assume-plane-depth-m M if "
            "everything in the image is about M metres away"
        )
    elif not 0.05 <= plane_depth_m <= 20.0:
        raise ConfigError(f"--assume-plane-depth-m {plane_depth_m} is outside [0.05, 20]")
    else:
        metres = np.full((height, width), plane_depth_m, np.float32)
    if metres.shape != (height, width):
        raise ObservationError(
            f"depth is {metres.shape[1]}x{metres.shape[0]}, colour {width}x{height}: "
            "they must agree"
        )
    focal = height / 2 / np.tan(np.radians(fovy_deg) / 2)
    camera = CameraIntrinsics(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)
    return RgbdFrame(
        np.ascontiguousarray(bgr[..., ::-1]), metres, camera, "camera_optical_frame", 0
    )


def _read_depth(path: Path) -> np.ndarray:
    """Return (h, w) float32 metres, NaN where nothing was measured."""
    import cv2

    if path.suffix == ".npy":
        try:
            metres = np.load(path, allow_pickle=False).astype(np.float32)
        except (OSError, ValueError) as error:
            raise ObservationError(f"cannot read depth from {path}: {error}") from error
        if metres.ndim != 2:
            raise ObservationError(f"{path} has shape {metres.shape}, expected (h, w)")
    else:
        raw = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.is_file() else None
        if raw is None or raw.dtype != np.uint16 or raw.ndim != 2:
            raise ObservationError(f"{path} is not a 16-bit single-channel image (millimetres)")
        metres = raw.astype(np.float32) / 1000
    metres[~(np.isfinite(metres) & (metres > 0))] = np.nan
    return metres
