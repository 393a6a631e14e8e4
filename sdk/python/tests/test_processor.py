"""Processors beside a real core: what algorithms are given, what becomes of what they give."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from conftest import RealCore

import orca

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
