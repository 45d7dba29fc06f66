# SPDX-License-Identifier: Apache-2.0
"""The command line ``mu0``: one module per command, each with `add_arguments` and `run`."""
