# SPDX-License-Identifier: Apache-2.0
"""Planners that live in ROS (MoveIt), and what the action expert's node does with a planner."""
