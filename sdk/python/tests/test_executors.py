"""Algorithms in other processes: pools and a cluster."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import grpc
import pytest
from conftest import RealCore
from direct import Peer, lap, processor, run, window
from work import die, emits, origin, plant, task, total, where

import orca
from orca._contract import service_pb2 as pb
from orca._settings import CoreOptions, ProcessorOptions, look, resolve_core, with_token_of
from orca._worker import settings_for


def task_window(i: int = 0, seconds: float = 0.0, file: str = "") -> orca.Window:
    begin = 10**18 + i * 10**9
    return orca.Window(task, begin, begin + 10**9, origin="test", metadata={"seconds": seconds, "file": file})


def asked(*names: str, **options: Any) -> pb.ExecutionRequest:
    executions = [pb.ExecuteAlgorithm(algorithm=pb.Algorithm(name=name, version="1.0.0")) for name in names]
    return pb.ExecutionRequest(exec_id="x", window=task_window(**options).message(), algorithm_executions=executions)


def pool(workers: int = 1) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


def on(executor: Executor | None, core: str = "127.0.0.1:1") -> orca.Processor:
    """The processor of module work, run elsewhere."""
    plant.executor = executor
    plant._options = ProcessorOptions(CoreOptions(core, environment=False), listen="127.0.0.1:0")  # pyright: ignore[reportPrivateUsage]
    return plant


async def through_a_core(core: RealCore, executor: Executor, count: int) -> set[int]:
    """Run windows one after the other and give the processes that ran them."""
    proc = on(executor, core.address)
    pids: set[int] = set()
    async with proc, orca.AsyncClient(core.address, environment=False) as client:
        await proc.registered()
        emissions = [await client.emit(task_window(i, file=os.devnull)) for i in range(count)]
        for i, emission in enumerate(emissions):
            outcome = await client.wait(emission)
            if i == 0:
                node = outcome.node(proc.algorithms[5])
                assert node.error is not None
                assert node.reason == "ValueError: not a number"
                assert ", in broken" in node.error["stack"]
                failed = outcome.node(proc.algorithms[4])
                assert (failed.state, failed.error) == (
                    orca.NodeState.HANDLED_FAILED,
                    {"message": "too cold", "details": {"celsius": -3.5}},
                )
            assert outcome[total] == [1.0, min(i, 2)]
            emitted = await client.wait(outcome[emits]["id"])
            pids.add(int(emitted[origin]))
            pids.add(int(outcome[where]["pid"]))
    assert os.getpid() not in pids
    return pids


@pytest.fixture(autouse=True)
def without_death() -> Any:
    """Nobody but one test wants the algorithm that ends its process."""
    every = plant.algorithms
    plant.algorithms = [a for a in every if a is not die]
    yield
    on(None).algorithms = every


def test_a_process_pool(core: RealCore) -> None:
    with pool(2) as executor:
        assert len(asyncio.run(asyncio.wait_for(through_a_core(core, executor, 4), 100))) in (1, 2)


def test_a_dask_cluster(core: RealCore) -> None:
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        workers = {info["pid"] for info in client.run(lambda: {"pid": os.getpid()}).values()}
        pids = asyncio.run(asyncio.wait_for(through_a_core(core, client.get_executor(), 6), 100))
        assert len(workers) == 2
        assert pids <= workers


def test_a_pool_of_forked_processes_is_refused() -> None:
    with (
        ProcessPoolExecutor(mp_context=multiprocessing.get_context("fork")) as executor,
        pytest.raises(orca.InvalidError, match=r"make it with ProcessPoolExecutor\(mp_context=.*spawn"),
    ):
        orca.Processor("plant", executor=executor)


def test_a_token_stays_on_this_machine() -> None:
    core = resolve_core(CoreOptions("10.0.0.1:33670", tls=True, token="secret"), look(environment=False))
    with pool() as executor, ThreadPoolExecutor() as elsewhere:
        assert settings_for(executor, core) == core
        told = settings_for(elsewhere, core)
    assert told == replace(core, token="")
    assert with_token_of(told, {"ORCA_TOKEN": "theirs"}) == replace(core, token="theirs")
    with pytest.raises(orca.InvalidError, match="it would cross the network in plain text"):
        with_token_of(replace(told, tls=None), {"ORCA_TOKEN": "theirs"})


def test_what_other_processes_cannot_find() -> None:
    proc = processor()

    @proc.algorithm("Local", "1.0.0", lap)
    def local(run: orca.Run) -> float:
        return 1

    async def work() -> None:
        with pool() as executor:
            proc.executor = executor
            with pytest.raises(orca.InvalidError) as caught:
                async with proc:
                    pass
        assert str(caught.value) == (
            "Local 1.0.0 of racing is defined inside of 'test_what_other_processes_cannot_find.<locals>.local', where"
            " another process cannot find it; define it at the top level of a module, or run it on threads"
        )

    run(work)


def test_a_broken_pool_ends_the_processor() -> None:
    plant.algorithms.append(die)

    async def work() -> None:
        with pool() as executor:
            proc = on(executor)
            stop = asyncio.Event()
            served = asyncio.create_task(proc.serve(stop))
            await asyncio.sleep(0)  # it listens before it waits for anything
            async with grpc.aio.insecure_channel(proc.address) as channel:
                with pytest.raises(grpc.RpcError) as caught:
                    await Peer(channel).results(asked("Die"))
            error: Any = caught.value
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            with pytest.raises(orca.OrcaError, match="the executor of processor plant is broken"):
                await served

    run(work)


def test_an_executor_for_one_algorithm() -> None:
    assert window().type == lap
    with pytest.raises(orca.InvalidError, match="an async function runs on the event loop"):

        @processor().algorithm("A", "1.0.0", lap, executor=pool())
        async def a(run: orca.Run) -> float:
            return 1
