# SPDX-License-Identifier: Apache-2.0
"""Errors on the wire: the name in `Mu0Error.code` is a constant of ``msg/ErrorCode.msg``."""

from __future__ import annotations

from mu0.msg import ErrorCode

_MAX_TEXT = 400
_NAMES = {getattr(ErrorCode, name): name for name in dir(type(ErrorCode)) if name.isupper()}


def error_code(name: str = "SUCCESS", message: str = "", source: str = "") -> ErrorCode:
    """Return the message for a constant's name; an unknown name becomes UNKNOWN."""
    value = getattr(ErrorCode, name, ErrorCode.UNKNOWN)
    return ErrorCode(value=value, message=message[:_MAX_TEXT], source=source)


def error_from(exception: BaseException, source: str = "") -> ErrorCode:
    """Return the message for an exception; ours carry their code."""
    name = getattr(exception, "code", "UNKNOWN")
    text = str(exception) or type(exception).__name__
    return error_code(name if isinstance(name, str) else "UNKNOWN", text, source)


def code_name(message: ErrorCode) -> str:
    """Return the constant's name of a message; UNKNOWN for a value that has none."""
    return _NAMES.get(message.value, "UNKNOWN")
