# SPDX-License-Identifier: Apache-2.0
"""Instructions as tokens for training: too long ones are cut off, as the paper does, and counted.

At run time an instruction that is too long is refused instead (`mu0_core.inference.language`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from mu0_core.inference.language import DEFAULT_TEXT, InstructionTokenizer

Tokenizer = Callable[[str], Tensor]
_NO_LIMIT = 1_000_000
_PROBE = "put the red cube into the bowl"


def folder_tokenizer(folder: Path) -> Tokenizer:
    """Return the tokenizer of a language model, with the paper's prompt and without a limit."""
    return InstructionTokenizer(folder, _NO_LIMIT)


def byte_tokenizer(instruction: str) -> Tensor:
    """Return one token per byte of the prompt; for the random model `tiny`."""
    text = instruction.strip() or DEFAULT_TEXT
    return torch.tensor([1 + byte for byte in f"Task: {text}\n".encode()])


class Prompts:
    """A batch of instructions as padded tokens.

    Args:
        tokenizer: of the backbone.
        max_length: T, most tokens of an instruction.
    """

    def __init__(self, tokenizer: Tokenizer, max_length: int) -> None:
        self._tokenizer, self._max_length = tokenizer, max_length

    def __call__(self, instructions: Sequence[str]) -> tuple[Tensor, Tensor, int]:
        """Return ids (B, <= T), validity (B, <= T), and how many instructions were cut off."""
        rows = [self._tokenizer(text) for text in instructions]
        cut = sum(len(row) > self._max_length for row in rows)
        length = min(max(map(len, rows)), self._max_length)
        tokens = torch.zeros(len(rows), length, dtype=torch.long)
        valid = torch.zeros(len(rows), length, dtype=torch.bool)
        for k, row in enumerate(rows):
            count = min(len(row), length)
            tokens[k, :count], valid[k, :count] = row[:count], True
        return tokens, valid, cut

    def probe(self) -> list[int]:
        """Return the tokens of a fixed sentence: they differ where prompt or tokenizer do."""
        return self._tokenizer(_PROBE).tolist()
