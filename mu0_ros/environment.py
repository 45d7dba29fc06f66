# SPDX-License-Identifier: Apache-2.0
"""The environment of processes that need ROS and this package's messages. Imports no ROS.

`mu0 demo`, `mu0 rollout` and `make test` start nodes without asking the user to source anything:
in a virtual environment with the ROS wheels the overlay built by `make setup` is found beside the
sources; in a sourced ROS 2 workspace the environment is taken as it is.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from mu0_core.errors import ConfigError
from mu0_core.paths import config_file

_SOURCE = Path(__file__).resolve().parents[1]
_REPAIR = "run: make setup (or colcon build, and source install/setup.bash)"


def ros_environment(
    base: Mapping[str, str] | None = None, *, domain_id: int | None = None
) -> dict[str, str]:
    """Return the environment for a child process.

    Args:
        base: what to start from; the current one by default.
        domain_id: ``ROS_DOMAIN_ID`` to set; unchanged when None.

    Raises:
        ConfigError: the messages are not built or there is no rclpy; names the command to run.
    """
    env = dict(os.environ if base is None else base)
    env.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", str(config_file("fastdds_shm.xml")))
    env.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    env.setdefault("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")
    env.setdefault("MUJOCO_GL", "egl")
    if domain_id is not None:
        env["ROS_DOMAIN_ID"] = str(domain_id)
    if importlib.util.find_spec("rclpy") is None:
        raise ConfigError(f"rclpy is not installed; {_REPAIR}")
    if _is_sourced():
        return env
    overlay = _SOURCE / "install" / "mu0"
    site = overlay / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    if not (site / "mu0" / "msg").is_dir():
        raise ConfigError(f"the messages of package mu0 are not built in {overlay}; {_REPAIR}")
    _prepend(env, "PYTHONPATH", site)
    _prepend(env, "PYTHONPATH", _SOURCE)  # sources before the installed copies
    _prepend(env, "LD_LIBRARY_PATH", overlay / "lib")
    _prepend(env, "AMENT_PREFIX_PATH", Path(sys.prefix))
    _prepend(env, "AMENT_PREFIX_PATH", overlay)
    env.pop("_ROS_WHEELS_BOOTSTRAP_COMPLETE", None)  # the child sets up its own libraries
    return env


def _is_sourced() -> bool:
    """Say whether the generated messages can be imported as things are."""
    spec = importlib.util.find_spec("mu0")
    return spec is not None and importlib.util.find_spec("mu0.msg") is not None


def _prepend(env: dict[str, str], name: str, path: Path) -> None:
    parts = [str(path), *(p for p in env.get(name, "").split(os.pathsep) if p and p != str(path))]
    env[name] = os.pathsep.join(parts)


def main() -> int:
    """Print the environment as shell exports, for ``eval "$(python -m mu0_ros.environment)"``."""
    try:
        env = ros_environment()
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    for name, value in sorted(env.items()):
        if os.environ.get(name) != value:
            sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
