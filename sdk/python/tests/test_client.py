"""Clients and registration beside a core that plays along, and beside real ones that come and go."""

from __future__ import annotations

import asyncio
import logging
import pickle
import traceback
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import pytest
from conftest import RealCore, StartCore, client_of
from direct import lap, run, window
from google.protobuf.any_pb2 import Any as Any_
from google.protobuf.duration_pb2 import Duration

import orca
from orca._announce import Announcer
from orca._connection import Connection
from orca._contract import service_pb2 as pb
from orca._errors import call_error
from orca._retry import Pauses, asked_delay
from orca._settings import CoreOptions, look, resolve_core


def retry_info(seconds: float) -> bytes:
    """Give a google.rpc.Status with a RetryInfo, as cores attach it."""

    def block(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2, len(content)]) + content

    duration = Duration(nanos=int(seconds * 1e9)).SerializeToString()
    detail = Any_(type_url="type.googleapis.com/google.rpc.RetryInfo", value=block(1, duration))
    return b"\x08\x08" + block(3, detail.SerializeToString())


RETRY = retry_info(0.02)


@dataclass
class FakeCore:
    """Answers emits and registrations as it is told, and keeps what it was asked."""

    answers: list[tuple[grpc.StatusCode, str, bytes]] = field(default_factory=list[Any])
    emitted: list[tuple[pb.Window, str]] = field(default_factory=list[Any])
    registered: list[pb.ProcessorRegistration] = field(default_factory=list[Any])
    tokens: list[str] = field(default_factory=list[str])
    known: list[bool] = field(default_factory=list[bool])
    address: str = ""

    async def _refuse(self, context: Any) -> None:
        metadata = dict(context.invocation_metadata())
        self.tokens.append(metadata.get("authorization", ""))
        if self.answers:
            code, words, details = self.answers.pop(0)
            if details:
                context.set_trailing_metadata((("grpc-status-details-bin", details),))
            await context.abort(code, words)

    async def emit(self, request: pb.Window, context: Any) -> pb.WindowEmitStatus:
        self.emitted.append((request, dict(context.invocation_metadata())["idempotency-key"]))
        await self._refuse(context)
        await context.send_initial_metadata((("orca-window-id", "w-1"),))
        return pb.WindowEmitStatus(status=pb.WindowEmitStatus.PROCESSING_TRIGGERED)

    async def register(self, request: pb.ProcessorRegistration, context: Any) -> pb.Status:
        self.registered.append(request)
        await self._refuse(context)
        return pb.Status(received=True)

    async def expose(self, request: pb.ExposeSettings, context: Any) -> pb.InternalState:
        known = self.known.pop(0) if self.known else True
        return pb.InternalState(processors=self.registered[-1:] if known else [])


def serialized(message: Any) -> bytes:
    return message.SerializeToString()


@asynccontextmanager
async def fake_core() -> AsyncGenerator[FakeCore]:
    core = FakeCore()
    methods = {
        "EmitWindow": (core.emit, pb.Window),
        "RegisterProcessor": (core.register, pb.ProcessorRegistration),
        "Expose": (core.expose, pb.ExposeSettings),
    }
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(
            method, request_deserializer=kind.FromString, response_serializer=serialized
        )
        for name, (method, kind) in methods.items()
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("OrcaCore", handlers),))
    core.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield core
    await server.stop(0)


BUSY = (grpc.StatusCode.RESOURCE_EXHAUSTED, "too many", RETRY)
AWAY = (grpc.StatusCode.UNAVAILABLE, "outcome unknown", b"")


