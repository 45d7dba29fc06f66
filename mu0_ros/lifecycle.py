# SPDX-License-Identifier: Apache-2.0
"""`Mu0LifecycleNode`: what every node of this package shares.

A node fills four hooks (`setup`, `start`, `halt`, `teardown`). Callbacks run guarded: one bad
message is counted, reported and dropped, it never ends the node. Time-outs and heartbeats run on a
steady clock, so they keep going when simulated time stands still. What `setup` creates on the node
(publishers, subscriptions, services, timers) is removed by the base when the node is cleaned up.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.clock import Clock, ClockType, JumpHandle, JumpThreshold
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, State, TransitionCallbackReturn
from std_msgs.msg import Header

from mu0_core.errors import Mu0Error
from mu0_ros import params
from mu0_ros.diagnostics import StageTimes
from mu0_ros.partners import PartnerWatch

HEARTBEAT_PERIOD_S, DIAGNOSTICS_PERIOD_S, LOG_PERIOD_S = 0.1, 1.0, 1.0


class Mu0LifecycleNode(PartnerWatch, LifecycleNode):
    """Base of the nodes.

    Args:
        name: default node name.
        settings: frozen dataclass of `params.parameter` fields.
    """

    def __init__(self, name: str, settings: type) -> None:
        super().__init__(name)
        self.steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.settings = params.declare(self, settings)
        self._autostart = self.declare_parameter(
            "autostart",
            True,
            ParameterDescriptor(
                description="configure and activate at start; false = a lifecycle manager does",
                read_only=True,
            ),
        ).value
        self.active = self.configured = False
        self.counters: Counter[str] = Counter()
        self.facts: dict[str, str] = {}
        self.callback_times = StageTimes(self.facts)
        self._jumps: list[JumpHandle] = []
        self._last_error = ""
        self._logged_s: dict[str, float] = {}
        self._heartbeat = super().create_publisher(Header, "~/heartbeat", 1)
        self._diagnostics = super().create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_timer(HEARTBEAT_PERIOD_S, self._beat, clock=self.steady)
        self.create_timer(DIAGNOSTICS_PERIOD_S, self.publish_diagnostics, clock=self.steady)
        self._own_entities = self._entities()

    # -- hooks -----------------------------------------------------------------------------------

    def setup(self) -> None:
        """Load models and make publishers; a `Mu0Error` refuses the configuration."""

    def start(self) -> None:
        """Begin to work."""

    def halt(self) -> None:
        """Stop working; nothing may move after this because of this node."""

    def teardown(self) -> None:
        """Release what `setup` made outside the node: threads, other nodes, action servers."""

    # -- life cycle ------------------------------------------------------------------------------

    def on_configure(self, state: State) -> TransitionCallbackReturn:
        """Run `setup`; any error is logged and leaves the node unconfigured."""
        self.configured = True
        result = self._transition("configure", self.setup)
        if result != TransitionCallbackReturn.SUCCESS:
            self._clean()
        return result

    def on_activate(self, state: State) -> TransitionCallbackReturn:
        """Run `start`."""
        result = self._transition("activate", self.start)
        if result == TransitionCallbackReturn.SUCCESS:
            self.active = True
            self.begin_to_wait()
            return super().on_activate(state)
        return result

    def on_deactivate(self, state: State) -> TransitionCallbackReturn:
        """Run `halt`."""
        self.active = False
        self._transition("deactivate", self.halt)
        return super().on_deactivate(state)

    def on_cleanup(self, state: State) -> TransitionCallbackReturn:
        """Run `teardown`."""
        self._clean()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: State) -> TransitionCallbackReturn:
        """Run `halt` and `teardown`."""
        self.stop()
        return TransitionCallbackReturn.SUCCESS

    def stop(self) -> None:
        """Run `halt` if the node is active and `teardown` if it is configured."""
        self.halt_if_active()
        self._clean()

    def halt_if_active(self) -> None:
        """Run `halt` if the node is active; it is inactive to itself afterwards."""
        if self.active:
            self.active = False
            self._transition("halt", self.halt)

    def _clean(self) -> None:
        if not self.configured:
            return
        self.configured = False
        self._transition("clean up", self.teardown)
        while self._jumps:
            self._jumps.pop().unregister()
        for entity, destroy in self._entities().items():
            if entity not in self._own_entities:
                self._managed_entities.discard(entity)
                destroy(entity)

    def _entities(self) -> dict[Any, Callable[[Any], bool]]:
        """Return everything created on this node with what destroys it."""
        kinds = (
            (self.publishers, self.destroy_publisher),
            (self.subscriptions, self.destroy_subscription),
            (self.services, self.destroy_service),
            (self.clients, self.destroy_client),
            (self.timers, self.destroy_timer),
        )
        return {entity: destroy for entities, destroy in kinds for entity in entities}

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
        """Configure and activate unless ``autostart`` is false; say whether it worked."""
        if not self._autostart:
            return True
        done = TransitionCallbackReturn.SUCCESS
        return self.trigger_configure() == done and self.trigger_activate() == done

    # -- guarded work ----------------------------------------------------------------------------

    def guard(self, name: str, callback: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a callback: errors are counted, reported and end only this call."""

        def guarded(*arguments: Any) -> Any:
            begun_s = time.monotonic()
            try:
                return callback(*arguments)
            except Mu0Error as error:
                self.counters[f"{name}: {error.code}"] += 1
                self.report(f"{name}: {error.code}: {error}")
            except Exception as error:
                self.counters[f"{name}: {type(error).__name__}"] += 1
                self.report(f"{name}: {type(error).__name__}: {error}")
            finally:
                self.callback_times.add(f"callback {name}", time.monotonic() - begun_s)
            return None

        return guarded

    def report(self, text: str) -> None:
        """Log an error, at most once a second for its first words, and show it in diagnostics."""
        self._last_error = text
        key, now_s = text[:40], self.steady_s()
        if now_s - self._logged_s.get(key, -LOG_PERIOD_S) >= LOG_PERIOD_S:
            self._logged_s = {k: t for k, t in self._logged_s.items() if now_s - t < LOG_PERIOD_S}
            self._logged_s[key] = now_s
            self.get_logger().error(text)

    def in_thread(self, name: str, work: Callable[[], None]) -> threading.Thread:
        """Run guarded work in a daemon thread."""
        thread = threading.Thread(target=self.guard(name, work), name=name, daemon=True)
        thread.start()
        return thread

    def now_ns(self) -> int:
        """Return the time on the clock of the data (simulated when ``use_sim_time``)."""
        return self.get_clock().now().nanoseconds

    def on_clock_jump(self, callback: Callable[[Any], None]) -> None:
        """Call back when data time goes back, or forward by 2 s, until the node is cleaned up.

        rclpy keeps no reference to the handle: one that nobody holds crashes the next jump.
        """
        far = JumpThreshold(min_forward=Duration(seconds=2), min_backward=Duration(nanoseconds=-1))
        guarded = self.guard("clock", callback)
        self._jumps.append(self.get_clock().create_jump_callback(far, post_callback=guarded))

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
        self._last_error = self._last_error or self.missing()
        status = DiagnosticStatus(name=self.get_fully_qualified_name(), hardware_id="mu0")
        status.level = DiagnosticStatus.OK if not self._last_error else DiagnosticStatus.WARN
        status.message = self._last_error or ("active" if self.active else "inactive")
        facts = {**self.facts, **{k: str(v) for k, v in sorted(self.counters.items())}}
        status.values = [KeyValue(key=k, value=v) for k, v in facts.items()]
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)
        self._last_error = ""
