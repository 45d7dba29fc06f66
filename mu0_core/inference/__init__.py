# SPDX-License-Identifier: Apache-2.0
"""Run-time facades: selector, forecaster, action expert, task monitor. No ROS, no training."""
