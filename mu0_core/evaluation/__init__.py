# SPDX-License-Identifier: Apache-2.0
"""Metrics, pictures and tables of forecasts and roll-outs."""
