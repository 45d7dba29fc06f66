# SPDX-License-Identifier: Apache-2.0
"""Recordings of the running stack as MCAP: written, read again, replayed offline. No ROS."""
