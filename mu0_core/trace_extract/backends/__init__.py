# SPDX-License-Identifier: Apache-2.0
"""Models behind the stages: embedded ones from packages, adapters for larger ones."""
