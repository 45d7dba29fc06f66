# SPDX-License-Identifier: Apache-2.0
"""What the launch file starts, decided without `launch`, so that it can be tested."""
