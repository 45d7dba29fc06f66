# SPDX-License-Identifier: Apache-2.0
"""A file that cannot be written, as one error that names it; nothing is repaired here."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from mu0_core.errors import DataError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what goes wrong while ``path`` is written (as a whole or not at all) into an error.

    Raises:
        DataError: with the reason; what lay at ``path`` before is still there.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        text = str(error)
        number = getattr(error, "errno", None)
        full = number in _FULL or any(f"os error {code})" in text for code in _FULL)
        reason = f"the disk is full ({text})" if full else text
        raise DataError(
            f"cannot write {path}: {reason}; what was there before is unchanged"
        ) from error
