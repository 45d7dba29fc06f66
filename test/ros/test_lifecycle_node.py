# SPDX-License-Identifier: Apache-2.0
"""What every node has from its base: life cycle, guard, heartbeat, diagnostics, clean end."""

import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from mu0.srv import PredictTraces
from rcl_interfaces.srv import DescribeParameters, ListParameters
from std_msgs.msg import Header, String

from mu0_core.errors import ConfigError
from mu0_ros import qos
from mu0_ros.lifecycle import Mu0LifecycleNode
from mu0_ros.nodes.action_expert_node import ActionExpertNode
from mu0_ros.nodes.safety_gate_node import SafetyGateNode
from mu0_ros.nodes.task_server_node import TaskServerNode
from mu0_ros.nodes.trace_forecaster_node import TraceForecasterNode
from mu0_ros.nodes.visualizer_node import VisualizerNode
from mu0_ros.params import parameter
from mu0_ros.testing.bench import NAMESPACE, Bench, unique_domain_id
from mu0_ros.testing.mock_robot import MockRobot

NODES = (ActionExpertNode, SafetyGateNode, TaskServerNode, TraceForecasterNode, VisualizerNode)
FAKE = {"trace_forecaster": {"backend": "fake"}, "action_expert": {"backend": "fake"}}


@dataclass(frozen=True)
class ProbeParameters:
    """Parameters of the node under test."""

    good: bool = parameter(True, "whether it can be configured")


class ProbeNode(Mu0LifecycleNode):
    """Notes its hooks and fails on demand."""

    def __init__(self) -> None:
        self.calls = []
        super().__init__("under_test", ProbeParameters)

    def setup(self) -> None:
        self.calls.append("setup")
        self.words = self.create_lifecycle_publisher(String, "words", 1)
        self.create_subscription(String, "orders", self.guard("orders", self._on_order), 10)
        if not self.settings.good:
            raise ConfigError("good is False, allowed is True")

    def start(self) -> None:
        self.calls.append("start")

    def halt(self) -> None:
        self.calls.append("halt")

    def teardown(self) -> None:
        self.calls.append("teardown")

    def _on_order(self, message: String) -> None:
        self.words.publish(String(data=str(1.0 / float(message.data))))


def test_hooks_run_in_order_and_once():
    with Bench() as bench:
        node = bench.add(ProbeNode())
        node.trigger_deactivate()
        node.trigger_activate()
        node.stop()
        node.stop()
        assert node.calls == ["setup", "start", "halt", "start", "halt", "teardown"]


def test_a_bad_message_is_counted_and_the_node_lives():
    with Bench() as bench:
        node = bench.add(ProbeNode())
        words = bench.collect(String, "words", 10)
        orders = bench.probe.create_publisher(String, "orders", 10)
        bench.until(orders.get_subscription_count, what="the node listens")
        bench.until(node.words.get_subscription_count, what="the probe listens")
        for text in ("0", "x", "4"):
            orders.publish(String(data=text))
        bench.until(lambda: words, what="answer to the good message")
        assert words[0].data == "0.25"
        assert node.counters == {"orders: ZeroDivisionError": 1, "orders: ValueError": 1}


def test_a_failed_configuration_is_loud_clean_and_may_be_tried_again():
    with Bench({"under_test": {"good": False}}) as bench:
        node = bench.add(ProbeNode(), start=False)
        before = len(list(node.subscriptions)), len(list(node.publishers))
        assert not node.autostart()
        assert node.calls == ["setup", "teardown"]
        assert (len(list(node.subscriptions)), len(list(node.publishers))) == before
        reports = bench.collect(DiagnosticArray, "/diagnostics", 10)
        node.report("cannot configure: INVALID_REQUEST: good is False")
        bench.until(lambda: [r for r in reports if r.status[0].level == DiagnosticStatus.WARN])
        assert not node.autostart()


def test_a_manager_outside_takes_over_when_autostart_is_false():
    with Bench({"under_test": {"autostart": False}}) as bench:
        node = bench.add(ProbeNode())
        assert node.calls == [] and not node.active
        for transition, state in (
            (Transition.TRANSITION_CONFIGURE, State.PRIMARY_STATE_INACTIVE),
            (Transition.TRANSITION_ACTIVATE, State.PRIMARY_STATE_ACTIVE),
            (Transition.TRANSITION_DEACTIVATE, State.PRIMARY_STATE_INACTIVE),
            (Transition.TRANSITION_CLEANUP, State.PRIMARY_STATE_UNCONFIGURED),
        ):
            request = ChangeState.Request(transition=Transition(id=transition))
            assert bench.call(ChangeState, "under_test/change_state", request).success
            answer = bench.call(GetState, "under_test/get_state", GetState.Request())
            assert answer.current_state.id == state
        assert node.calls == ["setup", "start", "halt", "teardown"]


