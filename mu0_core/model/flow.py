# SPDX-License-Identifier: Apache-2.0
"""What goes into and comes out of an evaluation of the velocity field. Data only."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from mu0_core.model.expert import ExpertPrefixCache
from mu0_core.model.suffix import SuffixContext


@dataclass(frozen=True)
class TraceSamples:
    """S sampled futures of N query points.

    Attributes:
        control_points: (B, S, N, D, 3) fp32 scaled deltas from the query; see `render`.
        done_logits: (B, S, N, H) fp32, above 0 = the step still belongs to the motion; None
            without a done head.
    """

    control_points: Tensor
    done_logits: Tensor | None


@dataclass(frozen=True)
class Flow:
    """One evaluation of the velocity field.

    Attributes:
        velocity: (B, S, N, D, 3) fp32.
        done_logits: (B, S, N, H) fp32 or None.
        hidden: (B, S, N, G, e) expert stream before its final norm.
    """

    velocity: Tensor
    done_logits: Tensor | None
    hidden: Tensor


@dataclass(frozen=True)
class FlowContext:
    """Everything about one call that does not change over Euler steps."""

    suffix: SuffixContext
    cache: ExpertPrefixCache
    mask: Tensor | None
