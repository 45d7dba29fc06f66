# SPDX-License-Identifier: Apache-2.0
"""Models by id. An id is a name in one folder, never a path: it may come over the wire."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mu0_core.errors import UnknownModelError
from mu0_core.paths import ASSETS

_MODEL_ID = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


def models_root() -> Path:
    """Return the registry folder: ``MU0_MODEL_DIR``, else the shipped models."""
    return Path(os.environ.get("MU0_MODEL_DIR", ASSETS / "models"))


def is_model_id(name: str) -> bool:
    """Say whether a model may have this name."""
    return bool(_MODEL_ID.fullmatch(name))


def model_ids() -> tuple[str, ...]:
    """Return the ids of all models that are there."""
    root = models_root().resolve()
    if not root.is_dir():
        return ()
    return tuple(sorted(p.name for p in root.iterdir() if _is_model(p, root)))


def _is_model(path: Path, root: Path) -> bool:
    """Say whether a model lies here and not elsewhere behind a link."""
    folder = path.resolve()
    return folder.parent == root and (folder / "config.json").is_file()


def model_folder(model_id: str) -> Path:
    """Return the folder of a model.

    Raises:
        UnknownModelError: not an id, not there, or a link that leads out of the registry.
    """
    known = f"known: {', '.join(model_ids()) or 'none'}"
    if not isinstance(model_id, str) or not is_model_id(model_id):
        raise UnknownModelError(
            f"{str(model_id)[:80]!r} is not a model id (a-z, digits, '_', '.', '-'); {known}"
        )
    root = models_root().resolve()
    if not _is_model(root / model_id, root):
        raise UnknownModelError(f"no model {model_id!r}; {known}")
    return (root / model_id).resolve()
