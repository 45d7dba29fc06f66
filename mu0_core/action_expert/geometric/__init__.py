# SPDX-License-Identifier: Apache-2.0
"""From traces to motion by geometry alone: no training, any arm with a parallel gripper."""
