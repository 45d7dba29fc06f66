# SPDX-License-Identifier: Apache-2.0
"""Choices beyond the release: paths in steps of time, splines with uniform knots."""

import numpy as np
import pytest

from mu0_core.data.episode import EpisodeReader, Steps
from mu0_core.data.sample import SampleSettings, build_sample
from mu0_core.data.sampling import SamplingSettings
from mu0_core.errors import ConfigError, DataError, ShapeError
from mu0_core.spline.basis import design_matrix, uniform_knots
from mu0_core.spline.fit import fit_control_points


@pytest.fixture
def timed_dir(episode_dir):
    """Beside the paths in equal lengths, paths of half that speed in time."""
    samples = episode_dir / "samples"
    for name in ("traj", "traj_history"):
        path = np.load(samples / f"{name}.npy").astype(np.float32)
        slow = path[:, :1] + (path - path[:, :1]) / 2
        np.save(samples / f"raw_{name}.npy", np.where(np.isfinite(path), slow, -np.inf))
        valid = name.replace("traj", "valid_steps")
        np.save(samples / f"raw_{valid}.npy", np.load(samples / f"{valid}.npy"))
    return episode_dir


def test_timed_paths_are_read_instead(timed_dir):
    equal, timed = (EpisodeReader(timed_dir, steps=steps).slot(0) for steps in Steps)
    rows = timed.valid_future.all(axis=1)
    way = (equal.future - equal.future[:, :1])[rows]
    np.testing.assert_allclose((timed.future - timed.future[:, :1])[rows], way / 2, atol=1e-3)
    np.testing.assert_array_equal(timed.valid_history, equal.valid_history)
    assert np.abs(way).max() > 1


def test_missing_timed_paths_are_named(episode_dir, timed_dir):
    (timed_dir / "samples/raw_valid_steps.npy").unlink()
    with pytest.raises(DataError, match=r"raw_valid_steps\.npy: missing"):
        EpisodeReader(timed_dir, steps=Steps.TIME)
    EpisodeReader(timed_dir)  # which are not needed otherwise


def test_uniform_splines_follow_the_path_with_their_own_basis(episode_dir):
    reader, rows = EpisodeReader(episode_dir), np.array([2, 3, 4])
    scale = (0.5, 0.5, 0.5)
    samples = {
        knots: build_sample(
            reader, 0, rows, SampleSettings(scale, image_size=8, ridge=0.0, clip=None, knots=knots)
        )
        for knots in ("bezier", "uniform")
    }
    basis = design_matrix(uniform_knots(10), 3, np.arange(1, 33) / 32)
    for row in range(3):
        valid = samples["uniform"].valid_future[row]
        drawn = basis @ samples["uniform"].ctrl_pts_future[row]
        expected = samples["uniform"].traj_future[row]
        np.testing.assert_allclose(drawn[valid], expected[valid], atol=3e-3)  # half precision
    one, two = (samples[k].ctrl_pts_future for k in ("bezier", "uniform"))
    assert np.abs(one - two).max() > 1e-2  # another basis, other control points


def test_what_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match="knots 'cubic'"):
        SampleSettings((1, 1, 1), knots="cubic")
    with pytest.raises(ShapeError, match="14 knots; 7 control points need 11"):
        fit_control_points(np.zeros((1, 8, 3)), np.ones((1, 8), bool), 7, knots=uniform_knots(10))
    with pytest.raises(ConfigError, match="n_min"):
        SamplingSettings(0, 1)
