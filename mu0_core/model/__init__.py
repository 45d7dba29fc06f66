# SPDX-License-Identifier: Apache-2.0
"""The world model in torch: backbone, trace expert, checkpoints (μ0 paper). No data, no ROS."""
