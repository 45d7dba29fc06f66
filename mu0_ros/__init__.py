# SPDX-License-Identifier: Apache-2.0
"""The ROS 2 shell of mu0: translates, schedules and reports; the maths is in mu0_core."""
