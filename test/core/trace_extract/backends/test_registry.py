# SPDX-License-Identifier: Apache-2.0
"""Backends by name: what is known is listed, what is asked for is built with its settings."""

import pytest

from mu0_core.errors import ConfigError, ModelError, UnknownModelError
from mu0_core.trace_extract.backends import cotracker, registry, tapip3d, tapnext, vggt
from mu0_core.trace_extract.backends import transformers_depth as transformers_module
from mu0_core.trace_extract.backends.embedded_tracker import EmbeddedTracker


@pytest.mark.parametrize("name", ["", "midas", "transformers", "transformers:", "embedded"])
def test_unknown_depth_models_list_the_known(name):
    with pytest.raises(UnknownModelError, match="depth model .*known: transformers:WEIGHTS"):
        registry.depth_model(name)


@pytest.mark.parametrize("name", ["dust3r", "vggt:"])
def test_unknown_reconstructions_list_the_known(name):
    with pytest.raises(UnknownModelError, match=r"known: vggt\[:WEIGHTS\], vggt4track"):
        registry.reconstruction(name)


@pytest.mark.parametrize("name", ["raft", "embedded:x", "tapip3d:"])
def test_unknown_trackers_list_the_known(name):
    with pytest.raises(UnknownModelError, match=r"known: embedded, cotracker3\[:WEIGHTS\], tap"):
        registry.point_tracker(name)


def test_the_embedded_tracker_needs_nothing():
    assert isinstance(registry.point_tracker("embedded"), EmbeddedTracker)


@pytest.mark.parametrize(
    "make, name, module, adapter",
    [
        ("depth_model", "transformers:a/b", transformers_module, "TransformersDepth"),
        ("reconstruction", "vggt:/w:x", vggt, "VggtReconstruction"),
        ("reconstruction", "vggt4track", vggt, "VggtReconstruction"),
        ("point_tracker", "cotracker3", cotracker, "CoTracker3"),
        ("point_tracker", "tapnext:f.pt", tapnext, "TapNext"),
        ("point_tracker", "tapip3d", tapip3d, "Tapip3d"),
    ],
)
def test_names_lead_to_adapters_with_weights_and_precision(
    monkeypatch, make, name, module, adapter
):
    monkeypatch.setattr(module, adapter, lambda *arguments: (adapter, *arguments))
    found, weights, runtime, *_ = getattr(registry, make)(name, dtype="bfloat16")
    assert found == adapter
    assert weights == (name.partition(":")[2] or None)
    assert (runtime.device, runtime.dtype) == ("cpu", "bfloat16")
    default = getattr(registry, make)(name)[2].dtype
    assert default == ("bfloat16" if name == "tapip3d" else "float32")


def test_the_variant_is_passed_on(monkeypatch):
    monkeypatch.setattr(vggt, "VggtReconstruction", lambda *arguments: arguments)
    assert registry.reconstruction("vggt4track")[2] is vggt.VGGT4TRACK
    assert len(registry.reconstruction("vggt")) == 2


def test_device_and_type_are_checked_first():
    with pytest.raises(ConfigError, match="device 'abacus'"):
        registry.depth_model("transformers:a/b", device="abacus")
    with pytest.raises(ConfigError, match="dtype 'int4'"):
        registry.point_tracker("cotracker3", dtype="int4")


def test_errors_of_loading_come_through(tmp_path):
    with pytest.raises(ModelError, match="there is no folder"):
        registry.depth_model(f"transformers:{tmp_path}/gone")


def test_names_of_all_kinds_are_listed():
    assert registry.known_names() == {
        "depth": ("transformers:WEIGHTS",),
        "reconstruction": ("vggt[:WEIGHTS]", "vggt4track[:WEIGHTS]"),
        "tracker": (
            "embedded",
            "cotracker3[:WEIGHTS]",
            "tapnext[:WEIGHTS]",
            "tapip3d[:WEIGHTS]",
        ),
    }
