"""An algorithm that holds the interpreter's lock for 30 seconds. test_holding runs this beside the other tests.

As a program, `holding.py CORE threads|pool`, it is the processor, so that nobody else is held up.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Generator
from concurrent.futures import Executor
from contextlib import contextmanager, nullcontext
from pathlib import Path

from conftest import RealCore
from direct import run
from test_executors import on, pool, task_window
from work import hold

import orca
from orca._connection import Connection
from orca._contract import console_pb2 as console
from orca._settings import CoreOptions, look, resolve_core

SECONDS = 30.0  # twice what a core with its usual heartbeat takes until it believes a processor to be away


@contextmanager
def served(core: RealCore, where: str) -> Generator[None]:
    command = [sys.executable, __file__, core.address, where]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "registered\n"
        yield
        process.communicate()  # the end of its input ends it
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()


async def states_until(core: RealCore, done: asyncio.Task[orca.Outcome]) -> set[str]:
    """Give the states in which the core sees the processor."""
    connection = Connection(resolve_core(CoreOptions(core.address), look(environment=False)))
    states: set[str] = set()
    while not done.done():
        listed = await connection.processors(console.ListProcessorsRequest())
        ((instance,),) = (processor.instances for processor in listed.processors)
        states.add(console.InstanceState.Name(instance.state).removeprefix("INSTANCE_STATE_"))
        await asyncio.sleep(0.1)
    await connection.close()
    return states


async def states_while_held(core: RealCore, file: Path) -> set[str]:
    async with orca.AsyncClient(core.address, environment=False) as client:
        waiting = asyncio.create_task(client.wait(await client.emit(task_window(0, SECONDS, str(file)))))
        while not file.exists():
            await asyncio.sleep(0.01)
        states = await states_until(core, waiting)
        node = (await waiting).node(hold)
        assert (node.state, node.attempts, node.value) == (orca.NodeState.SUCCEEDED, 1, SECONDS)
        after = await client.wait(await client.emit(task_window(1, 0.0, str(file))))
        assert after[hold] == 0
    return states


def test_on_a_pool_heartbeats_are_answered(core: RealCore, tmp_path: Path) -> None:
    async def work() -> None:
        assert await states_while_held(core, tmp_path / "held") == {"SERVING"}

    with served(core, "pool"):
        run(work)


def test_on_threads_the_core_does_not_take_the_call_away(core: RealCore, tmp_path: Path) -> None:
    async def work() -> None:
        assert await states_while_held(core, tmp_path / "held") == {"SERVING", "UNREACHABLE"}

    with served(core, "threads"):
        run(work)


async def serve(core: str, executor: Executor | None) -> None:
    proc = on(executor, core)
    proc.algorithms = [hold]
    async with proc:
        await proc.registered()
        print("registered", flush=True)
        await asyncio.to_thread(sys.stdin.read)


def main() -> None:
    core, where = sys.argv[1:]
    with pool() if where == "pool" else nullcontext() as executor:
        asyncio.run(serve(core, executor))


if __name__ == "__main__":
    main()
