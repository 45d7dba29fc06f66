# SPDX-License-Identifier: Apache-2.0
"""Joint paths around obstacles: what is in the way, who plans, how a chunk is judged."""
