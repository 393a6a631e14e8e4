"""Lookbacks in memory: by example, and against a real core."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from conftest import RealCore

import orca
from orca.testing import Core

SECOND = 1_000_000_000
EPOCH = 1_700_000_000 * SECOND

second = orca.WindowType(
    "Second", "1.0.0", fields=[orca.Field("asset", filter=True), orca.Field("secret", no_store=True)]
)
minute = orca.WindowType("Minute", "1.0.0", fields=[orca.Field("asset", filter=True)])
hour = orca.WindowType("Hour", "1.0.0")


def window(on: orca.WindowType, begin: float, end: float, asset: Any = "a", extra: Any = None) -> orca.Window:
    metadata = {"asset": asset, "secret": extra}
    return orca.Window(on, EPOCH + int(begin * SECOND), EPOCH + int(end * SECOND), origin="test", metadata=metadata)


def plant(*needs: Any, on: orca.WindowType = second, own: orca.Lookback | None = None) -> tuple[Any, Any, Core]:
    """A source on seconds, and an algorithm that gives when each row that it was given began, in seconds."""
    proc = orca.Processor("plant")

    @proc.algorithm("Source", "1.0.0", second)
    def source(run: orca.Run) -> float:
        if run.window.metadata["secret"] == "fail":
            raise orca.Failure("asked for")
        return (run.window.time_from - EPOCH) / SECOND

    lookbacks = [need(source) for need in needs]

    @proc.algorithm("Sees", "1.0.0", on, needs=lookbacks, needs_self=own)
    def sees(run: orca.Run) -> dict[str, Any]:
        def begins(rows: orca.Rows[Any]) -> list[float]:
            return [(row.window.time_from - EPOCH) / SECOND for row in rows]

        return {"rows": [begins(run[need].past) for need in lookbacks], "own": begins(run.own)}

    return source, sees, Core(proc)


def seen(core: Core, sees: Any, w: orca.Window) -> list[list[int]]:
    return core.emit(w)[sees]["rows"]


@pytest.mark.parametrize(
    ("need", "want"),
    [
        (lambda s: s, []),
        (lambda s: s.last(0), []),
        (lambda s: s.last(3), [8, 7, 6]),
        (lambda s: s.last(3, gap=2), [6, 5, 4]),
        (lambda s: s.last(100), [8, 7, 6, 5, 4, 3, 2, 1, 0]),
        (lambda s: s.last(2, gap="1ns"), [7, 6]),  # any time gap drops the neighbour
        (lambda s: s.over("3s"), [8, 7, 6]),
        (lambda s: s.over("3500ms"), [8, 7, 6]),  # whole windows
        (lambda s: s.over("3s", gap="2s"), [6, 5, 4]),
        (lambda s: s.over("3s", gap=1), [7, 6]),
        (lambda s: s.over("100000d"), [8, 7, 6, 5, 4, 3, 2, 1, 0]),  # saturates
    ],
)
def test_over_its_own_window_type(need: Any, want: list[float]) -> None:
    _, sees, core = plant(need)
    for i in range(9):
        core.emit(window(second, i, i + 1))
    assert seen(core, sees, window(second, 9, 10)) == [want]


@pytest.mark.parametrize(
    ("need", "want"),
    [
        (lambda s: s, [9]),
        (lambda s: s.last(3), [9, 8, 7]),
        (lambda s: s.newest(gap=2), [7]),
        (lambda s: s.newest(gap="2s"), [7]),
        (lambda s: s.over("3s"), [9, 8, 7]),
        (lambda s: s.over("3s", gap="1ns"), [8, 7]),
    ],
)
def test_over_another_window_type(need: Any, want: list[float]) -> None:
    _, sees, core = plant(need, on=minute)
    for i in range(11):  # the last one ends after the minute
        core.emit(window(second, i, i + 1))
    assert seen(core, sees, window(minute, 0, 10)) == [want]


def test_failures_leave_no_row_and_late_windows_come_in_their_place() -> None:
    source, sees, core = plant(lambda s: s.last(2), own=orca.last(9))
    core.emit(window(second, 1, 2))
    failed = core.emit(window(second, 2, 3, extra="fail"))
    assert failed.state is orca.RunState.FAILED
    assert failed.node(sees).reason == "needs Source 1.0.0, which failed (handled)"
    with pytest.raises(orca.NoResultError, match="skipped: needs Source"):
        failed[sees]
    core.emit(window(second, 4, 5))
    assert core.emit(window(second, 3, 4))[sees] == {"rows": [[1]], "own": [1]}
    assert core.emit(window(second, 5, 6))[sees] == {"rows": [[4, 3]], "own": [4, 3, 1]}
    assert core.results(source).values == [5, 4, 3, 1]


def test_filters_keep_apart() -> None:
    _, sees, core = plant(lambda s: s.last(9))
    values = ["a", None, 0.0, False, "", [0.0], {}, float("nan")]
    for i, value in enumerate(values):
        core.emit(window(second, i, i + 1, asset=value))
    for i, value in enumerate(values):
        assert seen(core, sees, window(second, 100 + i, 101 + i, asset=value)) == [[i]]
    assert seen(core, sees, window(second, 200, 201, asset=-0.0)) == [[102, 2]]


def test_windows_of_one_interval_are_not_each_others_past() -> None:
    _, sees, core = plant(lambda s: s.last(9))
    for _ in range(2):
        assert seen(core, sees, window(second, 1, 3)) == [[]]
    assert seen(core, sees, window(second, 2, 3)) == [[1, 1]]


def test_no_store_values_reach_algorithms_and_no_rows() -> None:
    source, sees, core = plant(lambda s: s.last(1))
    core.emit(window(second, 1, 2, extra="x"))
    assert "secret" not in core.results(source)[0].window.metadata
    assert core.accepted[0].metadata["secret"] == "x"
    assert seen(core, sees, window(second, 2, 3)) == [[1]]


def history(seed: int) -> list[orca.Window]:
    """Windows of three types and some assets, overlapping, late, twice, failing."""
    rand = random.Random(seed)
    windows: list[orca.Window] = []
    for _ in range(60):
        on = rand.choice([second, second, second, minute, hour])
        begin = rand.randrange(40) / 2
        end = begin + rand.choice([0, 0.5, 1, 1, 1, 2]) * (1 if on is second else 3)
        extra = rand.choice([None, None, None, "fail"])
        windows.append(window(on, begin, end, rand.choice(["a", "b", None, 1, True]), extra))
    return windows


def processors(rand: random.Random, **options: Any) -> list[orca.Processor]:
    """Algorithms on three types with random lookbacks, whose results tell all that they were given."""
    procs = [orca.Processor(name, **options) for name in ("one", "two")]

    def back(of: orca.Algorithm[Any]) -> Any:
        gap = rand.choice([None, None, 1, 2, "1ns", "1500ms"])
        choice = rand.randrange(3)
        if choice == 0:
            return of.last(rand.randrange(1, 5), gap=gap)
        return of.over(rand.choice(["1s", "2500ms", "8s"]), gap=gap) if choice == 1 else of

    def define(proc: orca.Processor, name: str, on: orca.WindowType, needs: list[Any], own: Any) -> orca.Algorithm[Any]:
        @proc.algorithm(name, "1.0.0", on, needs=needs, needs_self=own)
        def tells(run: orca.Run) -> dict[str, Any]:
            if run.window.metadata.get("secret") == "fail" and name == "A":
                raise orca.Failure("asked for")

            def told(rows: orca.Rows[Any]) -> list[Any]:
                return [
                    [
                        str(r.window.time_from),
                        str(r.window.time_to),
                        r.window.metadata.get("asset"),
                        str(r.age_ns),
                        r.value["hash"],
                    ]
                    for r in rows
                ]

            given = [[told(run[need]), run[need].current is not None] for need in needs]
            own = told(run.own)
            return {"given": given, "own": own, "hash": float(hash(str((given, own))) % 1000003)}

        return tells

    a = define(procs[0], "A", second, [], None)
    b = define(procs[1], "B", second, [back(a)], orca.last(2))
    c = define(procs[0], "C", minute, [back(a), back(b)], orca.over("9s", gap=1))
    define(procs[1], "D", hour, [back(a), back(c)], None)
    define(procs[0], "E", second, [a.last(1), b, a.last(2, gap=1)], None)
    return procs


@pytest.mark.parametrize("seed", range(3))
def test_as_a_real_core_does(core: RealCore, seed: int) -> None:
    """The same windows in the same order give the same rows in memory and at a core."""
    options: dict[str, Any] = {"core": core.address, "listen": "127.0.0.1:0", "environment": False}
    procs = processors(random.Random(seed), **options)
    algorithms = [a for proc in procs for a in proc.algorithms]

    def told(outcome: orca.Outcome) -> dict[str, Any]:
        return {str(a): (n.state, n.value, n.reason) for a in algorithms for n in outcome.nodes if n.algorithm == a.id}

    memory = Core(*procs)
    wanted = [told(memory.emit(w)) for w in history(seed)]

    async def work() -> None:
        async with procs[0], procs[1], orca.AsyncClient(core.address, environment=False) as client:
            for proc in procs:
                await proc.registered()
            emissions = [await client.emit(w) for w in history(seed)]
            assert [told(await client.wait(e)) for e in emissions] == wanted

    asyncio.run(asyncio.wait_for(work(), 100))
    assert sum(len(n[1]["own"]) for outcome in wanted for n in outcome.values() if n[1]) > 10
