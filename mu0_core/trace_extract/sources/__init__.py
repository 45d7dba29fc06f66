# SPDX-License-Identifier: Apache-2.0
"""Readers: one file per kind of source, each lists its clips and reads one of them."""
