# SPDX-License-Identifier: Apache-2.0
"""A process that is a client of the nodes: set up, work, tear down, exit status."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node

from mu0_core.errors import Mu0Error

Client = TypeVar("Client", bound=Node)


def run_client(make: Callable[[], Client], work: Callable[[Client], None]) -> int:
    """Let a client node work; return 0, 2 after a `Mu0Error` (on stderr), 130 when stopped."""
    rclpy.init()
    client = None
    try:
        client = make()
        work(client)
    except Mu0Error as error:
        sys.stderr.write(f"{error.code}: {error}\n")
        return 2
    except (KeyboardInterrupt, ExternalShutdownException):
        return 130
    finally:
        if client is not None:
            client.destroy_node()
        rclpy.try_shutdown()
    return 0
