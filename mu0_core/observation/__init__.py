# SPDX-License-Identifier: Apache-2.0
"""Whether what a camera says can be true, before anything is forecast from it. numpy only."""
