# SPDX-License-Identifier: Apache-2.0
"""A YAML file says nothing that the dataclasses do not know, and errors give the dotted path."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import pytest
import yaml

from mu0_core.errors import ConfigError
from mu0_core.training.episodes.settings import EpisodeTraining
from mu0_core.yaml_settings import from_values, read_settings


@dataclass(frozen=True)
class Inner:
    rate: float = 0.5
    names: tuple[str, ...] = ("a",)
    pair: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self):
        if self.rate < 0:
            raise ConfigError(f"rate={self.rate}: expected at least 0")


@dataclass(frozen=True)
class Outer:
    count: int = 3
    quick: bool = False
    label: str | None = None
    inner: Inner = field(default_factory=Inner)


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "run.yaml"
        path.write_text(text)
        return path

    return write


def test_what_is_not_named_keeps_its_default(written):
    assert read_settings(Outer, None) == Outer() == read_settings(Outer, written(""))
    read = read_settings(Outer, written("count: 5\ninner: {rate: 1e-4, names: [x, y]}\n"))
    assert read == Outer(5, inner=Inner(1e-4, ("x", "y")))


def test_every_default_survives_a_file(written):
    values = dataclasses.asdict(EpisodeTraining.__dataclass_fields__["run"].default_factory())
    text = yaml.safe_dump({"run": {k: list(v) if isinstance(v, tuple) else v
                                   for k, v in values.items()}})  # fmt: skip
    data = {"data": {"episodes": ["x"]}}
    read = read_settings(EpisodeTraining, written(text + yaml.safe_dump(data)))
    assert dataclasses.asdict(read.run) == values


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cuont: 3", r"cuont: unknown; allowed are count, quick, label, inner"),
        ("inner: {rat: 3}", r"inner\.rat: unknown; allowed are rate, names, pair"),
        ("count: three", r"count: 'three' is not of type int"),
        ("count: true", r"count: True is not of type int"),
        ("count: 2.0", r"count: 2\.0 is not of type int"),
        ("quick: 1", r"quick: 1 is not of type bool"),
        ("label: 4", r"label: 4 is not of type str"),
        ("count:", r"count: None is not of type int"),
        ("inner: {rate: fast}", r"inner\.rate: 'fast' is not a number"),
        ("inner: {rate: -1}", r"inner: rate=-1\.0: expected at least 0"),
        ("inner: {names: x}", r"inner\.names: 'x' is not a list"),
        ("inner: {names: [x, 2]}", r"inner\.names\[1\]: 2 is not of type str"),
        ("inner: {pair: [1, 2, 3]}", r"inner\.pair: .* has 3 items, not 2"),
        ("inner: 7", r"inner: 7 is not a section"),
        ("count: 1\ncount: 2", r"'count' stands twice"),
        ("- 1", r"holds list, expected sections"),
        ("a: [", r"cannot read"),
    ],
)
def test_what_does_not_fit_is_named(written, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        read_settings(Outer, written(text))
    assert "run.yaml" in str(caught.value)


def test_overrides_beat_the_file_and_are_as_strict(written):
    path = written("count: 5\ninner: {rate: 2}\n")
    read = read_settings(
        Outer, path, ["inner.rate=0.25", "inner.names=[p]", "label=null", "quick=true"]
    )
    assert read == Outer(5, True, None, Inner(0.25, ("p",)))
    for wrong, message in (
        ("inner.rte=1", r"inner\.rte: unknown"),
        ("inner.rate", r"expected section\.key=value"),
        ("count.x=1", r"count is no section"),
        ("count=[", "is not YAML"),
    ):
        with pytest.raises(ConfigError, match=message):
            read_settings(Outer, path, [wrong])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read .*none\.yaml"):
        read_settings(Outer, tmp_path / "none.yaml")


def test_a_required_field_that_is_missing_is_named():
    @dataclass(frozen=True)
    class Needy:
        wanted: int

    with pytest.raises(ConfigError, match="wanted"):
        from_values(Needy, {})
