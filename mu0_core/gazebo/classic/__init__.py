# SPDX-License-Identifier: Apache-2.0
"""Gazebo Classic 11 as a second simulator of the demo table. Not Harmonic; for a script only."""
