# SPDX-License-Identifier: Apache-2.0
"""The arm: its description, kinematics and inverse kinematics (numpy only)."""
