"""What the core calls."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from enum import Enum
from typing import Any, NamedTuple

import grpc
import grpc.aio

from orca._algorithm import Algorithm
from orca._contract import service_pb2 as pb
from orca._errors import Failure
from orca._execute import Outcome, execute, execute_async, failed
from orca._inputs import DeprecatedResults
from orca._meter import Meter
from orca._remote import Reference, execute_bytes, reference_to
from orca._run import Cancellation, Emitter
from orca._settings import CoreSettings
from orca._threads import Threads
from orca._time import interval_of, text_of
from orca._worker import settings_for

_log = logging.getLogger("orca")


class Phase(Enum):
    """The phases of a service. They only go forward."""

    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"
    BROKEN = "its executor is broken"


class _Task(NamedTuple):
    """One algorithm of a request."""

    algorithm: Algorithm[Any]
    asked: pb.ExecuteAlgorithm


class Service:
    """Runs algorithms for a core. It belongs to one event loop; at most `concurrency` algorithms run at once."""

    def __init__(
        self,
        algorithms: list[Algorithm[Any]],
        executor: Executor,
        concurrency: int,
        emitter: Emitter,
        core: CoreSettings,
        broken: Callable[[BaseException], None],
    ) -> None:
        self._algorithms = {(a.id.name, a.id.version): a for a in algorithms}
        self._executor, self._emitter, self._core, self._broken = executor, emitter, core, broken
        self._references: dict[Algorithm[Any], Reference] = {
            a: reference_to(a) for a in algorithms if not a.is_async and not _shares_memory(a.executor or executor)
        }
        self._slots = asyncio.Semaphore(concurrency)
        self._meter = Meter()
        self.phase = Phase.STARTING
        self.active = 0
        self.heard = asyncio.Event()

    def serve(self) -> None:
        """Say from now on that work is welcome."""
        if self.phase is Phase.STARTING:
            self.phase = Phase.SERVING

    def drain(self) -> None:
        """Say from now on that work is not welcome."""
        self.phase = Phase.DRAINING

    def handler(self) -> grpc.GenericRpcHandler:
        """Give what a gRPC server takes."""
        return grpc.method_handlers_generic_handler(
            "OrcaProcessor",
            {
                "HealthCheck": grpc.unary_unary_rpc_method_handler(
                    self.health_check,
                    request_deserializer=pb.HealthCheckRequest.FromString,
                    response_serializer=pb.HealthCheckResponse.SerializeToString,
                ),
                "ExecuteDagPart": grpc.unary_stream_rpc_method_handler(
                    self.execute_dag_part,
                    request_deserializer=pb.ExecutionRequest.FromString,
                    response_serializer=pb.ExecutionResult.SerializeToString,
                ),
            },
        )

    async def health_check(self, request: pb.HealthCheckRequest, context: Any) -> pb.HealthCheckResponse:  # noqa: ARG002
        """Answer a heartbeat."""
        self.heard.set()
        memory, cpu, uptime = self._meter.read()
        response = pb.HealthCheckResponse(
            metrics=pb.ProcessorMetrics(
                active_tasks=self.active, memory_bytes=memory, cpu_percent=cpu, uptime_seconds=uptime
            )
        )
        if self.phase is Phase.SERVING:
            response.status = pb.HealthCheckResponse.STATUS_SERVING
            return response
        broken = self.phase is Phase.BROKEN
        states = pb.HealthCheckResponse
        response.status = states.STATUS_NOT_SERVING if broken else states.STATUS_TRANSITIONING
        response.message = self.phase.value
        return response

    async def execute_dag_part(self, request: pb.ExecutionRequest, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        """Run the algorithms of a request at the same time and stream each result as soon as it is there.

        Those that this processor does not have end the stream with UNIMPLEMENTED, after the results of the others.
        """
        if not request.exec_id or not request.HasField("window"):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "exec_id and window are required")
        tasks, unknown = self._tasks(request)
        try:
            if len(tasks) == 1:
                await context.write(await self._perform(request, tasks[0]))
            else:
                await self._perform_all(request, tasks, context.write)
        except BrokenExecutor as error:
            self.phase = Phase.BROKEN
            self._broken(error)
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"the executor of this processor is broken: {error}")
        if unknown:
            names = ", ".join(unknown)
            _log.error(
                "asked for %s, which this processor does not have; is another one registered at its address?", names
            )
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"this processor does not have {names}")

    def _tasks(self, request: pb.ExecutionRequest) -> tuple[list[_Task], list[str]]:
        """Read what is asked for from the request's fields, or from the deprecated ones if only these are filled."""
        tasks: list[_Task] = []
        unknown: list[str] = []
        for asked in request.algorithm_executions:
            self._find(asked.algorithm, asked, tasks, unknown)
        if tasks or unknown:
            return tasks, unknown
        results = DeprecatedResults(request)
        for planned in request.algorithms:
            self._find(planned, pb.ExecuteAlgorithm(algorithm=planned), tasks, unknown)
        for task in tasks:
            results.add(task.asked.algorithm, task.algorithm)
        return [task._replace(asked=results.execution(task.asked.algorithm, task.algorithm)) for task in tasks], unknown

    def _find(self, named: pb.Algorithm, asked: pb.ExecuteAlgorithm, tasks: list[_Task], unknown: list[str]) -> None:
        algorithm = self._algorithms.get((named.name, named.version))
        if algorithm is None:
            unknown.append(f"{named.name} {named.version}")
        else:
            tasks.append(_Task(algorithm, asked))

    async def _perform_all(
        self,
        request: pb.ExecutionRequest,
        tasks: list[_Task],
        write: Callable[[pb.ExecutionResult], Awaitable[None]],
    ) -> None:
        running = [asyncio.ensure_future(self._perform(request, task)) for task in tasks]
        try:
            for finished in asyncio.as_completed(running):
                await write(await finished)
        finally:
            for work in running:
                work.cancel()

    async def _perform(self, request: pb.ExecutionRequest, task: _Task) -> pb.ExecutionResult:
        """Run one algorithm in its turn. Being cancelled cancels it."""
        algorithm, cancellation = task.algorithm, Cancellation()
        async with self._slots:
            self.active += 1
            try:
                if algorithm.is_async:
                    outcome = await execute_async(
                        algorithm, request.window, task.asked, self._emitter, cancellation, request.exec_id
                    )
                elif algorithm in self._references:
                    outcome = await self._execute_elsewhere(request, task)
                else:
                    loop = asyncio.get_running_loop()
                    executor = algorithm.executor or self._executor
                    arguments = (algorithm, request.window, task.asked, self._emitter, cancellation, request.exec_id)
                    outcome = await loop.run_in_executor(executor, execute, *arguments)
            except asyncio.CancelledError:
                cancellation.cancelled = True
                raise
            finally:
                self.active -= 1
        return _answer(request, algorithm, outcome)

    async def _execute_elsewhere(self, request: pb.ExecutionRequest, task: _Task) -> Outcome:
        """Run an algorithm on an executor that does not share this process's memory."""
        reference = self._references[task.algorithm]
        window, asked = request.window.SerializeToString(), task.asked.SerializeToString()
        try:
            executor = task.algorithm.executor or self._executor
            core = settings_for(executor, self._core)
            future: Future[bytes] = executor.submit(execute_bytes, reference, window, asked, request.exec_id, core)
            result = pb.Result.FromString(await asyncio.wrap_future(future))
        except (BrokenExecutor, asyncio.CancelledError):
            raise
        except Exception as error:  # whatever an executor raises is the algorithm's failure
            return failed(error), error
        return result, None


