# SPDX-License-Identifier: Apache-2.0
"""``mu0 benchmark``: latency of the forecast by stage, optimised against plain, messages."""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mu0_core.errors import ConfigError

if TYPE_CHECKING:
    from mu0_core.model.world_model import WorldModel

EPILOG = """\
One row for each stage of the embedded model, then whole forecasts: "forecast" is what a node
calls; "optimised" and "plain" are the same weights without image preparation, the plain one with
the prefix encoded again for each sample and attention unfused. All rows take turns, so their
ratios compare.

--messages times what ROS adds instead: from just before a colour image of 640x480 is published
until its TraceArray is here, minus the model's time. The trace forecaster runs as a process of its
own over Fast DDS, with the real choice of query points (which counts) and a model that costs
nothing. It needs the simulator for a picture of the table; about 0.2 s a run.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--model", default="mu0-embedded", help="model id")
    parser.add_argument("--points", type=int, default=16, help="query points (16)")
    parser.add_argument("--runs", type=int, default=30, help="measured runs, at least 3 (30)")
    parser.add_argument("--threads", type=int, default=2, help="of torch, or of the node (2)")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--release-size", action="store_true", help="random release weights on CUDA, bf16"
    )
    instead.add_argument(
        "--messages", action="store_true", help="ROS image to ROS traces, without the model"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers")


def run(args: argparse.Namespace) -> int:
    """Measure and print a table of p50 and p95 in milliseconds."""
    if args.runs < 3:
        raise ConfigError(f"--runs {args.runs}: at least 3")
    if args.messages:
        rows = _messages(args)
    else:
        import torch

        torch.set_num_threads(args.threads)
        rows = _release(args) if args.release_size else _embedded(args)
    machine = _machine(args.release_size)
    print(f"{machine}, {args.threads} threads, {args.points} points, {args.runs} runs\n")
    print("| stage | p50 ms | p95 ms |\n|---|---|---|")
    for name, times in rows.items():
        print(f"| {name} | {np.percentile(times, 50):.1f} | {np.percentile(times, 95):.1f} |")
    ratios = _ratios(rows)
    for name, value in ratios.items():
        print(f"\n{name}: {value:.2f}")
    if args.json is not None:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        table = {
            n: {"p50_ms": float(np.percentile(t, 50)), "p95_ms": float(np.percentile(t, 95))}
            for n, t in rows.items()
        }
        args.json.write_text(
            json.dumps(
                {
                    "machine": machine,
                    "model": _model_name(args),
                    "threads": args.threads,
                    "points": args.points,
                    "runs": args.runs,
                    "stages": table,
                    "ratios": ratios,
                },
                indent=2,
            )
            + "\n"
        )
    return 0


def _model_name(args: argparse.Namespace) -> str:
    if args.messages:
        return "none"
    return "release-size" if args.release_size else args.model


def _interleaved(work: dict[str, Callable[[], object]], runs: int) -> dict[str, list[float]]:
    """Time callables in turn, so that a drifting machine hits all alike; one warm-up each."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for call in work.values():
        call()
    for _ in range(runs):
        for name, call in work.items():
            start = time.perf_counter()
            call()
            times[name].append((time.perf_counter() - start) * 1e3)
    return times


def _embedded(args: argparse.Namespace) -> dict[str, list[float]]:
    import torch

    from mu0_core.inference import runtime
    from mu0_core.model.noise import seeded_noise
    from mu0_core.model.plain import plain_sample
    from mu0_core.simulation.world import TableWorld

    world = TableWorld()
    world.reset(50_000)
    frame, instruction = world.render(), "put the red cube in the bowl"
    selector, forecaster = runtime.make_selector(), runtime.load_forecaster(args.model)
    query = selector.select(frame, args.points)
    model = forecaster.model
    images = torch.rand(1, 3, model.config.image_size, model.config.image_size)
    tokens = torch.randint(0, 1000, (1, 10))
    mask = torch.ones_like(tokens, dtype=torch.bool)
    points = torch.cat([torch.rand(1, args.points, 2) * 2 - 1, torch.ones(1, args.points, 1)], -1)
    noise = seeded_noise([0], 5, args.points, model.config.trace_bspline_n_ctrl)

    @torch.no_grad()
    def optimised() -> None:
        image = model.encode_image(images)
        prefix = model.encode_prefix(image, tokens, mask, with_hidden=False)
        features = model.point_features(image, points[..., :2])
        model.sample(prefix, features, points, num_samples=5, noise=noise)

    image = model.encode_image(images)
    with torch.no_grad():
        prefix = model.encode_prefix(image, tokens, mask, with_hidden=False)
        features = model.point_features(image, points[..., :2])
        stages = {
            "query points": lambda: selector.select(frame, args.points),
            "vision tower": lambda: model.encode_image(images),
            "language model": lambda: model.encode_prefix(image, tokens, mask, with_hidden=False),
            "trace expert, 1 sample": lambda: model.sample(
                prefix, features, points, num_samples=1, noise=noise[:, :1]
            ),
            "trace expert, 5 samples": lambda: model.sample(
                prefix, features, points, num_samples=5, noise=noise
            ),
            "forecast, 1 sample": lambda: forecaster.forecast(frame, instruction, query),
            "forecast, 5 samples": lambda: forecaster.forecast(
                frame, instruction, query, num_samples=5
            ),
            "optimised, 5 samples": optimised,
            "plain, 5 samples": lambda: plain_sample(model, images, tokens, mask, points, noise),
        }
        times = _interleaved(stages, args.runs)
    world.close()
    return times


