"""An Orca processor made from the generated stubs alone, as peers without our SDKs are.

The README of conformance/bare says what the programs of all languages do; this one is the Python one.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import json_format
from orca_contract import service_pb2 as pb
from orca_contract import service_pb2_grpc as rpc


def registration(name: str, address: str) -> pb.ProcessorRegistration:
    reading = pb.WindowType(
        name="Reading",
        version="1.0.0",
        description="A stretch of readings of one asset",
        metadataFields=[pb.MetadataField(name="asset", description="The asset that was read")],
    )

    def algorithm(algorithm: str, description: str, result_type: pb.ResultType, *dependencies: str) -> pb.Algorithm:
        return pb.Algorithm(
            name=algorithm,
            version="1.0.0",
            window_type=reading,
            result_type=result_type,
            description=description,
            dependencies=[
                pb.AlgorithmDependency(
                    name=d, version="1.0.0", processor_name=name, processor_runtime=sys.version
                )
                for d in dependencies
            ],
        )

    return pb.ProcessorRegistration(
        name=name,
        runtime=sys.version,  # all of it, line breaks included, as the existing Python SDK sends it
        connection_str=f"grpc://{address}",
        supported_algorithms=[
            algorithm("Mean", "The mean of the readings", pb.VALUE),
            algorithm("Spread", "The lowest and the highest reading", pb.ARRAY, "Mean"),
            algorithm("Report", "A report for people", pb.STRUCT, "Mean", "Spread"),
        ],
    )


@dataclass
class Dependency:
    name: str
    version: str
    rows: list[pb.AlgorithmDependencyResultRow]


@dataclass
class Task:
    """One algorithm to run, with what it is given, whichever fields of the request said so."""

    name: str
    version: str
    window: pb.Window
    dependencies: list[Dependency] = field(default_factory=list)
    self_rows: list[pb.AlgorithmDependencyResultRow] = field(default_factory=list)


def new_fields(request: pb.ExecutionRequest) -> list[Task]:
    return [
        Task(
            e.algorithm.name,
            e.algorithm.version,
            request.window,
            [Dependency(d.algorithm.name, d.algorithm.version, list(d.result)) for d in e.dependencies],
            list(e.selfResults),
        )
        for e in request.algorithm_executions
    ]


def old_fields(request: pb.ExecutionRequest) -> list[Task]:
    """Read a request as processors did before algorithm_executions.

    Every algorithm finds its dependencies among the results of the whole request, by name and version.
    """

    def rows(name: str, version: str) -> list[pb.AlgorithmDependencyResultRow]:
        return [
            pb.AlgorithmDependencyResultRow(result=r.result, window=r.window)
            for r in request.algorithm_results
            if (r.algorithm.name, r.algorithm.version) == (name, version)
        ]

    return [
        Task(
            a.name,
            a.version,
            request.window,
            [Dependency(d.name, d.version, rows(d.name, d.version)) for d in a.dependencies],
        )
        for a in request.algorithms
    ]


class Processor(rpc.OrcaProcessorServicer):
    def __init__(self, read: Callable[[pb.ExecutionRequest], list[Task]]) -> None:
        self._read = read
        self._started = time.monotonic()

    def HealthCheck(self, request: pb.HealthCheckRequest, context: grpc.ServicerContext) -> pb.HealthCheckResponse:
        return pb.HealthCheckResponse(
            status=pb.HealthCheckResponse.STATUS_SERVING,
            message="serving",
            metrics=pb.ProcessorMetrics(uptime_seconds=int(time.monotonic() - self._started)),
        )

    def ExecuteDagPart(
        self, request: pb.ExecutionRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.ExecutionResult]:
        for task in self._read(request):
            print_line(report(task, request.exec_id))
            # No window, and of the algorithm only what names it: so old SDKs answer.
            yield pb.ExecutionResult(
                exec_id=request.exec_id,
                algorithm_result=pb.AlgorithmResult(
                    algorithm=pb.Algorithm(name=task.name, version=task.version),
                    result=execute(task),
                ),
            )


def execute(task: Task) -> pb.Result:
    """Compute a number that shows what was given.

    It is the seconds of the window and the newest result of each dependency, added up.
    """
    n = (nanoseconds(task.window.time_to) - nanoseconds(task.window.time_from)) / 1e9
    for d in task.dependencies:
        if not d.rows:
            return failure(f"{task.name} was given no result of {d.name}")
        n += number(d.rows[0].result)
    result = pb.Result(status=pb.RESULT_STATUS_SUCEEDED, timestamp=int(time.time()))
    if task.name == "Mean":
        result.single_value = n
    elif task.name == "Spread":
        result.float_values.values.extend([n - 1, n + 1])
    elif task.name == "Report":
        result.struct_value["asset"] = task.window.metadata["asset"]
        result.struct_value["value"] = n
    else:
        return failure(f"there is no algorithm {task.name}")
    return result


def number(result: pb.Result) -> float:
    """A single value, or the sum of an array."""
    return result.single_value + sum(result.float_values.values)


def failure(message: str) -> pb.Result:
    result = pb.Result(status=pb.RESULT_STATUS_UNHANDLED_FAILED, timestamp=int(time.time()))
    result.error["message"] = message
    return result


def report(task: Task, exec_id: str) -> dict[str, Any]:
    """The line that says what the task was given."""
    return {
        "executed": task.name,
        "version": task.version,
        "execId": exec_id,
        "window": window(task.window),
        "dependencies": [
            {"name": d.name, "version": d.version, "rows": [row(r) for r in d.rows]} for d in task.dependencies
        ],
        "self": [row(r) for r in task.self_rows],
    }


def row(r: pb.AlgorithmDependencyResultRow) -> dict[str, Any]:
    out: dict[str, Any] = {"window": window(r.window), "status": r.result.status}
    data = r.result.WhichOneof("result_data")
    if data == "single_value":
        out["value"] = r.result.single_value
    elif data == "float_values":
        out["array"] = list(r.result.float_values.values)
    elif data == "struct_value":
        out["struct"] = json_format.MessageToDict(r.result.struct_value)
    return out


def window(w: pb.Window) -> dict[str, Any]:
    """Times go as text, in nanoseconds since the epoch: JSON's numbers do not hold them in every language."""
    return {
        "type": w.window_type_name,
        "version": w.window_type_version,
        "origin": w.origin,
        "from": str(nanoseconds(w.time_from)),
        "to": str(nanoseconds(w.time_to)),
        "metadata": json_format.MessageToDict(w.metadata),
    }


