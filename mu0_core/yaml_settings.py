# SPDX-License-Identifier: Apache-2.0
"""YAML as a strict view of nested frozen dataclasses, which alone hold the defaults.

An unknown key, a key that stands twice, or a value of another type is an error that gives the
dotted path of the key and what is allowed there.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import yaml

from mu0_core.errors import ConfigError

T = TypeVar("T")


def read_settings(kind: type[T], path: Path | None, overrides: Iterable[str] = ()) -> T:
    """Return the settings in a YAML file, or the defaults without one.

    Args:
        kind: dataclass.
        path: of the file.
        overrides: ``section.key=value``, values as in YAML; they beat the file.

    Raises:
        ConfigError: the file cannot be read, or see `from_values`.
    """
    values = {} if path is None else _load(path)
    for override in overrides:
        _override(values, override)
    try:
        return from_values(kind, values)
    except ConfigError as error:
        raise ConfigError(f"{path or 'settings'}: {error}") from error


def from_values(kind: type[T], values: Any, where: str = "") -> T:
    """Return the dataclass ``kind`` of parsed values; what is missing takes its default.

    Raises:
        ConfigError: a key is unknown, a value is of another type or refused by the dataclass.
    """
    if not isinstance(values, dict):
        raise ConfigError(f"{where or 'the file'}: {values!r} is not a section of keys")
    hints = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]
    prefix = f"{where}." if where else ""
    for key in values:
        if key not in names:
            raise ConfigError(f"{prefix}{key}: unknown; allowed are {', '.join(names)}")
    given = {key: _value(hints[key], value, prefix + key) for key, value in values.items()}
    try:
        return kind(**given)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}" if where else str(error)) from error
    except TypeError as error:
        raise ConfigError(f"{where or 'settings'}: {error}") from error


def _value(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        (hint,) = (a for a in arguments if a is not type(None))
        return _value(hint, value, where)
    if dataclasses.is_dataclass(hint):
        return from_values(hint, value, where)
    if origin is tuple:
        return _items(arguments, value, where)
    if hint is float:
        return _number(value, where)
    fits = isinstance(value, hint) and (hint is bool or not isinstance(value, bool))
    if not fits:
        raise ConfigError(f"{where}: {value!r} is not of type {hint.__name__}")
    return value


def _items(arguments: tuple, value: Any, where: str) -> tuple:
    if not isinstance(value, list):
        raise ConfigError(f"{where}: {value!r} is not a list")
    if arguments[-1] is not Ellipsis and len(value) != len(arguments):
        raise ConfigError(f"{where}: {value!r} has {len(value)} items, not {len(arguments)}")
    return tuple(_value(arguments[0], item, f"{where}[{k}]") for k, item in enumerate(value))


def _number(value: Any, where: str) -> float:
    """Return a float; YAML 1.1 reads 1e-4 as a string, which nobody means."""
    try:
        if isinstance(value, bool):
            raise ValueError
        return float(value)
    except (TypeError, ValueError):
        raise ConfigError(f"{where}: {value!r} is not a number") from None


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = [key for k, key in enumerate(keys) if key in keys[:k]]
        if twice:
            raise ConfigError(f"line {node.start_mark.line + 1}: {twice[0]!r} stands twice")
        return super().construct_mapping(node, deep)


def _load(path: Path) -> dict:
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    if values is not None and not isinstance(values, dict):
        raise ConfigError(f"{path} holds {type(values).__name__}, expected sections of keys")
    return values or {}


def _override(values: dict, text: str) -> None:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ConfigError(f"{text!r}: expected section.key=value")
    *sections, last = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise ConfigError(f"{key}: {section} is no section")
    try:
        values[last] = yaml.load(value, _Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{key}: {value!r} is not YAML: {error}") from error