def _release(args: argparse.Namespace) -> dict[str, list[float]]:
    """Time the release configuration with random weights on CUDA."""
    import torch

    from mu0_core.model.release import RELEASE_CONFIG, RELEASE_SIZES
    from mu0_core.model.world_model import WorldModel

    if not torch.cuda.is_available():
        raise ConfigError("--release-size needs a CUDA device, and there is none")
    with torch.device("cuda"):
        model = WorldModel(RELEASE_CONFIG, RELEASE_SIZES).eval().to(torch.bfloat16)
    forecast = random_forecast(model, args.points, "cuda")
    return _interleaved(
        {"forecast, 1 sample": lambda: forecast(1), "forecast, 5 samples": lambda: forecast(5)},
        args.runs,
    )


def _messages(args: argparse.Namespace) -> dict[str, list[float]]:
    """Time image message to traces through a node's process; see ``mu0_ros/message_overhead.py``.

    Raises:
        ConfigError: rclpy or the messages are missing; names the command to run.
        ProcessError: node or client ended early; names the folder of the log.
    """
    from mu0_core.cli.processes import NodeProcesses

    node = "trace_forecaster"
    values = {"backend": "no_model", "max_points": args.points, "use_sim_time": False}
    processes = NodeProcesses({node: values}, Path("outputs/benchmark/log"), (node,))
    processes.env["OMP_NUM_THREADS"] = str(args.threads)
    with processes as nodes:
        facts = nodes.facts("mu0_ros.message_overhead", ["--runs", str(args.runs)])
        return {"image message to traces, no model": [fact["overhead_ms"] for fact in facts]}


def random_forecast(model: WorldModel, points: int, device: str) -> Callable[[int], object]:
    """Return a function of the number of samples that runs the model once on random input.

    Weights are as they are given; activations run in bfloat16.
    """
    import torch

    side, text = model.config.image_size, model.backbone.sizes.text
    images = torch.rand(1, 3, side, side, device=device)
    tokens = torch.randint(0, text.vocab_size, (1, 12), device=device)
    mask = torch.ones_like(tokens, dtype=torch.bool)
    query = torch.rand(1, points, 3, device=device) * 2 - 1
    query[..., 2] += 2.0  # metres in front of the camera

    def forecast(samples: int) -> object:
        with torch.no_grad(), torch.autocast(device, torch.bfloat16):
            shared = model.encode_image(images) if model.config.share_vision_features else images
            prefix = model.encode_prefix(shared, tokens, mask, with_hidden=False)
            features = model.point_features(shared, query[..., :2])
            result = model.sample(prefix, features, query, num_samples=samples)
        if device == "cuda":
            torch.cuda.synchronize()
        return result

    return forecast


def _ratios(rows: dict[str, list[float]]) -> dict[str, float]:
    """Return ratios of medians taken in the same run."""
    pairs = {
        "5 samples against 1": ("forecast, 5 samples", "forecast, 1 sample"),
        "plain against optimised": ("plain, 5 samples", "optimised, 5 samples"),
    }
    return {
        name: float(np.median(rows[a]) / np.median(rows[b]))
        for name, (a, b) in pairs.items()
        if a in rows and b in rows
    }


def _machine(cuda: bool = False) -> str:
    """Return the name of the processor, or of the CUDA device."""
    if cuda:
        import torch

        return torch.cuda.get_device_name()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(": ")[2]
    return platform.processor() or platform.machine()
