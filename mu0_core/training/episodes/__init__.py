# SPDX-License-Identifier: Apache-2.0
"""Training of a world model on episodes of the released format, by one process or many."""
