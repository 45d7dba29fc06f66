# SPDX-License-Identifier: Apache-2.0
"""Shipped stand-ins for trying and testing the nodes without a robot or a simulator."""
