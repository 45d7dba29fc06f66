# SPDX-License-Identifier: Apache-2.0
"""Starting and ending gzserver, with small programs in the place of what runs in the chroot."""

import subprocess
import sys

import pytest

from mu0_core.errors import ConfigError, SimulationError
from mu0_core.gazebo.classic.server import GazeboServer

CONNECT = """
import socket, sys, time
peer = socket.socket(socket.AF_UNIX); peer.connect(sys.argv[1]); peer.send(b'here'); time.sleep(60)
"""


@pytest.fixture
def chroot(tmp_path, monkeypatch):
    """A folder that looks like the chroot, and meshes."""
    monkeypatch.setattr("mu0_core.gazebo.classic.server.os.geteuid", lambda: 0)
    root, meshes = tmp_path / "root", tmp_path / "meshes"
    (root / "opt/mu0").mkdir(parents=True)
    (root / "opt/mu0/libmu0_bridge.so").touch()
    meshes.mkdir()
    (meshes / "hand.stl").write_text("solid")
    return root, meshes


def server_of(root, log_dir, monkeypatch, gazebo):
    """Return a server whose X server says 7 and whose gzserver is another command."""
    server, started = GazeboServer(root, log_dir), []

    def enter(command, **options):
        display = command[0] == "Xvfb"
        program = ["sh", "-c", "echo 7; exec sleep 60"] if display else gazebo(command)
        process = subprocess.Popen(program, **options)
        started.append((command, process))
        return process

    monkeypatch.setattr(server, "_enter", enter)
    return server, started


def test_a_plugin_that_connects_is_what_start_returns(chroot, tmp_path, monkeypatch):
    root, meshes = chroot

    def gazebo(command):
        (variable,) = [word for word in command if word.startswith("MU0_BRIDGE_SOCKET=/")]
        return [sys.executable, "-c", CONNECT, f"{root}{variable.partition('=')[2]}"]

    server, started = server_of(root, tmp_path, monkeypatch, gazebo)
    with server:
        with server.start("<sdf/>", meshes) as peer:
            assert peer.recv(4) == b"here"
        command = started[-1][0]
        world = command[-1]
        assert (root / world.lstrip("/")).read_text() == "<sdf/>"
        assert "DISPLAY=:7" in command and "-u" in command  # it starts paused
        assert (root / "opt/mu0/meshes/hand.stl").is_file()
        with server.start("<sdf version='2'/>", meshes) as peer:
            assert peer.recv(4) == b"here"
        assert [process.poll() is None for _, process in started] == [True, False, True]
    assert all(process.poll() is not None for _, process in started)
    assert not list((root / "opt/mu0").glob("run-*"))


def test_a_gzserver_that_ends_is_an_error_that_names_its_log(chroot, tmp_path, monkeypatch):
    root, meshes = chroot
    server, _ = server_of(root, tmp_path, monkeypatch, lambda command: ["sh", "-c", "exit 3"])
    with server, pytest.raises(SimulationError, match=r"ended with 3; see .*gzserver\.log"):
        server.start("<sdf/>", meshes)


def test_a_gzserver_that_says_nothing_is_an_error(chroot, tmp_path, monkeypatch):
    root, meshes = chroot
    monkeypatch.setattr("mu0_core.gazebo.classic.server._START_S", 0.3)
    server, _ = server_of(root, tmp_path, monkeypatch, lambda command: ["sleep", "60"])
    with server, pytest.raises(SimulationError, match="did not connect in 0 s"):
        server.start("<sdf/>", meshes)


def test_a_folder_without_gazebo_is_refused_and_told_how_to_make_it(chroot, tmp_path):
    with pytest.raises(ConfigError, match=r"run scripts/gazebo_classic/setup\.sh .*nowhere"):
        GazeboServer(tmp_path / "nowhere", tmp_path)


def test_another_user_than_root_is_refused(chroot, tmp_path, monkeypatch):
    monkeypatch.setattr("mu0_core.gazebo.classic.server.os.geteuid", lambda: 1000)
    with pytest.raises(ConfigError, match="needs root"):
        GazeboServer(chroot[0], tmp_path)
