# SPDX-License-Identifier: Apache-2.0
"""Sentences for motion segments: what a captioner sees, and those that there are."""
