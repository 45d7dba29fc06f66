# SPDX-License-Identifier: Apache-2.0
"""Services of the trace forecaster's node: forecast, choose points, load another model.

They work in the thread of the node's worker, one at a time, and move nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mu0.srv import LoadModel, PredictTraces, SelectQueryPoints
from rclpy.task import Future

from mu0_core.errors import RequestError
from mu0_core.inference.instruction import checked_instruction
from mu0_ros import backends
from mu0_ros.conversions.error_code import error_code, error_from
from mu0_ros.conversions.query_points import msg_from_query
from mu0_ros.conversions.stamp import stamp_from_ns
from mu0_ros.conversions.trace import msg_from_forecast

_MAX_HYPOTHESES = 16


class ForecastServices:
    """Part of `TraceForecasterNode`, which has what is used here."""

    def offer_services(self) -> None:
        """Make the services."""
        self.create_service(PredictTraces, "predict_traces", self._on_predict)
        self.create_service(SelectQueryPoints, "select_query_points", self._on_select)
        self.create_service(LoadModel, "load_model", self._on_load)

    async def _in_worker(
        self, work: Callable[[Any, Any], None], request: Any, response: Any
    ) -> Any:
        """Answer a service from the worker's thread; BUSY while it computes something else."""
        finished = Future(executor=self.executor)

        def job() -> None:
            try:
                work(request, response)
                response.error = error_code()
            except Exception as error:
                error = backends.as_inference_error(error)
                response.error = error_from(error, self.get_fully_qualified_name())
            finally:
                finished.set_result(None)

        if not self.active:
            response.error = error_code("NOT_READY", "the node is not active")
        elif self._worker.try_start(job):
            await finished
        else:
            response.error = error_code("BUSY", "another forecast is being computed")
        return response

    async def _on_predict(self, request, response):
        return await self._in_worker(self._predict, request, response)

    async def _on_select(self, request, response):
        return await self._in_worker(self._select, request, response)

    async def _on_load(self, request, response):
        return await self._in_worker(self._load_for, request, response)

    def _predict(self, request, response) -> None:
        instruction = checked_instruction(request.instruction)
        count = max(1, request.num_hypotheses)
        if count > _MAX_HYPOTHESES:
            raise RequestError(f"{count} hypotheses, at most {_MAX_HYPOTHESES}")
        frame = self._fresh_frame()
        limit = self.settings.max_points
        query = backends.choose_points(self._selector, request.query_points, frame, limit)
        self._sequence += 1
        first = request.seed % 2**31 if request.seed else self._sequence
        response.hypotheses = [
            msg_from_forecast(
                self._forecaster.forecast(
                    frame, instruction, query, seed=first + k, sequence=self._sequence
                )
            )
            for k in range(count)
        ]

    def _select(self, request, response) -> None:
        if request.prompt.strip():
            raise RequestError("the selector reads only the image: leave prompt empty")
        frame = self._fresh_frame()
        limit = self.settings.max_points
        count = min(request.max_points or limit, limit)
        response.query_points = msg_from_query(self._selector.select(frame, count))
        response.query_points.header.frame_id = frame.frame_id
        response.query_points.header.stamp = stamp_from_ns(frame.stamp_ns)

    def _load_for(self, request, response) -> None:
        backends.check_registered(request.model_id)
        self._load(request.model_id)  # the old model is kept when this fails
        response.info = self._info
