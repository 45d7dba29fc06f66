# SPDX-License-Identifier: Apache-2.0
"""Training of the world model and the action expert. Inference never imports this."""
