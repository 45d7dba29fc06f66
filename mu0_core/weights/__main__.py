# SPDX-License-Identifier: Apache-2.0
"""``python -m mu0_core.weights``: convert the packaged backbone weights into the cache."""

from __future__ import annotations

import sys

from mu0_core.errors import Mu0Error
from mu0_core.weights.cache import converted_model, names


def main() -> int:
    """Convert what is missing; return a process exit code."""
    for name in names():
        try:
            sys.stdout.write(f"{name}: {converted_model(name, convert=True)}\n")
        except Mu0Error as error:
            sys.stderr.write(f"{name}: {error}\n")
            return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
