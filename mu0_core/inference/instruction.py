# SPDX-License-Identifier: Apache-2.0
"""Instructions are untrusted text: checked on the way in, shortened on the way to a log."""

from __future__ import annotations

import unicodedata

from mu0_core.errors import RequestError

MAX_CHARACTERS = 500
_LOGGED = 200


def checked_instruction(text: str) -> str:
    """Return the instruction without surrounding blanks.

    Emoji and right-to-left scripts are data like any other.

    Raises:
        RequestError: empty, longer than `MAX_CHARACTERS`, or with control characters.
    """
    stripped = text.strip()
    if not stripped:
        raise RequestError("instruction is empty")
    if len(stripped) > MAX_CHARACTERS:
        raise RequestError(f"instruction has {len(stripped)} characters, at most {MAX_CHARACTERS}")
    control = {c for c in stripped if unicodedata.category(c) in ("Cc", "Cs")}
    if control:
        named = ", ".join(f"U+{ord(c):04X}" for c in sorted(control)[:5])
        raise RequestError(f"instruction has control characters {named}")
    return stripped


def for_log(text: str) -> str:
    """Return a single-line form of at most 200 characters."""
    escaped = text.encode("unicode_escape").decode("ascii")
    return escaped if len(escaped) <= _LOGGED else escaped[: _LOGGED - 1] + "…"
