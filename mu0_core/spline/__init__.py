# SPDX-License-Identifier: Apache-2.0
"""Clamped cubic B-splines: knots, basis, evaluation and fitting (numpy only)."""
