# SPDX-License-Identifier: Apache-2.0
"""One node as a process: it spins until it is asked to stop, and ends in order."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from mu0_ros.lifecycle import Mu0LifecycleNode

_LAST_WORDS_S = 0.3


class _StopRequest:
    """Handler of SIGINT and SIGTERM: ends the spinning, or the loading before it.

    The context stays alive, so that the node can still publish. While the node spins nothing is
    raised: an exception out of nowhere may be lost in some callback. Once the end has begun
    further signals do nothing, so a second Ctrl-C cannot break it.
    """

    def __init__(self) -> None:
        self.received = self.spinning = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self)

    def __call__(self, number: int, frame: object) -> None:
        first, self.received = not self.received, True
        if first and not self.spinning:
            raise KeyboardInterrupt


def run(make_node: Callable[[], Mu0LifecycleNode]) -> int:
    """Spin one node until it is asked to stop; return a process exit code."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    stop = _StopRequest()
    node, code = None, 0
    executor = SingleThreadedExecutor()
    try:
        node = make_node()
        executor.add_node(node)
        code = 0 if node.autostart() else 1
        stop.spinning = True
        while code == 0 and not stop.received:  # the heartbeat's timer wakes it
            executor.spin_once(timeout_sec=1.0)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        stop.received = True
        if node is not None:
            _end(node, executor)
        rclpy.try_shutdown()
        gc.freeze()  # the interpreter need not search torch for garbage before it exits
    if any(thread.daemon for thread in threading.enumerate()):
        # one that hangs in native code would make the interpreter abort while it ends
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _end(node: Mu0LifecycleNode, executor: SingleThreadedExecutor) -> None:
    """Halt while the context lives and give results that are due the time to leave."""
    if node.active and rclpy.ok():
        node.halt_if_active()
        end_s = node.steady_s() + _LAST_WORDS_S
        while node.steady_s() < end_s:
            executor.spin_once(timeout_sec=0.05)
    node.stop()
    node.destroy_node()
