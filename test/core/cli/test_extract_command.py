# SPDX-License-Identifier: Apache-2.0
"""`mu0 extract` reads as a stranger expects: counts, one line per failure, an honest exit code."""

import json

import cv2
import numpy as np
import pytest

from mu0_core.cli.main import main
from mu0_core.trace_extract.manifest import MANIFEST_FILE, REPORT_FILE


def extract(tmp_path, *arguments):
    return main(["extract", *map(str, arguments), "--out", str(tmp_path / "dataset")])


def test_what_cannot_be_used_is_one_line_each_and_the_exit_code_says_so(tmp_path, capsys):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    (tmp_path / "notes.txt").write_text("hello")
    code = extract(tmp_path, tmp_path / "broken.mp4", tmp_path / "notes.txt", tmp_path / "absent")
    shown = capsys.readouterr()
    assert code == 1
    for name in ("broken.mp4", "notes.txt", "absent"):
        assert sum(name in line for line in shown.err.splitlines()) == 1, name
    assert "0 episodes made" in shown.out and "3 sources failed" in shown.out
    manifest = json.loads((tmp_path / "dataset" / MANIFEST_FILE).read_text())
    assert len(manifest["failed"]) == 3 and manifest["totals"]["episodes"] == 0
    assert (tmp_path / "dataset" / REPORT_FILE).exists()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("read.fps=0", "fps 0"),
        ("read.speed=3", "read.speed: unknown"),
        ("slots.every_frames=a", "slots.every_frames"),
    ],
)
def test_a_wrong_setting_is_named_before_anything_is_read(tmp_path, capsys, setting, message):
    assert extract(tmp_path, tmp_path, "--set", setting) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "dataset").exists()


def test_a_configuration_file_is_a_view_of_the_settings(tmp_path, capsys):
    config = tmp_path / "extract.yaml"
    config.write_text("read:\n  fps: 5\nkeypoints:\n  clusters:\n    new_cosine: 0.4\n")
    assert extract(tmp_path, tmp_path / "absent", "--config", config) == 1
    manifest = json.loads((tmp_path / "dataset" / MANIFEST_FILE).read_text())
    assert manifest["settings"]["read"]["fps"] == 5
    assert manifest["settings"]["keypoints"]["clusters"]["new_cosine"] == 0.4


def test_no_worker_is_no_extraction(tmp_path, capsys):
    assert extract(tmp_path, tmp_path, "--workers", "0") == 2
    assert "--workers 0 must be at least 1" in capsys.readouterr().err


def test_a_cluster_needs_its_extra(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    assert extract(tmp_path, tmp_path, "--scheduler", "tcp://host:8786") == 2
    assert "mu0-ros[cluster]" in capsys.readouterr().err


def test_the_workers_of_a_cluster_do_the_same(tmp_path, capsys):
    distributed = pytest.importorskip("distributed", reason="extra: cluster")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/broken.mp4").write_bytes(b"no video")
    folder = tmp_path / "frames" / "color"
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "000000.png"), np.zeros((24, 32, 3), np.uint8))
    cluster = distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    )
    with cluster:
        address = cluster.scheduler_address
        code = extract(tmp_path, tmp_path / "frames", "--scheduler", address)
    assert code == 1
    assert "one frame is no clip" in capsys.readouterr().err
