# SPDX-License-Identifier: Apache-2.0
"""Strict checkpoints: every tensor of the model comes from exactly one source, or nothing loads.

Missing, unexpected, doubled, misshapen and non-finite tensors are errors that list the names.
Any floating dtype is accepted and cast to that of the parameter. A checkpoint may leave frozen
pretrained parts out; these come as a second source and are held to the same rules.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from mu0_core.atomic_file import replace_file
from mu0_core.errors import ModelError, ModelIntegrityError
from mu0_core.model.tensor_file import MANIFEST, TensorFile, sha256, verify_manifest

WEIGHTS = "model.safetensors"
_LISTED = 8


def load_exact(
    model: nn.Module,
    names: Mapping[str, str],
    sources: Mapping[str, Mapping[str, Tensor]],
    *,
    ignored: Collection[str] = (),
) -> None:
    """Fill ``model`` from named sources; on any defect nothing is changed.

    Args:
        model: on the meta device its tensors are allocated on the CPU first.
        names: name in ``model.state_dict()`` -> name in the sources.
        sources: label for messages -> tensors, e.g. a `TensorFile`.
        ignored: stored names that may exist although the model has no use for them.

    Raises:
        ModelIntegrityError: names, shapes or values are not exactly what the model needs.
    """
    targets = model.state_dict(keep_vars=True)
    owner: dict[str, Mapping[str, Tensor]] = {}
    doubled, unexpected, misshapen, non_finite = [], [], [], []
    wanted = {stored: name for name, stored in names.items()}
    for label, tensors in sources.items():
        shapes = tensors.shapes if isinstance(tensors, TensorFile) else None
        for stored in tensors:
            if stored in owner:
                doubled.append(stored)
            elif stored not in wanted:
                unexpected += [] if stored in ignored else [f"{stored} (in {label})"]
            else:
                owner[stored] = tensors
                shape = shapes[stored] if shapes else tensors[stored].shape
                target = targets[wanted[stored]].shape
                if shape != target:
                    misshapen.append(f"{stored} {list(shape)}, expected {list(target)}")
                elif not bool(torch.isfinite(tensors[stored].float()).all()):
                    non_finite.append(stored)
    missing = sorted(set(wanted) - set(owner))
    defects = [
        f"{len(found)} {kind}: {', '.join(sorted(found)[:_LISTED])}"
        + (" …" if len(found) > _LISTED else "")
        for kind, found in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("in two sources", doubled),
            ("of wrong shape", misshapen),
            ("non-finite", non_finite),
        )
        if found
    ]
    if defects:
        raise ModelIntegrityError(f"{' + '.join(sources)} does not fit: {'; '.join(defects)}")
    if any(t.is_meta for t in targets.values()):
        model.to_empty(device="cpu")
        targets = model.state_dict(keep_vars=True)
    with torch.no_grad():
        for stored, name in wanted.items():
            targets[name].copy_(owner[stored][stored])


def load_checkpoint(
    model: nn.Module,
    names: Mapping[str, str],
    path: Path | str,
    *,
    external: Mapping[str, Tensor] | None = None,
    ignored: Collection[str] = (),
    require_manifest: bool = False,
) -> None:
    """Load ``path`` (a safetensors file or a folder with ``model.safetensors``) into ``model``.

    The sha256 sums in ``sha256sums.txt`` are verified first when it lies beside the file.

    Args:
        external: tensors, by stored name, that the checkpoint leaves out on purpose.
        require_manifest: refuse a checkpoint without sums.

    Raises:
        ModelError: there is no such file, or only a pickle.
        ModelIntegrityError: it is damaged or does not fit.
    """
    path = Path(path)
    file = path / WEIGHTS if path.is_dir() else path
    if path.is_dir() and not file.is_file():
        found = sorted(p.name for p in path.iterdir())
        raise ModelError(f"{path} has no {WEIGHTS} (pickles are not read); found: {found}")
    if file.is_file():
        verify_manifest(file.parent, file.name, required=require_manifest)
    sources: dict[str, Mapping[str, Tensor]] = {str(file): TensorFile(file)}
    if external:
        sources["pretrained parts"] = external
    load_exact(model, names, sources, ignored=ignored)


def without_prefixes(
    state: Mapping[str, Tensor], frozen_prefixes: tuple[str, ...]
) -> dict[str, Tensor]:
    """Return the tensors whose names start with none of ``frozen_prefixes``.

    Raises:
        ModelIntegrityError: a prefix matches nothing, so it must be misspelt.
    """
    for prefix in frozen_prefixes:
        if not any(name.startswith(prefix) for name in state):
            raise ModelIntegrityError(f"no tensor name starts with the frozen prefix {prefix!r}")
    return {k: v for k, v in state.items() if not k.startswith(frozen_prefixes)}


def save_checkpoint(
    folder: Path | str,
    tensors: Mapping[str, Tensor],
    configs: Mapping[str, Mapping[str, Any]],
    *,
    metadata: Mapping[str, str] | None = None,
    dtype: torch.dtype | None = None,
) -> Path:
    """Write ``model.safetensors``, JSON files and their sha256 sums; each file atomically.

    Args:
        folder: created when missing.
        tensors: by stored name.
        configs: file name (``config.json``) -> JSON-ready values.
        metadata: strings for the safetensors header (command, seed, commit).
        dtype: to store in; the tensors' own by default.

    Raises:
        ModelIntegrityError: a tensor is not finite; nothing is written.
    """
    folder = Path(folder)
    broken = sorted(k for k, v in tensors.items() if not bool(torch.isfinite(v).all()))
    if broken:
        raise ModelIntegrityError(f"refusing to save non-finite tensors: {broken[:_LISTED]}")
    folder.mkdir(parents=True, exist_ok=True)
    ready = {k: v.detach().to("cpu", dtype, copy=True).contiguous() for k, v in tensors.items()}
    replace_file(
        folder / WEIGHTS, lambda p: save_file(ready, p, dict(metadata or {}, format="pt"))
    )
    for name, values in configs.items():
        text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
        replace_file(folder / name, lambda p, text=text: p.write_text(text, encoding="utf-8"))
    sums = "".join(f"{sha256(folder / name)}  {name}\n" for name in sorted([WEIGHTS, *configs]))
    replace_file(folder / MANIFEST, lambda p: p.write_text(sums, encoding="utf-8"))
    return folder / WEIGHTS
