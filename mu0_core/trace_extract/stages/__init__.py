# SPDX-License-Identifier: Apache-2.0
"""The stages of TraceExtract in the order of the μ0 paper, one pure function per file."""
