# SPDX-License-Identifier: Apache-2.0
"""A tiny LLaVA, saved and loaded as any other model: untrained it babbles, taught it answers."""

from __future__ import annotations

import functools
import json

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from mu0_core.errors import ConfigError, InferenceError, ModelError
from mu0_core.trace_extract.captioning.caption_prompt import describe_prompt, merge_prompt
from mu0_core.trace_extract.captioning.captioner import Caption, CaptionRequest
from mu0_core.trace_extract.captioning.captioner_registry import make_captioner
from mu0_core.trace_extract.captioning.transformers_captioner import (
    TransformersCaptioner,
    TransformersSettings,
)

SAID = json.dumps({"instructions": ["push it", "move it"], "skills": ["push"], "objects": ["it"]})
CHAT = (
    "{% for m in messages %}USER: {% for c in m['content'] %}{% if c['type'] == 'image' %}<image>"
    "{% else %}{{ c['text'] }}{% endif %}{% endfor %}{% endfor %}\nASSISTANT:"
)
STEPS = [Caption(("pick it",)), Caption(("place it",))]


def request(seed=0):
    rng = np.random.default_rng(seed)
    first, last, dark = rng.integers(0, 256, (3, 48, 64, 3), dtype=np.uint8)
    return CaptionRequest((first, last), dark, ("push it",), None)


def tokenizer():
    """Return a byte-pair tokenizer to which the answer is a few tokens."""
    bytes_ = pre_tokenizers.ByteLevel.alphabet()
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.train_from_iterator(
        [SAID] * 2,
        trainers.BpeTrainer(
            vocab_size=360,
            initial_alphabet=bytes_,
            special_tokens=["<s>", "</s>", "<pad>", "<image>"],
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        extra_special_tokens={"image_token": "<image>"},
    )


def build(folder, chat_template):
    """Save an untrained model of two layers and its processor; return both."""
    words = tokenizer()
    torch.manual_seed(0)
    model = LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=CLIPVisionConfig(
                hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
                image_size=28, patch_size=14,
            ),
            text_config=LlamaConfig(
                hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
                num_key_value_heads=2, vocab_size=len(words), max_position_embeddings=4096,
                bos_token_id=0, eos_token_id=1, pad_token_id=2,
            ),
            image_token_index=words.convert_tokens_to_ids("<image>"),
            image_seq_length=4,
            vision_feature_layer=-1,
            vision_feature_select_strategy="default",
        )
    )  # fmt: skip
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessor(
            size={"height": 28, "width": 28}, crop_size={"height": 28, "width": 28}
        ),
        tokenizer=words,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token="<image>",
        chat_template=chat_template,
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return model, processor


def teach(model, processor, folder):
    """Train the model on one answer to two questions, with and without pictures."""
    answer = processor.tokenizer(SAID, return_tensors="pt").input_ids
    answer = torch.cat([answer, torch.tensor([[processor.tokenizer.eos_token_id]])], dim=1)
    shown = [list((*request().frames, request().motion_picture)), []]
    texts = ["<image>" * 3 + describe_prompt(request()) + "\n", merge_prompt(STEPS) + "\n"]
    batches = [
        processor(text=[text], images=[images] if images else None, return_tensors="pt")
        for text, images in zip(texts, shown, strict=True)
    ]
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for step in range(120):
        batch = dict(batches[step % 2])
        question = batch["input_ids"].shape[1]
        batch["input_ids"] = torch.cat([batch["input_ids"], answer], dim=1)
        batch["attention_mask"] = torch.ones_like(batch["input_ids"])
        labels = batch["input_ids"].clone()
        labels[:, :question] = -100
        loss = model(**batch, labels=labels).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.save_pretrained(folder)
    return float(loss.detach())


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    """Return folders of an untrained model, without and with a chat form."""
    folders = [tmp_path_factory.mktemp(name) for name in ("plain", "chat")]
    for folder, template in zip(folders, (None, CHAT), strict=True):
        build(folder, template)
    return folders


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    folder = tmp_path_factory.mktemp("taught")
    loss = teach(*build(folder, None), folder)
    assert loss < 0.05, loss
    return folder


