# SPDX-License-Identifier: Apache-2.0
"""`Mu0LifecycleNode`: what every node of this package shares.

A node fills four hooks (`setup`, `start`, `halt`, `teardown`). Callbacks run guarded: one bad message is
counted, reported and dropped, it never ends the node. Time-outs and heartbeats run on a steady clock,
so they keep going when simulated time stands still.
"""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, State, TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import Header

from mu0_core.errors import Mu0Error
from mu0_ros import params

HEARTBEAT_PERIOD_S, DIAGNOSTICS_PERIOD_S = 0.1, 1.0


class Mu0LifecycleNode(LifecycleNode):
    """Base of the nodes.

    Args:
        name: default node name.
        settings: frozen dataclass of `params.parameter` fields.
    """

    def __init__(self, name: str, settings: type) -> None:
        super().__init__(name)
        self.steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.settings = params.declare(self, settings)
        self._autostart = self.declare_parameter("autostart", True).value
        self.active = False
        self.counters: Counter[str] = Counter()
        self.facts: dict[str, str] = {}
        self._last_error = ""
        self._heartbeat = super().create_publisher(Header, "~/heartbeat", 1)
        self._diagnostics = super().create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_timer(HEARTBEAT_PERIOD_S, self._beat, clock=self.steady)
        self.create_timer(DIAGNOSTICS_PERIOD_S, self.publish_diagnostics, clock=self.steady)

    # -- hooks -----------------------------------------------------------------------------------

    def setup(self) -> None:
        """Load models and make publishers; a `Mu0Error` refuses the configuration."""

    def start(self) -> None:
        """Begin to work."""

    def halt(self) -> None:
        """Stop working; nothing may move after this because of this node."""

    def teardown(self) -> None:
        """Release what `setup` made."""

    # -- life cycle ------------------------------------------------------------------------------

    def on_configure(self, state: State) -> TransitionCallbackReturn:
        """Run `setup`; any error is logged and leaves the node unconfigured."""
        return self._transition("configure", self.setup)

    def on_activate(self, state: State) -> TransitionCallbackReturn:
        """Run `start`."""
        result = self._transition("activate", self.start)
        if result == TransitionCallbackReturn.SUCCESS:
            self.active = True
            return super().on_activate(state)
        return result

    def on_deactivate(self, state: State) -> TransitionCallbackReturn:
        """Run `halt`."""
        self.active = False
        self._transition("deactivate", self.halt)
        return super().on_deactivate(state)

    def on_cleanup(self, state: State) -> TransitionCallbackReturn:
        """Run `teardown`."""
        return self._transition("clean up", self.teardown)

    def on_shutdown(self, state: State) -> TransitionCallbackReturn:
        """Run `halt` and `teardown`."""
        self.active = False
        self._transition("shut down", self.halt)
        return self._transition("shut down", self.teardown)

    def _transition(self, verb: str, hook: Callable[[], None]) -> TransitionCallbackReturn:
        try:
            hook()
        except Mu0Error as error:
            self.report(f"cannot {verb}: {error.code}: {error}")
            return TransitionCallbackReturn.FAILURE
        except Exception as error:  # a defect must be seen, not swallowed by rclpy
            self.report(f"cannot {verb}: {type(error).__name__}: {error}")
            return TransitionCallbackReturn.FAILURE
        return TransitionCallbackReturn.SUCCESS

    def autostart(self) -> bool:
        """Configure and activate unless parameter ``autostart`` is false; say whether it worked."""
        if not self._autostart:
            return True
        done = TransitionCallbackReturn.SUCCESS
        return self.trigger_configure() == done and self.trigger_activate() == done

    # -- guarded work ----------------------------------------------------------------------------

    def guard(self, name: str, callback: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a callback: errors are counted, reported and end only this call."""

        def guarded(*arguments: Any) -> Any:
            try:
                return callback(*arguments)
            except Mu0Error as error:
                self.counters[f"{name}: {error.code}"] += 1
                self.report(f"{name}: {error.code}: {error}")
            except Exception as error:
                self.counters[f"{name}: {type(error).__name__}"] += 1
                self.report(f"{name}: {type(error).__name__}: {error}")
            return None

        return guarded

    def report(self, text: str) -> None:
        """Log an error, at most once a second for the same text, and show it in diagnostics."""
        self._last_error = text
        self.get_logger().error(text, throttle_duration_sec=1.0)

    def in_thread(self, name: str, work: Callable[[], None]) -> threading.Thread:
        """Run guarded work in a daemon thread."""
        thread = threading.Thread(target=self.guard(name, work), name=name, daemon=True)
        thread.start()
        return thread

    def now_ns(self) -> int:
        """Return the time on the clock of the data (simulated when ``use_sim_time``)."""
        return self.get_clock().now().nanoseconds

    def steady_s(self) -> float:
        """Return seconds on a clock that never stops or jumps."""
        return self.steady.now().nanoseconds * 1e-9

    # -- reports ---------------------------------------------------------------------------------

    def _beat(self) -> None:
        header = Header(frame_id=self.get_name())
        header.stamp = self.get_clock().now().to_msg()
        self._heartbeat.publish(header)

    def publish_diagnostics(self) -> None:
        """Publish state, last error, counters and facts on ``/diagnostics``."""
        status = DiagnosticStatus(name=self.get_fully_qualified_name(), hardware_id="mu0")
        status.level = DiagnosticStatus.OK if not self._last_error else DiagnosticStatus.WARN
        status.message = self._last_error or ("active" if self.active else "inactive")
        facts = {**self.facts, **{k: str(v) for k, v in sorted(self.counters.items())}}
        status.values = [KeyValue(key=k, value=v) for k, v in facts.items()]
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)
        self._last_error = ""


def _signal_to_exit(number: int, frame: object) -> None:
    """Turn SIGTERM into the same clean end as Ctrl-C, while the context still lives."""
    raise KeyboardInterrupt


def run(make_node: Callable[[], Mu0LifecycleNode]) -> int:
    """Spin one node until it is asked to stop; return a process exit code."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    signal.signal(signal.SIGTERM, _signal_to_exit)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    node, code = None, 0
    try:
        node = make_node()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        if node.autostart():
            executor.spin()
        else:
            code = 1
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not break the clean-up
        if node is not None:
            if rclpy.ok():
                node.guard("halt", node.halt)()  # publishes: needs a living context
            node.guard("teardown", node.teardown)()
            node.destroy_node()
        rclpy.try_shutdown()
    return code
