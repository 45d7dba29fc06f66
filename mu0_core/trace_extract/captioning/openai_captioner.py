# SPDX-License-Identifier: Apache-2.0
"""Captions by any server that speaks OpenAI's chat completions (vLLM, llama.cpp, hosted ones).

Address, model and key come from ``MU0_CAPTION_URL``, ``MU0_CAPTION_MODEL`` and
``MU0_CAPTION_API_KEY``. The key is read when a request is sent and goes nowhere else: it is in no
attribute, message or manifest. Pictures and sentences of the source leave this machine.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mu0_core.errors import ConfigError
from mu0_core.trace_extract.captioning.caption_image import fitted, jpeg
from mu0_core.trace_extract.captioning.caption_prompt import (
    ask,
    describe_prompt,
    merge_prompt,
    parse_caption,
    parse_instructions,
)
from mu0_core.trace_extract.captioning.captioner import Caption, CaptionRequest
from mu0_core.trace_extract.captioning.chat_server import ChatServer, RetrySettings

URL, MODEL, KEY = "MU0_CAPTION_URL", "MU0_CAPTION_MODEL", "MU0_CAPTION_API_KEY"


@dataclass(frozen=True, slots=True)
class OpenAISettings:
    """How a server is asked.

    Attributes:
        timeout_s: without a byte from the server.
        tries: of one request, when the server is busy or fails; backoff_s: before the second one,
            then twice as long each time, at most ``max_backoff_s``.
        attempts: answers before one that cannot be read is an error.
        image_px: larger side of a picture, at most.
        max_tokens: length of an answer, 0 = the server's own limit. Some models refuse it.
    """

    timeout_s: float = 60.0
    tries: int = 4
    backoff_s: float = 1.0
    max_backoff_s: float = 30.0
    attempts: int = 3
    image_px: int = 512
    max_tokens: int = 0

    def __post_init__(self) -> None:
        if min(self.attempts, self.image_px) < 1 or self.max_tokens < 0:
            raise ConfigError(
                f"attempts {self.attempts} and image_px {self.image_px} must be positive, "
                f"max_tokens {self.max_tokens} not negative"
            )
        self.retry()

    def retry(self) -> RetrySettings:
        """Return the part about requests."""
        return RetrySettings(self.timeout_s, self.tries, self.backoff_s, self.max_backoff_s)


_DEFAULT = OpenAISettings()


class OpenAICaptioner:
    """Implements `Captioner`.

    Attributes:
        name: ``openai``.
    """

    name = "openai"

    def __init__(self, settings: OpenAISettings = _DEFAULT) -> None:
        """Take address and model from the environment; nothing is sent yet.

        Raises:
            ConfigError: a variable is missing or holds no usable address or key.
        """
        self._settings = settings
        self._model = os.environ.get(MODEL, "").strip()
        if not self._model:
            raise ConfigError(f"{MODEL} is not set: the name of the model on the server")
        self._server = ChatServer(os.environ.get(URL, ""), URL, KEY, settings.retry())

    def describe(self, request: CaptionRequest) -> Caption:
        """Return what the model says about the pictures."""
        content: list[dict[str, object]] = [{"type": "text", "text": describe_prompt(request)}]
        content += [
            _picture(fitted(picture, self._settings.image_px))
            for picture in (*request.frames, request.motion_picture)
        ]
        body = self._body(content)
        who = f"captioner {self._model!r}"
        return ask(lambda _: self._server.chat(body), parse_caption, self._settings.attempts, who)

    def merge(self, captions: Sequence[Caption]) -> tuple[str, ...]:
        """Return what the model makes of the sentences."""
        body = self._body(merge_prompt(captions))
        who = f"captioner {self._model!r}"
        attempts = self._settings.attempts
        return ask(lambda _: self._server.chat(body), parse_instructions, attempts, who)

    def provenance(self) -> dict[str, str]:
        """Return name, model, and the address without anything that could be a secret."""
        return {
            "captioner": self.name,
            "model": self._model,
            "server": self._server.shown,
            "image_px": str(self._settings.image_px),
        }

    def _body(self, content: object) -> dict[str, object]:
        """Return the request; little is asked for, because models refuse what they do not know."""
        body = {"model": self._model, "messages": [{"role": "user", "content": content}]}
        limit = self._settings.max_tokens
        return {**body, "max_tokens": limit} if limit else body


def _picture(rgb: np.ndarray) -> dict[str, object]:
    data = base64.b64encode(jpeg(rgb)).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}}
