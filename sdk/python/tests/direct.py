"""Calls processors without a core, as a core calls them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, cast

import grpc
import grpc.aio

import orca
from orca._contract import service_pb2 as pb

NOWHERE = "127.0.0.1:1"  # a core that is never there

lap = orca.WindowType("Lap", "1.0.0")


def processor(name: str = "racing", **options: Any) -> orca.Processor:
    return orca.Processor(name, core=NOWHERE, listen="127.0.0.1:0", environment=False, **options)


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 100))


def window(i: int = 0) -> orca.Window:
    return orca.Window(lap, 10**18 + i, 10**18 + i + 1, origin="test")


def request(*names: str) -> pb.ExecutionRequest:
    asked = [pb.ExecuteAlgorithm(algorithm=pb.Algorithm(name=name, version="1.0.0")) for name in names]
    return pb.ExecutionRequest(exec_id="x-1", window=window().message(), algorithm_executions=asked)


class Peer:
    """What a core has of a processor."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.execute: Callable[[pb.ExecutionRequest], Any] = cast(
            Any,
            channel.unary_stream(
                "/OrcaProcessor/ExecuteDagPart",
                request_serializer=pb.ExecutionRequest.SerializeToString,
                response_deserializer=pb.ExecutionResult.FromString,
            ),
        )
        self.health: Callable[[pb.HealthCheckRequest], Any] = cast(
            Any,
            channel.unary_unary(
                "/OrcaProcessor/HealthCheck",
                request_serializer=pb.HealthCheckRequest.SerializeToString,
                response_deserializer=pb.HealthCheckResponse.FromString,
            ),
        )

    async def results(self, asked: pb.ExecutionRequest) -> dict[str, pb.Result]:
        return {r.algorithm_result.algorithm.name: r.algorithm_result.result async for r in self.execute(asked)}


@asynccontextmanager
async def serving(proc: orca.Processor) -> AsyncGenerator[Peer]:
    async with proc, grpc.aio.insecure_channel(proc.address) as channel:
        yield Peer(channel)
