# SPDX-License-Identifier: Apache-2.0
"""Instructions become padded tokens; too long ones are cut off and counted."""

from __future__ import annotations

import torch

from mu0_core.inference.language import DEFAULT_TEXT
from mu0_core.training.episodes.prompts import Prompts, byte_tokenizer


def test_rows_are_padded_to_the_longest_and_cut_at_the_limit():
    prompts = Prompts(lambda text: torch.arange(1, 1 + len(text)), max_length=5)
    tokens, valid, cut = prompts(["abc", "abcdefg", "", "abcd"])
    assert tokens.tolist() == [
        [1, 2, 3, 0, 0], [1, 2, 3, 4, 5], [0] * 5, [1, 2, 3, 4, 0],
    ]  # fmt: skip
    assert valid.sum(dim=1).tolist() == [3, 5, 0, 4] and cut == 1
    assert prompts(["ab"])[0].shape == (1, 2)  # no longer than needed


def test_bytes_carry_the_prompt_of_the_paper():
    assert bytes((byte_tokenizer(" go ") - 1).tolist()) == b"Task: go\n"
    assert DEFAULT_TEXT.encode() in bytes((byte_tokenizer("  ") - 1).tolist())


def test_the_probe_differs_between_tokenizers():
    own, other = Prompts(byte_tokenizer, 9), Prompts(lambda text: byte_tokenizer(text) + 1, 9)
    assert own.probe() == Prompts(byte_tokenizer, 3).probe() != other.probe()
