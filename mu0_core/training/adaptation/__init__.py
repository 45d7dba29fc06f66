# SPDX-License-Identifier: Apache-2.0
"""Adaptation of a world model to a new task from a few recordings without action labels."""
