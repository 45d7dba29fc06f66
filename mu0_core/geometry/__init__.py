# SPDX-License-Identifier: Apache-2.0
"""Rigid transforms and the pinhole camera (numpy only)."""
