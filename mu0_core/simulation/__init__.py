# SPDX-License-Identifier: Apache-2.0
"""The embedded simulator: a MuJoCo table scene, its tasks, a scripted expert and exact tracks.

Needs the ``sim`` extra. Nothing here is imported by the run-time stack of a real robot.
"""
