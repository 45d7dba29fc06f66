# SPDX-License-Identifier: Apache-2.0
"""What a training tells its caller while it runs; the command line draws progress bars from it."""

from __future__ import annotations

from mu0_core.training.train_state import Progress


class Watcher:
    """Does nothing; override what is to be shown."""

    def stage(self, text: str) -> None:
        """Note that a stage begins."""

    def progress(self, done: int, total: int) -> None:
        """Note how far a stage that counts items is."""

    def note(self, text: str) -> None:
        """Note something that the user should know, such as data that is left out."""

    def step(self, progress: Progress, share: float) -> None:
        """Note an update and the spent share of the budget."""
