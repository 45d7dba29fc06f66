# SPDX-License-Identifier: Apache-2.0
"""``mu0 demo``: the whole stack as processes, one scene, several sentences, pictures and a report."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from mu0_core.errors import ConfigError

DEFAULT_TASKS = "press_button,cube_in_bowl,push_left"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--seed", type=int, default=50_001, help="of the scene (default 50001)")
    parser.add_argument("--tasks", default=DEFAULT_TASKS, help=f"default {DEFAULT_TASKS}")
    parser.add_argument("--max-duration", type=float, default=30.0, metavar="S", help="per task")
    parser.add_argument("--out", type=Path, default=Path("outputs/demo"), help="default outputs/demo")


def run(args: argparse.Namespace) -> int:
    """Run; return 0 when every task came to an end, whether achieved or not."""
    from mu0_core.cli.processes import NodeProcesses

    args.out.mkdir(parents=True, exist_ok=True)
    for old in (*args.out.glob("forecast_*"), *args.out.glob("*.mp4")):
        old.unlink()
    started = time.monotonic()
    rows: list[dict] = []
    print("starting simulator and nodes ...", flush=True)
    with NodeProcesses({"simulator": {"seed": args.seed}}, args.out / "log") as nodes:
        command = [
            sys.executable, "-m", "mu0_ros.demo_client", "--out", str(args.out), "--seed",
            str(args.seed), "--tasks", args.tasks, "--max-duration", str(args.max_duration),
        ]
        with subprocess.Popen(command, env=nodes.env, stdout=subprocess.PIPE, text=True) as client:
            for line in client.stdout:
                if line.startswith("{"):
                    _tell(json.loads(line), rows, time.monotonic() - started)
        memory_mb = _resident_mb(nodes.pids())
        if client.returncode:
            raise ConfigError(f"the demo client ended with {client.returncode}; {nodes.log_hint()}")
    pictures = _pictures(args.out, args.seed)
    _report(args, rows, pictures, memory_mb)
    print(f"\nvideo {args.out}/demo.mp4, {pictures} forecast pictures, report {args.out}/report.md")
    return 0


def _tell(fact: dict, rows: list[dict], elapsed_s: float) -> None:
    """Show one fact of the client in the terminal."""
    event = fact.pop("event")
    if event == "ready":
        print(f"ready after {elapsed_s:.0f} s", flush=True)
    elif event == "task":
        rows.append({**fact, "asked_at_s": round(elapsed_s, 1)})
        print(f"\n> {fact['instruction']}", flush=True)
    elif event == "progress":
        share = max(0.0, min(1.0, fact["progress"]))
        bar = "#" * round(20 * share)
        print(f"\r  [{bar:<20}] {fact['forecasts']} forecasts", end="", flush=True)
    elif event == "end":
        rows[-1].update(fact)
        verdict = "achieved" if fact["success"] else "not achieved"
        print(f"\r  {verdict} after {fact['elapsed_s']} s ({fact['message']})      ", flush=True)


def _resident_mb(pids: dict[str, int]) -> float:
    """Return the resident memory of the nodes together, from /proc (0 where there is none)."""
    total = 0
    for pid in pids.values():
        path = Path(f"/proc/{pid}/status")
        if path.is_file():
            for line in path.read_text().splitlines():
                if line.startswith("VmRSS:"):
                    total += int(line.split()[1])
    return total / 1024


def _pictures(out: Path, seed: int) -> int:
    """Draw every kept forecast into its image."""
    import cv2
    import numpy as np

    from mu0_core.evaluation.overlay import draw_paths
    from mu0_core.geometry import camera
    from mu0_core.spline.basis import design_matrix
    from mu0_core.types import CameraIntrinsics

    count = 0
    for path in sorted(out.glob("forecast_*.npz")):
        with np.load(path) as kept:
            w, h, fx, fy, cx, cy = kept["intrinsics"]
            intrinsics = CameraIntrinsics(int(w), int(h), fx, fy, cx, cy)
            basis = design_matrix(kept["knots"], 3, np.linspace(0, 1, 33))
            points = np.einsum("hd,ndc->nhc", basis, kept["control_points"].astype(float))
            picture = draw_paths(kept["rgb"], camera.project(points, intrinsics)[..., :2])
            text = str(kept["instruction"])
        cv2.putText(picture, text, (10, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (20, 20, 20), 1, cv2.LINE_AA)
        cv2.imwrite(str(path.with_suffix(".png")), picture[..., ::-1])
        count += 1
    return count


def _report(args: argparse.Namespace, rows: list[dict], pictures: int, memory_mb: float) -> None:
    """Write report.md."""
    lines = [
        "# Demo", "", f"Scene {args.seed}, nodes as processes over ROS 2.", "",
        "| task | instruction | achieved | time | end |", "|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row['task']} | {row['instruction']} | {'yes' if row.get('success') else 'no'} "
            f"| {row.get('elapsed_s', '?')} s | {row.get('message', 'did not end')} |"
        )
    lines += ["", f"First task asked {rows[0]['asked_at_s']} s after the start." if rows else "",
              f"Resident memory of the nodes: {memory_mb:.0f} MB.", "",
              "Video: [demo.mp4](demo.mp4). Forecasts, colour by phase (blue now, red end):", ""]
    lines += [f"![forecast](forecast_{k:02d}.png)" for k in range(pictures)]
    (args.out / "report.md").write_text("\n".join(lines) + "\n")