def failure(folder, made_for=None, **options):
    """Return the message of a model that babbles, which quotes its last answer."""
    settings = TransformersSettings(str(folder), max_new_tokens=12, **options)
    with pytest.raises(InferenceError, match="no JSON with instructions") as caught:
        TransformersCaptioner(settings).describe(made_for or request())
    return str(caught.value)


def test_a_model_that_answers_in_json_captions_and_merges(taught):
    captioner = make_captioner("transformers", {"model": str(taught)})
    said = captioner.describe(request())
    assert said == Caption(("push it", "move it"), ("push",), ("it",))
    assert captioner.merge(STEPS) == ("push it", "move it")
    assert captioner.provenance()["model"] == str(taught)


def test_the_same_request_gets_the_same_caption(taught):
    captions = [
        make_captioner("transformers", {"model": str(taught)}).describe(request())
        for _ in range(2)
    ]
    assert captions[0] == captions[1]


@pytest.mark.parametrize("form", [0, 1])
def test_a_model_that_babbles_is_an_error_after_a_few_attempts(untrained, form):
    assert "2 answers and none is usable" in failure(untrained[form], attempts=2)


def test_later_attempts_are_sampled_from_the_seed(untrained):
    said = {
        (attempts, seed): failure(untrained[0], attempts=attempts, seed=seed)
        for attempts, seed in ((1, 0), (1, 1), (2, 0), (2, 1))
    }
    assert said[1, 0] == said[1, 1]  # the first is greedy
    assert said[2, 0] != said[2, 1] and said[2, 0] == failure(untrained[0], attempts=2, seed=0)


def test_sampling_leaves_the_random_numbers_of_others_alone(untrained):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    failure(untrained[0], attempts=2)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("form", [0, 1])
def test_the_model_gets_every_picture_or_one_sheet(untrained, form, monkeypatch):
    seen = []
    forward = CLIPVisionModel.forward

    @functools.wraps(forward)
    def watched(self, pixel_values, *args, **kwargs):
        seen.append(pixel_values)
        return forward(self, pixel_values, *args, **kwargs)

    monkeypatch.setattr(CLIPVisionModel, "forward", watched)
    failure(untrained[form], attempts=1, dtype="bfloat16")
    failure(untrained[form], attempts=1, one_picture=True)
    assert [tuple(s.shape) for s in seen] == [(3, 3, 28, 28), (1, 3, 28, 28)]
    assert [s.dtype for s in seen] == [torch.bfloat16, torch.float32]


def test_a_model_that_cannot_do_without_a_picture_need_not_merge(untrained):
    settings = TransformersSettings(str(untrained[0]), merges=False)
    assert TransformersCaptioner(settings).merge(STEPS) == ("pick it, then place it",)


def test_a_question_that_the_model_cannot_take_is_named(untrained, monkeypatch):
    def fail(self, *args, **kwargs):
        raise RuntimeError("out of memory\nand more")

    captioner = TransformersCaptioner(TransformersSettings(str(untrained[0])))
    monkeypatch.setattr(LlavaForConditionalGeneration, "generate", fail)
    with pytest.raises(InferenceError, match="failed: RuntimeError: out of memory$"):
        captioner.describe(request())


def test_what_is_no_model_is_named(tmp_path, untrained):
    with pytest.raises(ModelError, match=r"cannot be loaded as an image-text model"):
        TransformersCaptioner(TransformersSettings(str(tmp_path / "nothing")))
    (untrained[1] / "model.safetensors").rename(tmp_path / "moved.safetensors")
    try:
        with pytest.raises(ModelError, match="cannot be loaded as an image-text model"):
            TransformersCaptioner(TransformersSettings(str(untrained[1])))
    finally:
        (tmp_path / "moved.safetensors").rename(untrained[1] / "model.safetensors")


def test_an_unknown_device_is_named(untrained):
    with pytest.raises(ConfigError, match="device 'toaster' is not there"):
        TransformersCaptioner(TransformersSettings(str(untrained[0]), device="toaster"))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"model": ""}, "model ''"),
        ({"dtype": "int8"}, "dtype 'int8'"),
        ({"attempts": 0}, "attempts 0"),
        ({"max_new_tokens": 0}, "max_new_tokens 0"),
        ({"temperature": 0.0}, "temperature 0.0"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_settings_check_themselves(change, message):
    with pytest.raises(ConfigError, match=message):
        TransformersSettings(**{"model": "x", **change})
