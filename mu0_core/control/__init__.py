# SPDX-License-Identifier: Apache-2.0
"""From a proposed chunk to a trajectory that a controller may run (numpy and scipy only).

Not safety-rated: the certified layer is the robot's own controller and its emergency stop.
"""
