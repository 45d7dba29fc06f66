# SPDX-License-Identifier: Apache-2.0
"""From a folder of pictures to an episode that training reads; what fails does not stop others."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import pytest

from mu0_core.data.dataset import TraceDataset
from mu0_core.data.episode import EpisodeReader
from mu0_core.data.sample import SampleSettings
from mu0_core.testing.synthetic_clip import synthetic_clip
from mu0_core.trace_extract.episode import FACTS_FILE, PICTURES
from mu0_core.trace_extract.manifest import MANIFEST_FILE, REPORT_FILE, write_manifest
from mu0_core.trace_extract.models import Models
from mu0_core.trace_extract.run import WORK, Job, extract_all, extract_one
from mu0_core.trace_extract.settings import ExtractSettings
from mu0_core.trace_extract.sources.discover import find_clips
from mu0_core.trace_extract.stages.filters import FilterSettings
from mu0_core.trace_extract.stages.slots import SlotSettings

SETTINGS = ExtractSettings(
    slots=SlotSettings(every_frames=4), filters=FilterSettings(min_coverage=0.4)
)
FRAMES = 24


def write_folder(folder, clip, frames=None):
    """Write a synthetic clip as the RGB-D folder that a user would have."""
    for kind in ("color", "depth"):
        (folder / kind).mkdir(parents=True)
    for k in range(frames or len(clip.rgb)):
        cv2.imwrite(str(folder / f"color/{k:06d}.png"), clip.rgb[k][..., ::-1])
        millimetres = np.rint(clip.depth_m[k] * 1000).astype(np.uint16)
        cv2.imwrite(str(folder / f"depth/{k:06d}.png"), millimetres)
    lens = clip.intrinsics
    facts = {n: getattr(lens, n) for n in ("width", "height", "fx", "fy", "cx", "cy")}
    (folder / "intrinsics.json").write_text(
        json.dumps({**facts, "depth_unit_m": 0.001, "fps": 10})
    )
    (folder / "description.txt").write_text("push the square to the right\n")


@pytest.fixture(scope="module", autouse=True)
def plain_features():
    """Features without weights, made once: the stages behind them are what is tested here."""

    class Plain:
        name, grid = "plain", 12

        def features(self, rgb):
            return cv2.resize(rgb, (12, 12), interpolation=cv2.INTER_AREA).astype(np.float32)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Models, "features", Plain())
        yield


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    clip = synthetic_clip(FRAMES, start_m=(-0.23, 0.02), speed_m=(0.02, 0, 0))
    write_folder(folder / "push", clip)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory, source):
    out = tmp_path_factory.mktemp("dataset")
    refs, unusable = find_clips([source], SETTINGS.read)
    outcome = extract_one(Job(refs[0], SETTINGS, out))
    assert (outcome.status, unusable) == ("made", []), outcome
    return out, refs[0]


def test_the_episode_is_read_by_the_loader_of_the_released_format(made):
    out, ref = made
    episode = EpisodeReader(out / ref.name)
    assert episode.images.shape == (FRAMES, 240, 320, 3) and len(episode) >= 3
    dataset = TraceDataset([out / ref.name], SampleSettings((0.66, 0.74, 0.21)))
    sample = dataset[0]
    assert not dataset.rejected and len(sample.current_kp) >= 1


def test_traces_follow_the_square(made):
    out, ref = made
    slot = EpisodeReader(out / ref.name).slot(0)
    assert slot.is_moving.all() and len(slot) >= 8
    last = slot.valid_future.sum(axis=1) - 1
    way = slot.future[np.arange(len(slot)), last] - slot.future[:, 0]
    moved = way[last >= 10]
    assert len(moved) >= 5
    assert np.median(moved[:, 0]) > 80 and abs(np.median(moved[:, 1])) < 4


def test_timed_paths_pictures_captions_and_facts_lie_beside(made):
    out, ref = made
    folder = out / ref.name
    timed = np.load(folder / "samples/raw_traj.npy", allow_pickle=False)
    assert timed.shape[1:] == (128, 3)
    assert sorted(p.name for p in (folder / PICTURES).iterdir()) == [
        "1_geometry.jpg", "2_keypoints.jpg", "3_tracks.jpg", "5_traces.jpg", "7_segments.jpg",
    ]  # fmt: skip
    captions = EpisodeReader(folder).captions.at(3)
    assert any("push the square to the right" in texts for texts in captions)
    facts = json.loads((folder / FACTS_FILE).read_text())
    assert facts["camera"] == "static" and facts["depth"] == "sensor" and facts["rows"] > 20
    assert len(facts["source_sha256"]) == 64 and set(facts["seconds"]) >= {"geometry", "tracking"}


def test_nothing_is_left_in_the_work_folder(made):
    out, ref = made
    assert not (out / WORK / ref.name).exists()


def test_a_second_run_leaves_the_episode_as_it_is(made):
    out, ref = made
    before = (out / ref.name / FACTS_FILE).stat().st_mtime_ns
    outcome = extract_one(Job(ref, SETTINGS, out))
    assert outcome.status == "present" and outcome.frames == FRAMES
    assert (out / ref.name / FACTS_FILE).stat().st_mtime_ns == before


def test_an_episode_of_other_settings_is_never_overwritten(made):
    out, ref = made
    other = replace(SETTINGS, slots=SlotSettings(every_frames=2))
    outcome = extract_one(Job(ref, other, out))
    assert outcome.status == "failed" and "made with other settings" in outcome.reason


def test_a_folder_of_something_else_is_never_overwritten(tmp_path, made):
    _, ref = made
    (tmp_path / ref.name).mkdir()
    outcome = extract_one(Job(ref, SETTINGS, tmp_path))
    assert outcome.status == "failed" and "not from mu0 extract" in outcome.reason


def test_a_stopped_run_goes_on_with_the_stages_it_has(tmp_path, made):
    _, ref = made
    job = Job(ref, SETTINGS, tmp_path, keep_work=True)
    assert extract_one(job).status == "made"
    kept = tmp_path / WORK / ref.name / "tracks-1.npz"
    before = kept.stat().st_mtime_ns
    episode = {p.name: p.read_bytes() for p in (tmp_path / ref.name / "samples").iterdir()}
    for path in sorted((tmp_path / ref.name).rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (tmp_path / ref.name).rmdir()
    assert extract_one(job).status == "made" and kept.stat().st_mtime_ns == before
    again = {p.name: p.read_bytes() for p in (tmp_path / ref.name / "samples").iterdir()}
    assert again == episode


def test_one_bad_source_gives_one_line_and_the_others_go_on(tmp_path, source, still_camera):
    bad = tmp_path / "bad"
    write_folder(bad / "blind", still_camera, frames=6)
    for path in (bad / "blind/depth").iterdir():
        cv2.imwrite(str(path), np.zeros((240, 320), np.uint16))
    write_folder(bad / "no_calibration", still_camera, frames=6)
    (bad / "no_calibration/intrinsics.json").unlink()
    (bad / "still").mkdir()
    still = replace(still_camera, rgb=still_camera.rgb[:1].repeat(8, 0),
                    depth_m=still_camera.depth_m[:1].repeat(8, 0))  # fmt: skip
    write_folder(bad / "still", still)
    refs, _ = find_clips([bad, source], SETTINGS.read)
    jobs = [Job(ref, SETTINGS, tmp_path / "out") for ref in refs]
    with ThreadPoolExecutor(2) as executor:
        outcomes = {o.name: o for o in extract_all(jobs, executor)}
    assert outcomes["push"].status == "made"
    assert "0.0% of the pixels have depth" in outcomes["blind"].reason
    assert "read.intrinsics" in outcomes["no_calibration"].reason
    assert "nothing moves by itself" in outcomes["still"].reason
    assert all("\n" not in o.reason for o in outcomes.values())

    failures = [(o.path, o.reason) for o in outcomes.values() if o.status == "failed"]
    manifest = write_manifest(tmp_path / "out", SETTINGS, failures)
    assert manifest["totals"]["episodes"] == 1 and len(manifest["failed"]) == 3
    stored = json.loads((tmp_path / "out" / MANIFEST_FILE).read_text())
    assert stored["episodes"]["push"]["frames"] == FRAMES
    assert stored["settings"]["slots"]["every_frames"] == 4
    page = (tmp_path / "out" / REPORT_FILE).read_text()
    assert "push/pictures/5_traces.jpg" in page and "nothing moves by itself" in page


def test_threads_and_one_process_give_the_same_episode(tmp_path, made, source):
    out, ref = made
    with ThreadPoolExecutor(1) as executor:
        list(extract_all([Job(ref, SETTINGS, tmp_path)], executor))
    for path in (out / ref.name / "samples").iterdir():
        assert path.read_bytes() == (tmp_path / ref.name / "samples" / path.name).read_bytes()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_defect_in_one_clip_is_its_outcome_and_the_next_one_is_made(
    tmp_path, source, monkeypatch, workers
):
    from mu0_core.trace_extract import run

    def read(ref, settings, scratch, read=run.read_clip):
        if ref.name == "broken":
            raise ValueError("no such\n shape")
        return read(ref, settings, scratch)

    monkeypatch.setattr(run, "read_clip", read)
    (ref,), _ = find_clips([source], SETTINGS.read)
    jobs = [Job(replace(ref, name=name), SETTINGS, tmp_path) for name in ("broken", "whole")]
    if workers:
        with ThreadPoolExecutor(workers) as executor:
            found = {outcome.name: outcome for outcome in extract_all(jobs, executor)}
    else:
        found = {outcome.name: outcome for outcome in extract_all(jobs, None)}
    assert found["broken"].reason == "ValueError: no such shape"
    assert (found["broken"].status, found["whole"].status) == ("failed", "made")
