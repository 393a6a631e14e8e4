"""What users' tests are made of: one algorithm alone, whole DAGs, the fixture."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from direct import lap, window

import orca
from orca.testing import Core, call, given

proc = orca.Processor("racing")


@proc.algorithm("Speed", "1.0.0", lap)
def speed(run: orca.Run) -> float:
    return 0.1


@proc.algorithm("Trend", "1.0.0", lap, needs=[speed.last(3), speed], needs_self=orca.last(1))
async def trend(run: orca.Run) -> dict[str, Any]:
    await asyncio.sleep(0)
    rows = run[speed.last(3)]
    return {"now": run[speed].value, "past": rows.past.values, "own": len(run.own), "age": rows[-1].age_ns}


@orca.Processor("emitting").algorithm("Emits", "1.0.0", lap)
def emits(run: orca.Run) -> None:
    run.emit(window(1))


def test_call() -> None:
    past = [orca.Row(window(-1), 1.5), orca.Row(window(-2), 2.5)]
    own = [orca.Row(window(-1), {})]
    assert call(speed, window()) == pytest.approx(0.1)
    assert call(speed, window()) != 0.1  # it has gone through its wire form
    want: dict[str, Any] = {"now": 3, "past": [1.5, 2.5], "own": 1, "age": 2}
    assert call(trend, window(), {speed.last(3): given(3, past), speed: 3}, own=own) == {**want, "past": [1.5, 2.5]}

    async def inside() -> dict[str, Any]:
        return call(trend, window(), {speed: given(3, past)})

    assert asyncio.run(inside()) == {**want, "own": 0}
    with pytest.raises(orca.InvalidError, match="Trend 1.0.0 of racing is given, which the needs= of"):
        call(speed, window(), {trend: 1})
    with pytest.raises(orca.NoResultError, match="has no result for the window of this run"):
        call(trend, window())
    with pytest.raises(orca.InvalidError, match="it runs in another processor"):
        call(orca.remote("a", "B", "1.0.0"), window())


def test_rows_through_an_algorithm_with_several_lookbacks() -> None:
    @orca.Processor("racing").algorithm("Reads", "1.0.0", lap, needs=[speed.last(3), speed])
    def reads(run: orca.Run) -> list[float]:
        assert run[speed].current is not None
        return run[speed].values

    with pytest.raises(
        orca.InvalidError, match="needed with several lookbacks: read the rows of each through what its"
    ):
        call(reads, window(), {speed: 1})


def test_reading_what_is_not_needed() -> None:
    @orca.Processor("racing").algorithm("Reads", "1.0.0", lap)
    def reads(run: orca.Run) -> float:
        return run[speed].value

    with pytest.raises(orca.InvalidError, match="Reads 1.0.0 of racing reads Speed 1.0.0 of racing, which its needs="):
        call(reads, window())


def test_emitting() -> None:
    emitted: list[orca.Window] = []

    def emit(w: orca.Window) -> orca.Emission:
        emitted.append(w)
        return orca.Emission("w-1", orca.EmitStatus.PROCESSING_TRIGGERED)

    call(emits, window(), emit=emit)
    assert emitted == [window(1)]
    with pytest.raises(orca.InvalidError, match="this run has no core; pass emit= to orca.testing.call"):
        call(emits, window())


def test_windows_that_algorithms_emit_run_afterwards() -> None:
    nested = orca.WindowType("Nested", "1.0.0")
    outer = orca.Processor("outer")
    order: list[str] = []

    @outer.algorithm("Outer", "1.0.0", lap)
    def emits(run: orca.Run) -> float:
        emission = run.emit(orca.Window(nested, 1, 2, origin="outer"), idempotency_key="one")
        assert emission == run.emit(orca.Window(nested, 1, 2, origin="outer"), idempotency_key="one")
        with pytest.raises(orca.ConflictError, match="the key 'one' belongs to another window"):
            run.emit(orca.Window(nested, 1, 3, origin="outer"), idempotency_key="one")
        order.append(emission.window_id)
        return 1

    @outer.algorithm("Inner", "1.0.0", nested)
    async def inner(run: orca.Run) -> float:
        order.append("inner")
        return 2

    core = Core(outer)
    assert core.emit(window())[emits] == 1
    assert order == ["w-2", "inner"]
    assert core.outcome("w-2")[inner] == 2


def test_what_a_core_in_memory_refuses() -> None:
    other = orca.Processor("other")
    there = orca.remote("racing", "Nowhere", "1.0.0", float)

    @other.algorithm("Lost", "1.0.0", lap, needs=[there])
    def lost(run: orca.Run) -> float:
        return 1

    with pytest.raises(orca.InvalidError, match="Lost 1.0.0 of other needs Nowhere 1.0.0 of racing, which none"):
        Core(proc, other)
    with pytest.raises(orca.InvalidError, match="processor racing: it is given twice"):
        Core(proc, proc)
    with pytest.raises(orca.NotFoundError, match="no algorithm announces window type Night 1.0.0"):
        Core(proc).emit(orca.Window(orca.WindowType("Night", "1.0.0"), 1, 2, origin="x"))
    ring = orca.Processor("ring")
    for name, need in [("A", "B"), ("B", "A")]:

        @ring.algorithm(name, "1.0.0", lap, needs=[orca.remote("ring", need, "1.0.0", float)])
        def node(run: orca.Run) -> float:
            return 1

    with pytest.raises(orca.InvalidError, match="A 1.0.0 → B 1.0.0 → A 1.0.0 is a cycle"):
        Core(ring)


def test_two_algorithms_of_one_name_are_told_apart() -> None:
    procs = [orca.Processor(name) for name in ("a", "b")]
    for i, each in enumerate(procs):

        @each.algorithm("Speed", "1.0.0", lap)
        def number(run: orca.Run, i: int = i) -> float:
            return i

    a, b = (each.algorithms[0] for each in procs)

    @procs[1].algorithm("Both", "1.0.0", lap, needs=[b, a])
    def both(run: orca.Run) -> list[float]:
        return [run[a].value, run[b].value]

    assert Core(*procs).emit(window())[both] == [0, 1]


def test_the_fixture(orca_core: Callable[..., Core]) -> None:
    assert orca_core(proc).emit(window())[trend]["now"] == pytest.approx(0.1)


def test_tables() -> None:
    core = Core(proc)
    for i in range(3):
        core.emit(window(i))
    rows = core.results(speed)
    np, pd = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    assert rows.to_numpy().tolist() == [np.float32(0.1)] * 3
    table = rows.to_pandas()
    assert list(table.columns) == ["time_from", "time_to", "origin", "value"]
    assert table["time_from"].iloc[0] == pd.Timestamp(10**18 + 2, unit="ns", tz="UTC")
    assert list(core.results(trend).to_pandas().columns)[3:] == ["age", "now", "own", "past"]
    with pytest.raises(orca.InvalidError, match="structs are read with to_pandas"):
        core.results(trend).to_numpy()
    arrays = orca.Rows([orca.Row(window(), [1.0, 2.0]), orca.Row(window(), [3.0, 4.0])])
    assert arrays.to_numpy().tolist() == [[1, 2], [3, 4]]
    with pytest.raises(orca.InvalidError, match="the arrays have different lengths"):
        orca.Rows([orca.Row(window(), [1.0]), orca.Row(window(), [3.0, 4.0])]).to_numpy()
    assert len(orca.Rows().to_pandas()) == 0


def test_without_numpy_and_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for name in ("numpy", "pandas"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(orca.OrcaError, match="to_numpy\\(\\) needs NumPy; install it with: pip install numpy"):
        orca.Rows[float]().to_numpy()
    with pytest.raises(orca.OrcaError, match="to_pandas\\(\\) needs pandas; install it with: pip install pandas"):
        orca.Rows[float]().to_pandas()