def test_an_emit_is_repeated_under_its_key() -> None:
    async def work() -> None:
        async with fake_core() as core, orca.AsyncClient(core.address, token="t", environment=False) as client:
            core.answers = [AWAY, BUSY]
            emission = await client.emit(window())
            assert emission == orca.Emission("w-1", orca.EmitStatus.PROCESSING_TRIGGERED)
            await client.emit(window())
            await client.emit(window(), idempotency_key="mine")
        keys = [key for _, key in core.emitted]
        assert keys[0] == keys[1] == keys[2] != keys[3]
        assert keys[4] == "mine"
        assert all(sent == window().message() for sent, _ in core.emitted)
        assert core.tokens == ["Bearer t"] * 5

    run(work)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, orca.InvalidError),
        (grpc.StatusCode.NOT_FOUND, orca.NotFoundError),
        (grpc.StatusCode.ALREADY_EXISTS, orca.ConflictError),
        (grpc.StatusCode.FAILED_PRECONDITION, orca.ConflictError),
        (grpc.StatusCode.UNAUTHENTICATED, orca.UnauthorizedError),
        (grpc.StatusCode.INTERNAL, orca.CallError),
    ],
)
def test_what_is_refused_is_not_repeated(code: grpc.StatusCode, kind: type[orca.OrcaError]) -> None:
    async def work() -> None:
        async with fake_core() as core, orca.AsyncClient(core.address, environment=False) as client:
            core.answers = [(code, "the core's words", b"")]
            with pytest.raises(kind) as caught:
                await client.emit(window())
            error: Any = caught.value
            assert isinstance(error, orca.CallError)
            assert str(error).startswith(f"emit window Lap 1.0.0 at {core.address}: the core's words")
            assert (error.code, error.attempts, len(core.emitted)) == (code.name, 1, 1)

    run(work)


def test_giving_up() -> None:
    async def work() -> None:
        async with orca.AsyncClient("127.0.0.1:1", timeout=0.2, environment=False) as client:
            with pytest.raises(orca.UnavailableError, match=r"emit window Lap .* at 127.0.0.1:1: .*is a core running"):
                await client.emit(window())
            with pytest.raises(TimeoutError, match="window w-1 has no finished run after 0.1 s"):
                await client.wait("w-1", timeout=0.1)
            for wrong in (client.wait(""), client.outcome("w", -1), client.cancel("")):
                with pytest.raises(orca.InvalidError):
                    await wrong

    run(work)


def test_pauses() -> None:
    pauses = Pauses(0.1, 5.0)
    assert [pauses.pause(n, 0.0) for n in (1, 2, 3, 7, 1000)] == [0.05, 0.1, 0.2, 2.5, 2.5]
    assert pauses.pause(1, 0.5) == pytest.approx(0.075)
    assert asked_delay(ValueError()) is None


def test_the_delay_that_a_server_asks_for() -> None:
    class Refusal(grpc.RpcError):
        def trailing_metadata(self) -> Any:
            return (("grpc-status-details-bin", RETRY),)

    assert asked_delay(Refusal()) == pytest.approx(0.02)
    pause = Pauses(0.01, 0.01).after(1, Refusal())
    assert 0.02 <= pause <= 0.031


def registration() -> pb.ProcessorRegistration:
    return orca.Processor("racing").registration("127.0.0.1:5")


def test_a_processor_registers_until_the_core_is_there_and_again_when_it_is_forgotten() -> None:
    async def work() -> None:
        async with fake_core() as core:
            core.answers = [AWAY, BUSY]
            core.known = [True, False, True]
            accepted: asyncio.Queue[int] = asyncio.Queue()
            connection = Connection(resolve_core(CoreOptions(core.address), look(environment=False)))
            announcer = Announcer(
                registration(),
                connection,
                heard=asyncio.Event(),
                back=asyncio.Event(),
                starting=lambda: None,
                accepted=lambda: accepted.put_nowait(len(core.registered)),
                silence=0.01,  # nothing is heard, so the core is asked: it knows, then it does not
            )
            task = asyncio.create_task(announcer.run())
            assert (await accepted.get(), await accepted.get()) == (3, 4)
            task.cancel()
            await connection.close()

    run(work)


