# SPDX-License-Identifier: Apache-2.0
"""Trace data sets of the released format: episodes, samples, batches, normaliser (numpy)."""
