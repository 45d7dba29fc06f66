# SPDX-License-Identifier: Apache-2.0
"""Tests that need a real ROS 2 Jazzy: collected everywhere, skipped with the reason."""

import importlib.util
import shutil

import pytest

NEEDED = ("controller_manager", "joint_trajectory_controller", "robot_state_publisher")


def what_is_missing(*packages: str) -> str:
    """Return in words what a Jazzy image has and this machine has not; "" when all is there."""
    if shutil.which("ros2") is None:
        return "no ROS 2 installation: there is no program `ros2`"
    if importlib.util.find_spec("ament_index_python") is None:
        return "no ROS 2 installation: there is no ament_index_python"
    from ament_index_python.packages import PackageNotFoundError, get_package_prefix

    for package in packages:
        try:
            get_package_prefix(package)
        except PackageNotFoundError:
            return f"package {package} is not installed: apt install ros-jazzy-ros2-controllers"
    return ""


def pytest_collection_modifyitems(items):
    """Skip what is marked ``jazzy`` and lies here when something is missing."""
    reason = what_is_missing(*NEEDED)
    for item in items:
        if reason and item.get_closest_marker("jazzy"):
            item.add_marker(pytest.mark.skip(reason=f"needs a Jazzy image: {reason}"))


@pytest.fixture
def note_rest(request):
    """Call with seconds from the fault to rest."""
    return lambda rest_s: request.node.user_properties.append(("rest_s", rest_s))
