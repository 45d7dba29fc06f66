# SPDX-License-Identifier: Apache-2.0
"""Judging a stack that runs. No ROS: what was seen is an argument."""
