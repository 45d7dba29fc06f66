# SPDX-License-Identifier: Apache-2.0
"""Action experts: what turns a frozen μ0's knowledge of motion into chunks for one arm."""
