# SPDX-License-Identifier: Apache-2.0
"""Pretrained backbone parts that PyPI packages ship, converted once into the cache folder."""
