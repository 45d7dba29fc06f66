# SPDX-License-Identifier: Apache-2.0
"""Messages to core values and back: pure functions, the only place that knows both."""
