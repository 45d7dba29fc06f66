# SPDX-License-Identifier: Apache-2.0
"""Forecast errors of models and baselines on folders of episodes; `evaluate` is the whole."""
