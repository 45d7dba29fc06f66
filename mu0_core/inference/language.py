# SPDX-License-Identifier: Apache-2.0
"""From an instruction to tokens and, for the action expert, to backbone states.

The prompt is the μ0 paper's: ``Task: {text}`` and a newline, right-padded.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import torch
from torch import Tensor

from mu0_core.errors import RequestError
from mu0_core.model.attention import rotation
from mu0_core.model.backbone_config import TextConfig
from mu0_core.model.llama import LanguageModel

DEFAULT_TEXT = "predict future trajectory"
_CACHED_INSTRUCTIONS = 64


class InstructionTokenizer:
    """The backbone's own tokenizer with the paper's prompt."""

    def __init__(self, folder: Path, max_length: int) -> None:
        from transformers import AutoTokenizer

        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._max_length = max_length

    def __call__(self, instruction: str) -> Tensor:
        """Return token ids (T,) without padding.

        Raises:
            RequestError: longer than the model reads; nothing is cut off in silence.
        """
        prompt = f"Task: {instruction.strip() or DEFAULT_TEXT}\n"
        ids = self._tokenizer(prompt, return_tensors="pt").input_ids[0]
        if len(ids) > self._max_length:
            raise RequestError(
                f"instruction has {len(ids)} tokens, the model reads at most {self._max_length}"
            )
        return ids


class InstructionEncoder:
    """Backbone states of an instruction alone (no image), cached per sentence.

    Args:
        tokenizer: of the backbone.
        language: the backbone's first layers, frozen.
        sizes: of the text model.
        rope_theta: of its rotary embedding.
    """

    def __init__(
        self,
        tokenizer: InstructionTokenizer,
        language: LanguageModel,
        sizes: TextConfig,
        rope_theta: float,
    ) -> None:
        self._tokenizer = tokenizer
        self._language = language
        self._sizes = sizes
        self._rope_theta = rope_theta
        self._cache: OrderedDict[str, Tensor] = OrderedDict()

    @torch.no_grad()
    def __call__(self, instruction: str) -> Tensor:
        """Return the stream before the final norm, (1, T, d)."""
        if instruction not in self._cache:
            ids = self._tokenizer(instruction)[None]
            table = rotation(
                torch.arange(ids.shape[1])[None], self._sizes.head_dim, self._rope_theta
            )
            embeddings = self._language.embed_tokens(ids)
            hidden, _ = self._language(embeddings, table, None, causal=True)
            self._cache[instruction] = hidden
            while len(self._cache) > _CACHED_INSTRUCTIONS:
                self._cache.popitem(last=False)
        return self._cache[instruction]
