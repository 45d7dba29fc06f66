# SPDX-License-Identifier: Apache-2.0
"""Device and precision are checked before a model is loaded."""

import numpy as np
import pytest
import torch

from mu0_core.errors import ConfigError
from mu0_core.trace_extract.backends.runtime import Runtime, to_numpy


@pytest.mark.parametrize("device", ["tpu", "cuda:x", "", "cpu:first"])
def test_unknown_devices_are_refused(device):
    with pytest.raises(ConfigError, match="allowed: cpu, cuda, cuda:N"):
        Runtime(device)


def test_cuda_without_a_device_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="torch finds no CUDA device"):
        Runtime("cuda:0")


def test_unknown_precision_is_refused():
    with pytest.raises(ConfigError, match="dtype 'int8'; allowed: float32, bfloat16, float16"):
        Runtime(dtype="int8")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_products_run_in_the_precision_and_come_back_as_float32(dtype):
    runtime = Runtime(dtype=dtype)
    layer = torch.nn.Linear(3, 2)
    with torch.inference_mode(), runtime.autocast():
        product = layer(runtime.tensor(np.ones((1, 3))))
    assert product.dtype == getattr(torch, dtype)
    assert layer.weight.dtype == torch.float32
    assert to_numpy(product).dtype == np.float32


def test_tensors_do_not_share_memory_with_arrays():
    array = np.zeros(3, np.uint8)
    tensor = Runtime().tensor(array)
    tensor += 1
    assert tensor.dtype == torch.uint8 and not array.any()
