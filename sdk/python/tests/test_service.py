"""What a processor answers to a core, called directly."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import grpc
import pytest
from direct import Peer, lap, processor, request, run, serving, window

import orca
from orca._contract import service_pb2 as pb


def test_failures() -> None:
    proc = processor()

    class Strange(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    def algorithm(name: str, error: BaseException | None, value: Any = None) -> None:
        @proc.algorithm(name, "1.0.0", lap)
        def fails(run: orca.Run) -> float:
            if error is not None:
                raise error
            return value

    algorithm("Handled", orca.Failure("too cold", {"celsius": -3.5, "why": None}))
    algorithm("Bare", orca.Failure("just so"))
    algorithm("Unsendable", orca.Failure("too cold", {"what": object()}))
    algorithm("Big", orca.Failure("x" * 100_000, {"much": "x" * (5 << 20)}))
    algorithm("Raised", ValueError("not a number\ud800"))
    algorithm("Exit", SystemExit(3))
    algorithm("Strange", Strange())
    algorithm("Wrong", None, "text")

    async def work() -> None:
        async with serving(proc) as peer:
            results = await peer.results(request(*(a.id.name for a in proc.algorithms)))
        handled, unhandled = pb.RESULT_STATUS_HANDLED_FAILED, pb.RESULT_STATUS_UNHANDLED_FAILED
        assert {name: result.status for name, result in results.items()} == {
            **dict.fromkeys(["Handled", "Bare", "Unsendable", "Big"], handled),
            **dict.fromkeys(["Raised", "Exit", "Strange", "Wrong"], unhandled),
        }
        errors = {name: result.error.fields for name, result in results.items()}
        assert errors["Handled"]["message"].string_value == "too cold"
        assert dict(errors["Handled"]["details"].struct_value.fields)["celsius"].number_value == -3.5
        assert set(errors["Bare"]) == {"message"}
        assert errors["Unsendable"]["details"].string_value.startswith("these details cannot be sent: field 'what'")
        assert len(errors["Big"]["message"].string_value) == 65537
        assert "left out" in errors["Big"]["details"].string_value
        assert errors["Raised"]["message"].string_value == "ValueError: not a number?"
        assert ", in fails" in errors["Raised"]["stack"].string_value
        assert errors["Exit"]["message"].string_value == "SystemExit: 3"
        assert "its text cannot be had, RuntimeError" in errors["Strange"]["message"].string_value
        assert errors["Wrong"]["message"].string_value == "result: 'text' is a str, and a number was announced"

    run(work)


def test_results_stream_as_they_come() -> None:
    proc = processor()
    order: list[str] = []
    second, third = asyncio.Event(), threading.Event()

    @proc.algorithm("First", "1.0.0", lap)
    async def first(run: orca.Run) -> float:
        await second.wait()
        return 1

    @proc.algorithm("Second", "1.0.0", lap)
    def other(run: orca.Run) -> list[float]:
        third.wait()
        return [2]

    @proc.algorithm("Third", "1.0.0", lap)
    def last(run: orca.Run) -> None:
        assert run.exec_id == "x-1"

    async def work() -> None:
        async with serving(proc) as peer:
            async for answer in peer.execute(request("First", "Second", "Third")):
                order.append(answer.algorithm_result.algorithm.name)
                assert answer.exec_id == "x-1"
                assert not answer.algorithm_result.window.HasField("metadata")
                (third if order == ["Third"] else second).set()
        assert order == ["Third", "Second", "First"]

    run(work)


def test_unknown_algorithms_end_the_stream_after_the_others() -> None:
    proc = processor()

    @proc.algorithm("Known", "1.0.0", lap)
    def known(run: orca.Run) -> float:
        return 1

    async def work() -> None:
        async with serving(proc) as peer:
            call = peer.execute(request("Unknown", "Known"))
            seen: list[str] = []
            with pytest.raises(grpc.RpcError) as caught:  # noqa: PT012 (the stream breaks after some answers)
                async for answer in call:
                    seen.append(answer.algorithm_result.algorithm.name)
            assert seen == ["Known"]
            error: Any = caught.value
            assert error.code() is grpc.StatusCode.UNIMPLEMENTED
            assert error.details() == "this processor does not have Unknown 1.0.0"
            with pytest.raises(grpc.RpcError) as caught:
                await peer.results(pb.ExecutionRequest(exec_id="x"))
            error = caught.value
            assert error.code() is grpc.StatusCode.INVALID_ARGUMENT

    run(work)


def test_cancellation() -> None:
    proc = processor()
    started: list[asyncio.Event] = []
    ended: list[str] = []
    both = asyncio.Event()

    @proc.algorithm("Awaits", "1.0.0", lap)
    async def awaits(run: orca.Run) -> float:
        started[0].set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("async")
            if len(ended) == 2:
                both.set()
        return 1

    loop: list[asyncio.AbstractEventLoop] = []

    @proc.algorithm("Looks", "1.0.0", lap)
    def looks(run: orca.Run) -> float:
        loop[0].call_soon_threadsafe(started[1].set)
        while not run.cancelled:
            time.sleep(0.005)
        ended.append("plain")
        if len(ended) == 2:
            loop[0].call_soon_threadsafe(both.set)
        return 1

    async def work() -> None:
        loop.append(asyncio.get_running_loop())
        started.extend([asyncio.Event(), asyncio.Event()])
        async with serving(proc) as peer:
            call = peer.execute(request("Awaits", "Looks"))
            for event in started:
                await event.wait()
            call.cancel()
            await both.wait()
            assert sorted(ended) == ["async", "plain"]
            while (await peer.health(pb.HealthCheckRequest())).metrics.active_tasks:
                pass

    run(work)


def test_concurrency_is_bounded() -> None:
    proc = processor(concurrency=2)
    running: list[int] = []
    most: list[int] = []
    gate = asyncio.Event()

    async def counted(run: orca.Run) -> float:
        running.append(1)
        most.append(len(running))
        if len(most) == 2:
            asyncio.get_running_loop().call_later(0.05, gate.set)
        await gate.wait()
        running.pop()
        return 1

    names = [f"A{i}" for i in range(6)]
    for name in names:
        proc.algorithm(name, "1.0.0", lap)(counted)

    async def work() -> None:
        async with serving(proc) as peer:
            assert len(await peer.results(request(*names))) == 6
        assert max(most) == 2

    run(work)


def test_health() -> None:
    proc = processor()
    started, release = asyncio.Event(), asyncio.Event()

    @proc.algorithm("Slow", "1.0.0", lap)
    async def slow(run: orca.Run) -> float:
        started.set()
        await release.wait()
        return 1

    async def work() -> None:
        async with serving(proc) as peer:
            call = asyncio.create_task(peer.results(request("Slow")))
            await started.wait()
            answer = await peer.health(pb.HealthCheckRequest(timestamp=1))
            assert answer.status == pb.HealthCheckResponse.STATUS_SERVING
            assert answer.metrics.active_tasks == 1
            assert answer.metrics.memory_bytes > 10 << 20
            assert 0 <= answer.metrics.cpu_percent <= 100
            release.set()
            assert (await call)["Slow"].single_value == 1

    run(work)


def test_what_runs_is_finished_when_the_processor_stops() -> None:
    proc = processor()
    started, release = asyncio.Event(), threading.Event()
    loop: list[asyncio.AbstractEventLoop] = []

    @proc.algorithm("Slow", "1.0.0", lap)
    def slow(run: orca.Run) -> float:
        loop[0].call_soon_threadsafe(started.set)
        release.wait()
        return 1

    async def work() -> None:
        loop.append(asyncio.get_running_loop())
        stop = asyncio.Event()
        served = asyncio.create_task(proc.serve(stop))
        await asyncio.sleep(0)  # it listens before it waits for anything
        async with grpc.aio.insecure_channel(proc.address) as channel:
            call = asyncio.create_task(Peer(channel).results(request("Slow")))
            await started.wait()
            stop.set()
            await asyncio.sleep(0.05)  # it has begun to drain by now, or the test shows less
            release.set()
            assert (await call)["Slow"].single_value == 1
        await served

    run(work)


def test_the_drain_ends(caplog: pytest.LogCaptureFixture) -> None:
    proc = processor(drain=0.05)
    started = asyncio.Event()
    cancelled: list[bool] = []

    @proc.algorithm("Endless", "1.0.0", lap)
    async def endless(run: orca.Run) -> float:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        return 1

    async def work() -> None:
        async with serving(proc) as peer:
            call = asyncio.create_task(peer.results(request("Endless")))
            await started.wait()
        with pytest.raises((grpc.RpcError, asyncio.CancelledError)):
            await call
        assert cancelled == [True]

    run(work)


def test_requests_of_older_cores() -> None:
    proc = processor()
    ours, theirs = orca.remote("a", "Speed", "1.0.0", float), orca.remote("b", "Speed", "1.0.0", float)

    @proc.algorithm("Sum", "1.0.0", lap, needs=[theirs, ours])
    def total(run: orca.Run) -> list[float]:
        return [run[theirs].value, run[ours].value]

    def result(value: float) -> pb.AlgorithmResult:
        return pb.AlgorithmResult(
            algorithm=pb.Algorithm(name="Speed", version="1.0.0"),
            result=pb.Result(status=pb.RESULT_STATUS_SUCEEDED, single_value=value),
        )

    async def work() -> None:
        async with serving(proc) as peer:
            old = pb.ExecutionRequest(exec_id="x", window=window().message(), algorithms=[total.message()])
            old.algorithm_results.extend([result(2), result(1)])  # in the order of first need
            assert list((await peer.results(old))["Sum"].float_values.values) == [2, 1]
            del old.algorithm_results[1]  # whose it is cannot be told
            missing = (await peer.results(old))["Sum"]
            assert missing.error.fields["message"].string_value.startswith(
                "NoResultError: Speed 1.0.0 of b has no result for the window of this run"
            ) or missing.error.fields["message"].string_value.startswith("Speed 1.0.0 of b has no result")

    run(work)


def test_a_port_that_is_taken() -> None:
    async def work() -> None:
        async with serving(first):
            second = orca.Processor("other", core="127.0.0.1:1", listen=first.address, environment=False)
            with pytest.raises(
                orca.OrcaError, match="Address already in use; choose another port with PROCESSOR_PORT or listen="
            ):
                async with second:
                    pass
            with pytest.raises(orca.OrcaError, match="processor racing runs already"):
                async with first:
                    pass
            late: Any = first.algorithm("Late", "1.0.0", lap)
            with pytest.raises(orca.InvalidError, match="defined while its processor runs"):
                late(lambda run: 1)

    first = processor()
    run(work)