def test_a_core_that_hears_a_processor_is_not_asked() -> None:
    async def work() -> None:
        async with fake_core() as core:
            core.known = [False]
            heard, accepted = asyncio.Event(), asyncio.Event()
            connection = Connection(resolve_core(CoreOptions(core.address), look(environment=False)))
            announcer = Announcer(
                registration(), connection, heard, asyncio.Event(), lambda: None, accepted.set, silence=5.0
            )
            task = asyncio.create_task(announcer.run())
            await accepted.wait()
            for _ in range(20):
                heard.set()
                await asyncio.sleep(0.005)
            assert (core.known, len(core.registered)) == ([False], 1)
            task.cancel()
            await connection.close()

    run(work)


def test_a_refused_registration_ends_the_processor() -> None:
    async def work() -> None:
        async with fake_core() as core:
            proc = orca.Processor("racing", core=core.address, listen="127.0.0.1:0", environment=False)
            core.answers = [(grpc.StatusCode.FAILED_PRECONDITION, "bump the version", b"")] * 2
            with pytest.raises(orca.ConflictError, match="register processor racing at .*: bump the version"):
                await proc.serve()
            async with proc:
                with pytest.raises(orca.ConflictError):
                    await proc.registered()

    run(work)


def counting(core: RealCore) -> orca.Processor:
    proc = orca.Processor("racing", core=core.address, listen="127.0.0.1:0", environment=False)

    @proc.algorithm("Seconds", "1.0.0", lap)
    def seconds(run: orca.Run) -> float:
        return run.window.time_from % 1000

    return proc


def test_a_core_that_comes_back_without_its_store_is_told_again(
    start_core: StartCore, caplog: pytest.LogCaptureFixture
) -> None:
    core = start_core()
    proc = counting(core)

    async def work() -> None:
        async with proc, orca.AsyncClient(core.address, environment=False) as client:
            await proc.registered()
            await client.wait(await client.emit(window(1)))
            core.kill()
            start_core(grpc=core.address, store="other.db")
            while True:
                try:
                    emission = await client.emit(window(2))
                    break
                except orca.NotFoundError:  # until the processor has registered again
                    await asyncio.sleep(0.02)
            assert (await client.wait(emission))[proc.algorithms[0]] == 2

    with caplog.at_level(logging.WARNING, "orca"):
        run(work)
    assert "the core does not know processor racing any more; registering again" in caplog.text


def test_waiting_across_a_restart_of_the_core(start_core: StartCore) -> None:
    core = start_core()
    release = asyncio.Event()
    started = asyncio.Event()
    proc = orca.Processor("racing", core=core.address, listen="127.0.0.1:0", environment=False)

    @proc.algorithm("Slow", "1.0.0", lap)
    async def slow(run: orca.Run) -> float:
        started.set()
        await release.wait()
        return 7

    async def work() -> None:
        async with proc, orca.AsyncClient(core.address, environment=False) as client:
            await proc.registered()
            waiting = asyncio.create_task(client.wait(await client.emit(window(1))))
            await started.wait()
            core.kill()
            release.set()
            start_core(grpc=core.address)
            assert (await waiting)[slow] == 7

    run(work)


def test_reruns_inputs_and_pages(core: RealCore) -> None:
    proc = orca.Processor("racing", core=core.address, listen="127.0.0.1:0", environment=False)
    good: list[bool] = []

    @proc.algorithm("Seconds", "1.0.0", lap)
    def seconds(run: orca.Run) -> float:
        return run.window.time_from % 1000

    @proc.algorithm("Sum", "1.0.0", lap, needs=[seconds.last(1)])
    def total(run: orca.Run) -> float:
        if not good:
            raise orca.Failure("not yet", {"why": "bad"})
        return sum(run[seconds].values)

    async def work() -> None:
        async with proc, orca.AsyncClient(core.address, environment=False) as client:
            await proc.registered()
            first = await client.emit(window(1))
            emission = await client.emit(window(2))
            outcome = await client.wait(emission)
            with pytest.raises(orca.NoResultError, match="no result of Sum .* handled failure: not yet"):
                outcome[total]
            with pytest.raises(orca.NoResultError, match="run of window .* failed\nSum 1.0.0 of racing: handled"):
                outcome.check()
            assert outcome.node(total).error == {"message": "not yet", "details": {"why": "bad"}}
            good.append(True)
            rerun = await client.retry(emission)
            assert (await client.outcome(emission, rerun.revision)).check()[total] == 3
            assert (await client.outcome(emission, 1)).state is orca.RunState.FAILED
            given = await client.inputs(emission, algorithms=(total,))
            assert [(g.of, g.row.value, g.current, str(g.lookback)) for g in given] == [
                (seconds.id, 2, True, "last 1"),
                (seconds.id, 1, False, "last 1"),
            ]
            again = await client.reprocess(first)
            assert (again.revision, again.status) == (2, orca.EmitStatus.PROCESSING_TRIGGERED)
            await client.wait(first)
            assert set((await client.freshness(emission)).values()) <= set(orca.Freshness)
            with pytest.raises(orca.ConflictError):
                await client.cancel(emission)
            with pytest.raises(orca.NotFoundError):
                await client.wait("nowhere")

    run(work)


