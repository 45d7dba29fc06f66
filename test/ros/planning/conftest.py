# SPDX-License-Identifier: Apache-2.0
"""The double of MoveIt lies beside the tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
