# SPDX-License-Identifier: Apache-2.0
"""Trace models of other kinds on the same backbone and expert, to compare the flow of μ0 with.

Each follows the idea of a published system, not its code, size or weights: what differs from μ0 is
what is predicted and how. They are `WorldModel`s, so that they are trained, stored, evaluated and
run like it.
"""