def test_the_client_without_a_loop(core: RealCore) -> None:
    proc = counting(core)

    async def serve(stop: asyncio.Event, ready: asyncio.Event) -> None:
        async with proc:
            await proc.registered()
            ready.set()
            await stop.wait()

    def use() -> None:
        with client_of(core) as client:
            emissions = [client.emit(window(i)) for i in range(520)]
            assert client.wait(emissions[-1], timeout=60)[proc.algorithms[0]] == 519
            for emission in emissions:
                client.wait(emission)
            values = [row.value for row in client.iter_results(proc.algorithms[0])]
            assert values == list(reversed(range(520)))  # more than a page
            some = client.results(proc.algorithms[0], 10**18 + 10, 10**18 + 12)
            assert some.values == [11, 10]
            client.inputs(emissions[0])
            client.freshness(emissions[0])
            client.outcome(emissions[0], 1)
            assert client.reprocess(emissions[0]).revision == 2
            client.wait(emissions[0])
            with pytest.raises(orca.ConflictError):
                client.cancel(emissions[0])
        with pytest.raises(orca.InvalidError, match="the client is closed"):
            client.emit(window())

    async def work() -> None:
        stop, ready = asyncio.Event(), asyncio.Event()
        serving = asyncio.create_task(serve(stop, ready))
        await ready.wait()
        try:
            await asyncio.to_thread(use)
        finally:
            stop.set()
            await serving

    run(work)


def test_emitting_from_algorithms(core: RealCore) -> None:
    inner = orca.WindowType("Inner", "1.0.0")
    proc = orca.Processor("racing", core=core.address, listen="127.0.0.1:0", environment=False)

    @proc.algorithm("Plain", "1.0.0", lap)
    def plain(run: orca.Run) -> dict[str, Any]:
        emission = run.emit(orca.Window(inner, 1, 2, origin="plain"), idempotency_key="p")
        return {"id": emission.window_id}

    @proc.algorithm("Async", "1.0.0", lap)
    async def awaits(run: orca.Run) -> dict[str, Any]:
        with pytest.raises(orca.InvalidError, match="must not block; use: await run.emit_async"):
            run.emit(run.window)
        return {"id": (await run.emit_async(orca.Window(inner, 1, 2, origin="async"))).window_id}

    @proc.algorithm("Origin", "1.0.0", inner)
    def origin(run: orca.Run) -> dict[str, Any]:
        return {"origin": run.window.origin}

    async def work() -> None:
        async with proc, orca.AsyncClient(core.address, environment=False) as client:
            await proc.registered()
            outcome = (await client.wait(await client.emit(window()))).check()
            nested = [(await client.wait(outcome[a]["id"]))[origin]["origin"] for a in (plain, awaits)]
            assert nested == ["plain", "async"]

    run(work)


def test_errors_show_the_names_that_programs_catch() -> None:
    error = call_error("emit window Lap 1.0.0", "core:1", 2, "NOT_FOUND", "no such type")
    assert isinstance(error, orca.NotFoundError)
    assert traceback.format_exception_only(error) == [
        "orca.NotFoundError: emit window Lap 1.0.0 at core:1: no such type (after 2 attempts)\n"
    ]
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
