# SPDX-License-Identifier: Apache-2.0
"""Where the camera stands and how far its depth is off; not what a model's spread means."""