def _shares_memory(executor: Executor) -> bool:
    return isinstance(executor, (ThreadPoolExecutor, Threads))


def _answer(request: pb.ExecutionRequest, algorithm: Algorithm[Any], outcome: Outcome) -> pb.ExecutionResult:
    result, error = outcome
    if result.status != pb.RESULT_STATUS_SUCEEDED:
        _report(request.window, algorithm, result, error)
    window = request.window
    # The window's metadata stays away: it can be large, and is not to be stored in part.
    return pb.ExecutionResult(
        exec_id=request.exec_id,
        algorithm_result=pb.AlgorithmResult(
            algorithm=pb.Algorithm(name=algorithm.id.name, version=algorithm.id.version),
            result=result,
            window=pb.Window(
                time_from=window.time_from,
                time_to=window.time_to,
                window_type_name=window.window_type_name,
                window_type_version=window.window_type_version,
                origin=window.origin,
            ),
        ),
    )


def _report(window: pb.Window, algorithm: Algorithm[Any], result: pb.Result, error: BaseException | None) -> None:
    """Write down what the developer of an algorithm wants to see. The core gets the same in the result."""
    handled = result.status == pb.RESULT_STATUS_HANDLED_FAILED
    begin, end = interval_of(window)
    _log.log(
        logging.DEBUG if handled else logging.WARNING,
        "%s failed for %s to %s: %s",
        algorithm.id,
        text_of(begin),
        text_of(end),
        result.error.fields["message"].string_value,
        exc_info=None if isinstance(error, Failure) else error,
    )
