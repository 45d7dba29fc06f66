# SPDX-License-Identifier: Apache-2.0
"""Captions by any image-text model of transformers: Qwen-VL, SmolVLM, LLaVA, PaliGemma and so on.

The first attempt is greedy; when its answer cannot be used, the next ones are sampled, from a
seed. No code of a model's own repository is run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mu0_core.errors import ConfigError, InferenceError, ModelError
from mu0_core.trace_extract.captioning.caption_image import fitted, side_by_side
from mu0_core.trace_extract.captioning.caption_prompt import (
    ask,
    describe_prompt,
    merge_prompt,
    parse_caption,
    parse_instructions,
)
from mu0_core.trace_extract.captioning.captioner import (
    Caption,
    CaptionRequest,
    joined_instructions,
)

_DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True)
class TransformersSettings:
    """How a model is loaded and asked.

    Attributes:
        model: folder with weights and processor, or the id of one on the hub.
        device: of torch; dtype: of weights and images.
        max_new_tokens: length of an answer; attempts: answers before it is an error.
        temperature: of the attempts behind the first; seed: of their sampling.
        image_px: larger side of a picture, at most.
        one_picture: put the frames side by side, for models that take one image.
        merges: the model also joins the sentences of segments, without a picture; otherwise they
            are put one behind the other, for models that cannot do without a picture.
    """

    model: str
    device: str = "cpu"
    dtype: str = "float32"
    max_new_tokens: int = 256
    attempts: int = 3
    temperature: float = 0.7
    seed: int = 0
    image_px: int = 512
    one_picture: bool = False
    merges: bool = True

    def __post_init__(self) -> None:
        if not self.model or self.dtype not in _DTYPES:
            raise ConfigError(
                f"model {self.model!r} must be a folder or hub id, dtype {self.dtype!r} one of "
                f"{', '.join(_DTYPES)}"
            )
        if min(self.max_new_tokens, self.attempts, self.image_px) < 1:
            raise ConfigError(
                f"max_new_tokens {self.max_new_tokens}, attempts {self.attempts} and image_px "
                f"{self.image_px} must be positive"
            )
        if not self.temperature > 0 or self.seed < 0:
            raise ConfigError(
                f"temperature {self.temperature} must be positive, seed {self.seed} not negative"
            )


class TransformersCaptioner:
    """Implements `Captioner`.

    Attributes:
        name: ``transformers``.
    """

    name = "transformers"

    def __init__(self, settings: TransformersSettings) -> None:
        """Load model and processor.

        Raises:
            ModelError: they cannot be loaded.
            ConfigError: torch does not know the device.
        """
        import torch
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self._settings = settings
        try:
            device = torch.device(settings.device)
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            raise ConfigError(
                f"device {settings.device!r} is not there: {_first_line(error)}"
            ) from error
        try:
            self._processor = AutoProcessor.from_pretrained(settings.model)
            model = AutoModelForImageTextToText.from_pretrained(
                settings.model, dtype=getattr(torch, settings.dtype)
            )
        except Exception as error:  # whatever the many loaders raise, the cause is the model
            raise ModelError(
                f"captioner {settings.model!r} cannot be loaded as an image-text model: "
                f"{type(error).__name__}: {_first_line(error)}"
            ) from error
        self._model = model.to(device).eval()

    def describe(self, request: CaptionRequest) -> Caption:
        """Return what the model says about the pictures."""
        pictures = [
            fitted(picture, self._settings.image_px)
            for picture in (*request.frames, request.motion_picture)
        ]
        if self._settings.one_picture:
            pictures = [fitted(side_by_side(pictures), self._settings.image_px)]
        return self._ask(describe_prompt(request), pictures, parse_caption)

    def merge(self, captions: Sequence[Caption]) -> tuple[str, ...]:
        """Return what the model makes of the sentences, or the sentences joined."""
        if not self._settings.merges:
            return joined_instructions(captions)
        return self._ask(merge_prompt(captions), [], parse_instructions)

    def provenance(self) -> dict[str, str]:
        """Return name, model, precision and how it is asked."""
        settings = self._settings
        return {
            "captioner": self.name,
            "model": settings.model,
            "dtype": settings.dtype,
            "attempts": str(settings.attempts),
            "temperature": str(settings.temperature),
            "seed": str(settings.seed),
            "image_px": str(settings.image_px),
            "one_picture": str(settings.one_picture),
            "merges": str(settings.merges),
        }

    def _ask(self, prompt: str, pictures: list[np.ndarray], parse: Callable[[str], Any]) -> Any:
        def answer(attempt: int) -> str:
            try:
                return self._generate(prompt, pictures, attempt)
            except Exception as error:  # as many kinds as there are processors and models
                raise InferenceError(
                    f"captioner {self._settings.model!r} failed: {type(error).__name__}: "
                    f"{_first_line(error)}"
                ) from error

        who = f"captioner {self._settings.model!r}"
        return ask(answer, parse, self._settings.attempts, who)

    def _generate(self, prompt: str, pictures: list[np.ndarray], attempt: int) -> str:
        import torch

        settings = self._settings
        inputs = self._inputs(prompt, pictures).to(self._model.device, self._model.dtype)
        sampling = {"do_sample": attempt > 0}
        if attempt:
            sampling["temperature"] = settings.temperature
        with torch.random.fork_rng(), torch.inference_mode():
            torch.manual_seed(settings.seed + attempt)
            tokens = self._model.generate(
                **inputs, max_new_tokens=settings.max_new_tokens, **sampling
            )
        if not self._model.config.is_encoder_decoder:  # else they do not repeat the question
            tokens = tokens[:, inputs["input_ids"].shape[1] :]
        return self._processor.batch_decode(tokens, skip_special_tokens=True)[0]

    def _inputs(self, prompt: str, pictures: list[np.ndarray]) -> Any:
        """Return the model's inputs, in its chat form if it has one."""
        from PIL import Image

        images = [Image.fromarray(picture) for picture in pictures]
        if getattr(self._processor, "chat_template", None):
            content = [{"type": "image", "image": image} for image in images]
            content.append({"type": "text", "text": prompt})
            return self._processor.apply_chat_template(
                [{"role": "user", "content": content}],
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
            )
        token = getattr(self._processor, "image_token", "")
        text = str(token) * len(images) + prompt + "\n"
        return self._processor(
            text=[text], images=[images] if images else None, return_tensors="pt"
        )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0]
