# SPDX-License-Identifier: Apache-2.0
"""Shipped stand-ins for tests and for trying the stack without weights."""
