# SPDX-License-Identifier: Apache-2.0
"""Captioners by name. One more is a file beside this one and a line in `_MAKERS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mu0_core.errors import ConfigError
from mu0_core.trace_extract.captioning.captioner import Captioner


def captioner_names() -> tuple[str, ...]:
    """Return the known names, the default first."""
    return tuple(_MAKERS)


def make_captioner(name: str, options: Mapping[str, object] | None = None) -> Captioner:
    """Return a captioner.

    Args:
        name: one of `captioner_names`.
        options: fields of its settings, e.g. ``{"model": ...}`` for ``transformers``.

    Raises:
        ConfigError: unknown name or option, a value out of range, a missing variable.
        ModelError: its model cannot be loaded.
    """
    if name not in _MAKERS:
        raise ConfigError(f"unknown captioner {name!r}; known: {', '.join(_MAKERS)}")
    try:
        return _MAKERS[name](**(options or {}))
    except TypeError as error:  # of the call itself: no such option, or one is missing
        raise ConfigError(f"captioner {name}: {error}") from error


def _template(seed: int = 0, paraphrases: int = 3) -> Captioner:
    from mu0_core.trace_extract.captioning.template_captioner import TemplateCaptioner

    return TemplateCaptioner(seed, paraphrases)


def _transformers(**options: object) -> Captioner:
    from mu0_core.trace_extract.captioning.transformers_captioner import (
        TransformersCaptioner,
        TransformersSettings,
    )

    return TransformersCaptioner(TransformersSettings(**options))


def _openai(**options: object) -> Captioner:
    from mu0_core.trace_extract.captioning.openai_captioner import OpenAICaptioner, OpenAISettings

    return OpenAICaptioner(OpenAISettings(**options))


_MAKERS: dict[str, Callable[..., Captioner]] = {
    "template": _template,
    "transformers": _transformers,
    "openai": _openai,
}