def nanoseconds(t: Any) -> int:
    return t.seconds * 1_000_000_000 + t.nanos


_printing = threading.Lock()  # calls run at the same time


def print_line(line: Any) -> None:
    with _printing:
        print(json.dumps(line), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--core", default=os.environ.get("ORCA_CORE"), help="host:port of the core")
    parser.add_argument("--name", default="bare-python", help="name of this processor")
    parser.add_argument("--fields", choices=["new", "old"], default="new", help="request fields to read")
    args = parser.parse_args()

    # Taken by sigwait below. A handler would run only when the main thread wakes up, which a signal that comes just
    # before it begins to wait does not see to.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    server = grpc.server(futures.ThreadPoolExecutor(max_workers=32))
    rpc.add_OrcaProcessorServicer_to_server(Processor(new_fields if args.fields == "new" else old_fields), server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        with grpc.insecure_channel(args.core) as channel:
            status = rpc.OrcaCoreStub(channel).RegisterProcessor(registration(args.name, address), timeout=10)
    except grpc.RpcError as e:
        print(f"processor: register at the core at {args.core}: {e.details()}", file=sys.stderr)
        return 1
    if not status.received:
        print(f"processor: the core did not take the registration: {status.message}", file=sys.stderr)
        return 1
    print_line({"listening": address})
    signal.sigwait({signal.SIGTERM})
    server.stop(grace=10).wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
