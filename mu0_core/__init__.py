# SPDX-License-Identifier: Apache-2.0
"""μ0 without ROS: geometry, splines, the world model, the action expert, safety and simulation.

Nothing below this package imports ROS. Import what you need from its submodules.
"""

__version__ = "0.1.0"
