# SPDX-License-Identifier: Apache-2.0
"""The table of the embedded simulator as a world for Gazebo Harmonic."""
