# SPDX-License-Identifier: Apache-2.0
"""Chat completions over HTTP with the standard library: retries, limits, and a key kept secret.

The key goes to the stated address only: redirects are errors. Whatever a server says is taken
without the key, because some repeat it.
"""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.message import Message
from typing import IO
from urllib.parse import urlsplit

from mu0_core.errors import ConfigError, InferenceError
from mu0_core.inference.instruction import for_log

_MAX_ANSWER_BYTES = 4 * 2**20
_SHORTEST_SECRET = 8  # local servers take any key, such as EMPTY; it may be part of other words
_BUSY = frozenset({408, 429, *range(500, 600)})


@dataclass(frozen=True, slots=True)
class RetrySettings:
    """How patient a client is.

    Attributes:
        timeout_s: without a byte from the server.
        tries: of one request.
        backoff_s: before the second try, then twice as long each time.
        max_backoff_s: wait before a try, at most, whatever the server asks for.
    """

    timeout_s: float
    tries: int
    backoff_s: float
    max_backoff_s: float

    def __post_init__(self) -> None:
        if not self.timeout_s > 0 or self.tries < 1:
            raise ConfigError(
                f"timeout_s {self.timeout_s} and tries {self.tries} must be positive"
            )
        if not 0 <= self.backoff_s <= self.max_backoff_s:
            raise ConfigError(
                f"backoff_s {self.backoff_s} must be 0..max_backoff_s {self.max_backoff_s}"
            )


class ChatServer:
    """One server.

    Attributes:
        shown: the address as it may be shown, without user, query and fragment.
    """

    def __init__(
        self, address: str, address_variable: str, key_variable: str, retry: RetrySettings
    ) -> None:
        """Check the address.

        Args:
            address: ``http(s)://HOST[:PORT]/PATH``; ``/chat/completions`` is added if missing.
            address_variable: where it comes from, for messages.
            key_variable: environment variable of the key; a server may do without.
            retry: how patient to be.

        Raises:
            ConfigError: not such an address, or the key cannot be sent.
        """
        self._url, self.shown = _checked_url(address.strip(), address_variable)
        self._key_variable, self._retry = key_variable, retry
        self._opener = urllib.request.build_opener(_NoRedirect)
        self._key()

    def chat(self, body: dict[str, object]) -> str:
        """Send a request and return the text of the first choice.

        Raises:
            InferenceError: the server refuses, is not reached or stays busy, or answers with
                something else than chat completions.
        """
        retry, reason = self._retry, ""
        for number in range(retry.tries):
            try:
                return self._text(self._send(body))
            except _BusyError as error:
                reason = str(error)
                wait = max(retry.backoff_s * 2**number, error.wait_s)
            if number + 1 < retry.tries:
                time.sleep(min(wait, retry.max_backoff_s))
        raise InferenceError(
            f"{self.shown}: gave up after {retry.tries} tries; the last: {reason}"
        )

    def _send(self, body: dict[str, object]) -> bytes:
        request = urllib.request.Request(
            self._url,
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Accept": "application/json"},
            method="POST",
        )
        if key := self._key():
            request.add_unredirected_header("Authorization", f"Bearer {key}")
        try:
            with self._opener.open(request, timeout=self._retry.timeout_s) as answer:
                return answer.read(_MAX_ANSWER_BYTES + 1)
        except urllib.error.HTTPError as error:
            with error:
                said = f"HTTP {error.code}: {self._quoted(_read(error))}"
            if error.code in _BUSY:
                raise _BusyError(said, _retry_after(error.headers)) from None
            raise InferenceError(f"{self.shown}: {said}") from None
        except (OSError, http.client.HTTPException) as error:  # URLError and timeouts are OSErrors
            cause = getattr(error, "reason", error)
            raise _BusyError(self._quoted(f"{type(cause).__name__}: {cause}".encode())) from None

    def _text(self, answer: bytes) -> str:
        """Return the text of an answer, which may come in parts."""
        if len(answer) > _MAX_ANSWER_BYTES:
            raise InferenceError(f"{self.shown}: the answer is longer than {_MAX_ANSWER_BYTES} B")
        try:
            content = json.loads(answer)["choices"][0]["message"]["content"]
            if isinstance(content, list):
                content = "".join(part.get("text", "") for part in content)
            if isinstance(content, str):
                return self._without_key(content)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            pass
        raise InferenceError(f"{self.shown}: no chat completion in {self._quoted(answer)!r}")

    def _key(self) -> str:
        key = os.environ.get(self._key_variable, "").strip()
        if not (key.isascii() and (key.isprintable() or not key)):
            raise ConfigError(f"{self._key_variable} holds a character that cannot be sent")
        return key

    def _quoted(self, said: bytes) -> str:
        """Return the beginning of what a server said, without the key."""
        return for_log(self._without_key(said.decode("utf-8", "replace")))

    def _without_key(self, text: str) -> str:
        key = self._key()
        return text.replace(key, "(key)") if len(key) >= _SHORTEST_SECRET else text


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message,
        newurl: str,
    ) -> None:  # fmt: skip
        """Follow none: the answer is an error like any other."""


class _BusyError(Exception):
    """Trying again may help; ``wait_s`` is what the server asks for."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


def _checked_url(address: str, variable: str) -> tuple[str, str]:
    """Return the address to send to, and as it may be shown."""
    if not address:
        raise ConfigError(f"{variable} is not set: the address of a server, e.g. http://HOST/v1")
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ConfigError(f"{variable} is no address") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigError(f"{variable} must begin with http:// or https:// and a host")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ConfigError(f"{variable} must have no user, query or fragment; a key has its own")
    if not (address.isascii() and address.isprintable() and " " not in address):
        raise ConfigError(f"{variable} holds a character that no address has")
    path = parts.path.rstrip("/")
    if not path.endswith("/chat/completions"):
        path += "/chat/completions"
    name = f"[{host}]" if ":" in host else host
    url = f"{parts.scheme}://{name}{f':{port}' if port else ''}{path}"
    return url, url


def _read(error: urllib.error.HTTPError) -> bytes:
    try:
        return error.read(2000)
    except (OSError, http.client.HTTPException):
        return b""


def _retry_after(headers: Message) -> float:
    """Return the seconds that a server asks to wait, 0 if it asks for none or for a date."""
    try:
        return max(0.0, float(headers.get("Retry-After", "0")))
    except ValueError:
        return 0.0
