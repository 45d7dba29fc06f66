# SPDX-License-Identifier: Apache-2.0
"""Gazebo Classic 11 behind the topics of the embedded simulator."""
