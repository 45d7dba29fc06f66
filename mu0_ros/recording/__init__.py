# SPDX-License-Identifier: Apache-2.0
"""What of the running stack is recorded, under which names and qualities of service."""
