# SPDX-License-Identifier: Apache-2.0
"""Row 53 of the fault catalogue: parameters that no node may take, at the start and later."""

import pytest
import rclpy
from rcl_interfaces.srv import SetParameters
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.parameter import Parameter

from mu0_ros.nodes.safety_gate_node import SafetyGateNode
from mu0_ros.nodes.simulator_node import SimulatorNode
from mu0_ros.nodes.trace_forecaster_node import TraceForecasterNode
from mu0_ros.testing.bench import Bench


@pytest.mark.parametrize(
    ("make", "name", "parameter", "value"),
    [
        (SafetyGateNode, "safety_gate", "speed_scale", 1.5),
        (SafetyGateNode, "safety_gate", "max_state_age_s", -1.0),
        (SafetyGateNode, "safety_gate", "speed_scale", float("nan")),
        (SafetyGateNode, "safety_gate", "speed_scale", float("inf")),
        (SimulatorNode, "simulator", "seed", -1),
        (TraceForecasterNode, "trace_forecaster", "max_points", 0),
    ],
)
def test_row_53_a_value_out_of_range_at_the_start(make, name, parameter, value):
    with Bench({name: {parameter: value}}), pytest.raises(InvalidParameterValueException):
        make()


@pytest.mark.parametrize("value", ["fast", True, [1.0], 1])
def test_row_53_a_value_of_another_type_at_the_start(value):
    with (
        Bench({"safety_gate": {"speed_scale": value}}),
        pytest.raises(InvalidParameterTypeException),
    ):
        SafetyGateNode()


@pytest.mark.parametrize("value", [0.5, 1.5, "fast"])
def test_row_53_nothing_changes_at_run_time(value):
    with Bench() as bench:
        gate = bench.add(SafetyGateNode())
        wanted = Parameter("speed_scale", value=value).to_parameter_msg()
        answer = bench.call(
            SetParameters, "safety_gate/set_parameters", SetParameters.Request(parameters=[wanted])
        )
        assert not answer.results[0].successful and answer.results[0].reason
        assert gate.get_parameter("speed_scale").value == 1.0 and gate.active


def test_row_53_a_file_with_a_python_tag_runs_nothing(tmp_path):
    canary = tmp_path / "canary"
    file = tmp_path / "params.yaml"
    file.write_text(
        "/**:\n  ros__parameters:\n"
        f"    robot: !!python/object/apply:os.system ['touch {canary}']\n"
    )
    refused = False
    try:
        rclpy.init(args=["--ros-args", "--params-file", str(file)])
        SafetyGateNode().destroy_node()
    except Exception:
        refused = True
    finally:
        rclpy.try_shutdown()
    assert refused and not canary.exists()
