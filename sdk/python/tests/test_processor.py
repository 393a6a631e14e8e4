"""Processors beside a real core: what algorithms are given, what becomes of what they give."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import direct
import pytest
from conftest import RealCore, client_of, wait_for_processor

import orca
from orca._threads import Threads

reading = orca.WindowType(
    "Reading",
    "1.0.0",
    description="A second of one asset",
    fields=[orca.Field("asset", str, filter=True), orca.Field("secret", str, nullable=True, no_store=True)],
)

SECOND = 1_000_000_000
EPOCH = 1_700_000_000 * SECOND


def window(i: int, asset: str = "pump", secret: str | None = None) -> orca.Window:
    begin = EPOCH + i * SECOND + 1
    return orca.Window(reading, begin, begin + SECOND, origin="test", metadata={"asset": asset, "secret": secret})


def processor(core: RealCore, name: str = "plant", **options: Any) -> orca.Processor:
    return orca.Processor(name, core=core.address, listen="127.0.0.1:0", environment=False, **options)


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), 100))


def test_two_algorithms_on_each_other(core: RealCore) -> None:
    proc = processor(core)

    @proc.algorithm("Number", "1.0.0", reading)
    def number(run: orca.Run) -> float:
        return float(run.window.metadata["asset"].removeprefix("a"))

    @proc.algorithm("Report", "1.0.0", reading, needs=[number.last(2)], needs_self=orca.last(1))
    async def report(run: orca.Run) -> dict[str, Any]:
        rows = run[number]
        return {
            "now": rows.value,
            "values": rows.values,
            "ages": [row.age_ns for row in rows],
            "own": [row.value["now"] for row in run[report]],
            "from": str(run.window.time_from),
        }

    async def work() -> None:
        async with proc, orca.AsyncClient(core.address, environment=False) as client:
            await proc.registered()
            outcomes = [await client.wait(await client.emit(window(i, "a1"))) for i in range(3)]
            outcome = outcomes[-1]
            assert outcome.check()[report] == {
                "now": 1.0,
                "values": [1.0, 1.0, 1.0],
                "ages": [0.0, SECOND, 2 * SECOND],
                "own": [1.0],
                "from": str(EPOCH + 2 * SECOND + 1),
            }
            rows = await client.results(report)
            assert [row.window.time_from for row in rows] == [EPOCH + i * SECOND + 1 for i in (2, 1, 0)]
            assert rows[0].value == outcome[report]
            assert "secret" not in rows[0].window.metadata

    run(work)


def test_an_algorithm_that_does_not_end_does_not_hold_up_the_end_of_the_program(core: RealCore, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    command = [sys.executable, str(Path(__file__).with_name("stubborn.py")), core.address, str(begun)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    try:
        wait_for_processor(core, "racing", 1)
        with client_of(core) as client:
            client.emit(direct.window())
        while not begun.exists():
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate()
        assert process.returncode == 0
        assert "processor racing stops with 1 unfinished algorithms after 0.1 s" in errors
    finally:
        process.kill()
        process.wait()


def test_threads_do_what_is_submitted_and_no_more() -> None:
    threads, running, go = Threads(2, "test"), threading.Semaphore(0), threading.Event()

    def work(number: int) -> int:
        running.release()
        go.wait()
        return number

    first = [threads.submit(work, i) for i in range(2)]
    for _ in first:
        running.acquire()
    waiting = threads.submit(work, 2)
    last = threads.submit(work, 3)
    assert waiting.cancel()
    go.set()
    assert [f.result() for f in first] == [0, 1]
    assert last.result() == 3
    failed = threads.submit(lambda: 1 // 0)
    assert isinstance(failed.exception(), ZeroDivisionError)
    threads.shutdown()
    with pytest.raises(RuntimeError, match="test is shut down"):
        threads.submit(work, 4)
