# SPDX-License-Identifier: Apache-2.0
"""The model card tells command, seed, commit, data and every metric."""

from __future__ import annotations

import re

from mu0_core.training.model_card import NO_COMMIT, Provenance, current_commit, write_model_card
from mu0_core.training.train_state import Progress


def test_the_card_holds_what_a_reader_asks_for(tmp_path):
    progress = Progress(step=12, elapsed_s=90.0, skipped=1, metrics={"ade_m": 0.0421})
    progress.history = [{"step": 6, "total": 2.0}, {"step": 12, "total": 1.0, "ade_m": 0.0421}]
    origin = Provenance("mu0 train world-model", 3, "abc123", "40 demonstrations")
    card = write_model_card(tmp_path, "title", "summary", origin, progress, {"batch": 4})
    text = card.read_text()
    for wanted in ("# title", "summary", "`mu0 train world-model`", "seed: 3", "abc123",
                   "40 demonstrations", "| ade_m | 0.0421 |", "| batch | 4 |", "12 in 1.5 minutes",
                   "1 skipped", "| 6 | 2 |  |", "| 12 | 1 | 0.0421 |"):  # fmt: skip
        assert wanted in text, wanted
    assert origin.header() == {"command": origin.command, "seed": "3", "commit": "abc123"}


def test_the_commit_is_read_or_said_to_be_unknown():
    commit = current_commit()
    assert commit == NO_COMMIT or re.fullmatch(r"(.+-)?g?[0-9a-f]{7,40}(-dirty)?", commit)
