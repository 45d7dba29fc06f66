# SPDX-License-Identifier: Apache-2.0
"""Gazebo Classic 11 as a process in the chroot that ``scripts/gazebo_classic/setup.sh`` makes.

Without a display: an X server in memory, and a software renderer. The bind mounts live in a mount
namespace of the processes and are gone with them.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

from mu0_core.errors import ConfigError, SimulationError

DEFAULT_ROOT = Path("/srv/mu0-gazebo11")
MESHES = "opt/mu0/meshes"
_START_S, _GRACE_S = 60.0, 10.0
_ENTER = (
    'mount --bind /proc "$0/proc" && mount --bind /dev "$0/dev" && mount -t tmpfs tmpfs "$0/tmp" '
    '&& exec chroot "$0" "$@"'
)
_SERVE = '. /usr/share/gazebo/setup.sh && exec env "$@"'


class GazeboServer:
    """Context manager around an X server and gzserver in the chroot.

    Args:
        root: the chroot.
        log_dir: where the output of gzserver goes.

    Raises:
        ConfigError: not root, or there is no Gazebo with the plugin in the chroot.
    """

    def __init__(self, root: Path, log_dir: Path) -> None:
        if os.geteuid() != 0:
            raise ConfigError("Gazebo Classic runs in a chroot: needs root")
        if not (root / "opt/mu0/libmu0_bridge.so").is_file():
            raise ConfigError(
                f"no Gazebo Classic with the plugin in {root}: run "
                f"scripts/gazebo_classic/setup.sh {root}"
            )
        self._root, self._log_dir = root, log_dir
        self._folder = root / "opt" / "mu0" / f"run-{os.getpid()}"
        self._display: subprocess.Popen | None = None
        self._server: subprocess.Popen | None = None

    def __enter__(self) -> GazeboServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(self, world: str, meshes: Path) -> socket.socket:
        """Start gzserver with a world, paused; return the connected socket of its plugin.

        Args:
            world: SDF text.
            meshes: folder of the arm's meshes; they appear as ``file:///opt/mu0/meshes``.

        Raises:
            SimulationError: it does not come up in 60 s.
        """
        self.stop()
        self._folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(meshes, self._root / MESHES, dirs_exist_ok=True)
        (self._folder / "world.sdf").write_text(world)
        path = self._folder / "bridge.sock"
        path.unlink(missing_ok=True)
        inside = f"/{self._folder.relative_to(self._root)}"
        variables = {
            "DISPLAY": f":{self._display_number()}",
            "GAZEBO_MASTER_URI": f"http://127.0.0.1:{_free_port()}",
            "GAZEBO_IP": "127.0.0.1",
            "GAZEBO_MODEL_DATABASE_URI": "",
            "HOME": "/tmp",
            "LIBGL_ALWAYS_SOFTWARE": "1",
            "LP_NUM_THREADS": "1",
            "MU0_BRIDGE_SOCKET": f"{inside}/bridge.sock",
        }
        command = ["sh", "-c", _SERVE, "gazebo", *(f"{k}={v}" for k, v in variables.items())]
        command += ["gzserver", "-u", "--verbose", f"{inside}/world.sdf"]
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(path))
            listener.listen(1)
            self._log_dir.mkdir(parents=True, exist_ok=True)
            with (self._log_dir / "gzserver.log").open("w") as log:
                self._server = self._enter(command, stdout=log, stderr=subprocess.STDOUT)
            return self._accept(listener)

    def stop(self) -> None:
        """End gzserver; the X server stays for the next world."""
        _end(self._server)
        self._server = None

    def close(self) -> None:
        """End both."""
        self.stop()
        _end(self._display)
        self._display = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def _accept(self, listener: socket.socket) -> socket.socket:
        listener.settimeout(0.2)
        end = time.monotonic() + _START_S
        while time.monotonic() < end:
            try:
                peer, _ = listener.accept()
            except TimeoutError:
                if self._server.poll() is None:
                    continue
                raise SimulationError(
                    f"gzserver ended with {self._server.returncode}; see "
                    f"{self._log_dir}/gzserver.log"
                ) from None
            peer.settimeout(_START_S)
            return peer
        raise SimulationError(
            f"gzserver did not connect in {_START_S:.0f} s; see {self._log_dir}/gzserver.log"
        )

    def _display_number(self) -> int:
        if self._display is None or self._display.poll() is not None:
            command = ["Xvfb", "-displayfd", "1", "-screen", "0", "800x600x24"]
            command += ["-nolisten", "tcp"]
            self._display = self._enter(
                command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            self._number = self._display.stdout.readline().strip()
        if not self._number.isdecimal():
            raise SimulationError("Xvfb in the chroot did not start")
        return int(self._number)

    def _enter(self, command: list[str], **options: object) -> subprocess.Popen:
        """Start a command inside, in a mount namespace and a session of its own.

        It ends with the thread that started it, also when that is killed.
        """
        outer = ["setpriv", "--pdeathsig", "TERM", "unshare", "--mount", "--propagation"]
        outer += ["private", "sh", "-c", _ENTER]
        return subprocess.Popen(
            [*outer, str(self._root), *command],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            **options,
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _end(process: subprocess.Popen | None) -> None:
    if process is None:
        return
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()
