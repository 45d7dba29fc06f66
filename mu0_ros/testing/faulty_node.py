# SPDX-License-Identifier: Apache-2.0
"""A model node as a process whose fake model can be broken while it runs.

``python -m mu0_ros.testing.faulty_node trace_forecaster|action_expert`` starts the shipped node;
topic ``<node>/fake_fault`` (a string as in `mu0_core.testing.fakes`) gives it another fake.
"""

from __future__ import annotations

import sys

from std_msgs.msg import String

from mu0_core.testing.fakes import FakeExpert, FakeForecaster
from mu0_ros import qos
from mu0_ros.node_process import run
from mu0_ros.nodes.action_expert_node import ActionExpertNode
from mu0_ros.nodes.trace_forecaster_node import TraceForecasterNode


class FaultyForecasterNode(TraceForecasterNode):
    """A trace forecaster to be broken."""

    def setup(self) -> None:
        """Listen for faults as well."""
        super().setup()
        on_fault = self.guard("fake_fault", self._on_fake_fault)
        self.create_subscription(String, "~/fake_fault", on_fault, qos.COMMAND)

    def _on_fake_fault(self, message: String) -> None:
        self._forecaster = FakeForecaster(message.data)


class FaultyExpertNode(ActionExpertNode):
    """An action expert to be broken."""

    def setup(self) -> None:
        """Listen for faults as well."""
        super().setup()
        on_fault = self.guard("fake_fault", self._on_fake_fault)
        self.create_subscription(String, "~/fake_fault", on_fault, qos.COMMAND)

    def _on_fake_fault(self, message: String) -> None:
        self._expert = FakeExpert(self._robot, message.data)


NODES = {"trace_forecaster": FaultyForecasterNode, "action_expert": FaultyExpertNode}


def main() -> None:
    """Run the node that the first argument names."""
    raise SystemExit(run(NODES[sys.argv[1]]))


if __name__ == "__main__":
    main()