def test_heartbeat_and_diagnostics_go_on_while_simulated_time_stands_still():
    with Bench({"under_test": {"use_sim_time": True}}) as bench:
        node = bench.add(ProbeNode())
        beats = bench.collect(Header, "under_test/heartbeat", 10)
        reports = bench.collect(DiagnosticArray, "/diagnostics", 10)
        bench.until(lambda: len(beats) >= 5 and reports, 3.0, "beats without a /clock")
        assert node.now_ns() == 0
        assert reports[0].status[0].name == f"{NAMESPACE}/under_test"


@pytest.mark.parametrize("node_class", NODES, ids=lambda c: c.__name__)
def test_cycles_of_the_life_cycle_leave_nothing_behind(node_class):
    with Bench(FAKE) as bench:
        node = bench.add(node_class(), start=False)

        def inventory():
            kinds = (node.publishers, node.subscriptions, node.services, node.clients, node.timers)
            return [len(list(kind)) for kind in kinds] + [len(list(node.waitables))]

        bare, threads, full = inventory(), threading.active_count(), None
        for _ in range(6):
            assert node.autostart()
            full = full or inventory()
            assert inventory() == full and full != bare
            node.trigger_deactivate()
            node.trigger_cleanup()
            assert inventory() == bare
        bench.until(lambda: threading.active_count() <= threads, 3.0, "threads end")


@pytest.mark.parametrize("node_class", NODES, ids=lambda c: c.__name__)
def test_names_are_relative_and_every_parameter_says_what_it_is(node_class):
    with Bench(FAKE) as bench:
        node = bench.add(node_class())
        own = [*node.publishers, *node.subscriptions]
        shared = ("/parameter_events", "/rosout", "/diagnostics", "/clock")
        topics = [e.topic_name for e in own if not e.topic_name.endswith(shared)]
        assert topics and all(t.startswith(f"{NAMESPACE}/") for t in topics)
        name = node.get_name()
        names = bench.call(ListParameters, f"{name}/list_parameters", ListParameters.Request())
        declared = [
            n
            for n in names.result.names
            if n.partition(".")[0]
            not in ("use_sim_time", "start_type_description_service", "qos_overrides")
        ]
        answer = bench.call(
            DescribeParameters,
            f"{name}/describe_parameters",
            DescribeParameters.Request(names=declared),
        )
        assert declared and all(len(d.description) > 5 for d in answer.descriptors)
        assert all(d.read_only for d in answer.descriptors)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_ends_a_node_with_exit_code_zero(number):
    env = {**os.environ, "ROS_DOMAIN_ID": str(unique_domain_id())}
    command = [
        sys.executable,
        "-m",
        "mu0_ros.nodes.task_server_node",
        "--ros-args",
        "-r",
        "__ns:=/mu0",
    ]
    with Bench() as bench:
        beats = bench.collect(Header, "task_server/heartbeat", qos.COMMAND)
        process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
        try:
            bench.until(lambda: beats, 8.0, "heartbeat of the process")
            process.send_signal(number)
            _, errors = process.communicate(timeout=5.0)
        finally:
            process.kill()
    assert process.returncode == 0, errors
    assert "Traceback" not in errors


def test_a_hanging_model_does_not_keep_a_node_from_ending():
    env = {**os.environ, "ROS_DOMAIN_ID": str(unique_domain_id())}
    command = [
        sys.executable,
        "-m",
        "mu0_ros.nodes.trace_forecaster_node",
        "--ros-args",
        "-r",
        "__ns:=/mu0",
        "-p",
        "backend:=fake",
        "-p",
        "fake_fault:=hang",
    ]
    with Bench() as bench:
        bench.add(MockRobot())
        process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
        try:
            client = bench.probe.create_client(PredictTraces, "predict_traces")
            bench.until(client.service_is_ready, 8.0, "service")

            def hangs() -> bool:
                future = client.call_async(PredictTraces.Request(instruction="push"))
                bench.spin_for(0.3)
                return not future.done()  # answered while there is no image yet

            bench.until(hangs, 8.0, "a forecast that hangs")
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=5.0)
        finally:
            process.kill()
    assert process.returncode == 0, errors


def test_a_node_that_cannot_start_says_why_and_ends_with_an_error():
    env = {**os.environ, "ROS_DOMAIN_ID": str(unique_domain_id())}
    command = [
        sys.executable,
        "-m",
        "mu0_ros.nodes.action_expert_node",
        "--ros-args",
        "-p",
        "backend:=nonsense",
    ]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert "INVALID_REQUEST" in done.stderr and "nonsense" in done.stderr
