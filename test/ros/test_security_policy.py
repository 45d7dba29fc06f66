# SPDX-License-Identifier: Apache-2.0
"""The SROS2 policy and the running nodes: who may speak where, and who does."""

from collections import defaultdict
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
from sensor_msgs.msg import Image

from mu0_core.errors import ConfigError
from mu0_core.paths import config_file
from mu0_ros import qos
from mu0_ros.nodes.recorder_node import RecorderNode
from mu0_ros.nodes.visualizer_node import VisualizerNode
from mu0_ros.security import Rights, read_policy, running_rights
from mu0_ros.testing.fault_loop import FaultLoop

POLICY = read_policy(config_file("sros2/mu0.policy.xml"))
ONE = {  # topic -> the only enclave of the stack that may publish it
    "arm_controller/joint_trajectory": "safety_gate",
    "gripper_controller/joint_trajectory": "safety_gate",
    "action_chunk": "action_expert",
    "traces": "trace_forecaster",
    "safety_status": "safety_gate",
    "task_status": "task_server",
    "query_points": "task_server",
    "model_info": "trace_forecaster",
    "model_info_action": "action_expert",
}
WORLDS = ("/mu0/simulator", "/mu0/mock_robot")
# parameter services and life cycle are answered by all, tf is there only where it is installed
GIVEN_IN_ADVANCE = {"/tf", "/tf_static", "/clock", "/parameter_events"}


def publishers(topic: str) -> set[str]:
    return {enclave for enclave, rights in POLICY.items() if topic in rights.publish}


@pytest.mark.parametrize("topic, owner", ONE.items())
def test_what_moves_the_arm_has_one_owner(topic, owner):
    assert publishers(f"/mu0/{topic}") == {f"/mu0/{owner}"}


def test_a_heartbeat_is_its_own_nodes_alone():
    for enclave in POLICY:
        beats = {t for t in POLICY[enclave].publish if t.endswith("/heartbeat")}
        assert beats <= {f"{enclave}/heartbeat"}


def test_observations_come_from_worlds_alone():
    for topic in ("color/image_raw", "depth/image_raw", "joint_states", "camera_pose"):
        assert publishers(f"/mu0/{topic}") == set(WORLDS)


def test_the_operator_stops_and_asks_but_publishes_nothing_of_the_stack():
    operator = POLICY["/mu0/operator"]
    assert operator.publish == {"/rosout", "/parameter_events"}
    assert {"/mu0/safety_gate/stop", "/mu0/execute_task"} <= operator.request
    assert "/mu0/run_task" in operator.call
    assert not any(s.endswith("/set_parameters") for s in operator.request)


@pytest.fixture(scope="module")
def used(tmp_path_factory):
    """Return node -> rights in use, of a loop in the middle of a task."""
    with pytest.MonkeyPatch.context() as patch, FaultLoop() as loop:
        patch.chdir(tmp_path_factory.mktemp("recordings"))
        loop.bench.add(VisualizerNode())
        recorder = loop.bench.add(RecorderNode())
        loop.bench.collect(Image, "traces/overlay", qos.NEWEST)
        loop.start_and_move()
        wanted = recorder.topics["action_chunk"]
        loop.bench.until(lambda: recorder._counts[wanted], 10.0, "the recorder hears chunks")
        names = [*loop.nodes, "visualizer", "recorder", "trace_forecaster_camera"]
        found = {n: running_rights(loop.bench.probe, n, "/mu0") for n in names}
        recorder.trigger_deactivate()
        return found


def test_every_node_keeps_to_the_policy(used):
    for node, rights in used.items():
        allowed = POLICY[f"/mu0/{node.removesuffix('_camera')}"]
        beyond = rights.beyond(allowed)
        assert not beyond, f"{node} uses what config/sros2 does not give: {beyond}; run " + (
            "scripts/write_policy.py and look at the difference"
        )


def test_the_policy_gives_nothing_that_is_not_used(used):
    together: dict[str, Rights] = defaultdict(Rights)
    for node, rights in used.items():
        together[f"/mu0/{node.removesuffix('_camera')}"] |= rights
    for enclave, rights in together.items():
        if enclave == "/mu0/recorder":
            continue  # it listens to what is there; the simulator's topics are not
        more = POLICY[enclave].beyond(rights)
        more = {verb: set(names) - GIVEN_IN_ADVANCE for verb, names in more.items()}
        assert not any(more.values()), (enclave, more)


@pytest.mark.parametrize(
    "text, words",
    [
        ("<policy", "cannot read policy"),
        ("<rights/>", "root is <rights>"),
        (
            '<policy><enclave path="/a"><profile ns="/" node="n"><topics publish="DENY">'
            "<topic>x</topic></topics></profile></enclave></policy>",
            "publish='DENY', allowed is ALLOW",
        ),
        (
            '<policy><enclave path="/a"><profile ns="/" node="n"><topics publish="ALLOW">'
            "<topic>~/x</topic></topics></profile></enclave></policy>",
            "without ~",
        ),
    ],
)
def test_a_broken_policy_is_told(tmp_path: Path, text: str, words: str):
    path = tmp_path / "a.xml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_policy(path)
