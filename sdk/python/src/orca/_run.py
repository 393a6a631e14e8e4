"""What an algorithm is given for one window."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

from orca._algorithm import Algorithm, Dependency
from orca._contract import service_pb2 as pb
from orca._emission import Emission
from orca._errors import InvalidError
from orca._inputs import arrange
from orca._names import AlgorithmID
from orca._results import Kind
from orca._rows import Ambiguous, Input, Row, Rows
from orca._time import interval_of
from orca._window import Window, window_of

T = TypeVar("T")


class Emitter(Protocol):
    """How a run emits windows."""

    def emit(self, window: Window, idempotency_key: str | None) -> Emission:
        """Emit from a plain function."""
        ...

    def emit_async(self, window: Window, idempotency_key: str | None) -> Awaitable[Emission]:
        """Emit from an async function."""
        ...


class NoEmitter:
    """Stands where the connection to a core would be, and says why there is none."""

    def __init__(self, why: str) -> None:
        self._why = why

    def emit(self, window: Window, idempotency_key: str | None) -> Emission:  # noqa: ARG002
        """Refuse."""
        raise InvalidError(f"emit: {self._why}")

    def emit_async(self, window: Window, idempotency_key: str | None) -> Awaitable[Emission]:
        """Refuse."""
        return self.emit(window, idempotency_key)  # pyright: ignore[reportReturnType] (it raises)


class Cancellation:
    """Says whether the core has given an execution up. Written by the event loop, read by any thread."""

    __slots__ = ("cancelled",)

    def __init__(self) -> None:
        self.cancelled = False


Given: TypeAlias = Sequence[pb.AlgorithmDependencyResultRow]


class Run:
    """What an algorithm is given for one window.

    `run[speed]` reads a dependency: `.value` is its result for this window, `.past` the rows before, `.latest` the
    newest row of another window type's. `run[the algorithm itself]` reads its own past results.
    """

    __slots__ = ("_algorithm", "_cancellation", "_emitter", "_given", "_message", "_own", "_window", "exec_id")

    exec_id: str
    """New for each call of the core."""

    def __init__(
        self,
        algorithm: Algorithm[Any],
        message: pb.Window,
        asked: pb.ExecuteAlgorithm,
        emitter: Emitter,
        cancellation: Cancellation,
        exec_id: str = "",
    ) -> None:
        self._algorithm, self._message, self._window = algorithm, message, None
        self._given: list[Given] = arrange(algorithm.needs, asked)
        self._own: Given = asked.selfResults
        self._emitter, self._cancellation, self.exec_id = emitter, cancellation, exec_id

    @property
    def window(self) -> Window:
        """The window to process, with all its metadata."""
        if self._window is None:
            self._window = window_of(self._message)
        return self._window

    @property
    def algorithm(self) -> AlgorithmID:
        """The one that runs."""
        return self._algorithm.id

    @property
    def cancelled(self) -> bool:
        """Whether the core has given this execution up, so that its result would go nowhere.

        For plain functions with much to do. Async ones are cancelled. On a process pool or a cluster it stays False.
        """
        return self._cancellation.cancelled

    def __getitem__(self, need: Algorithm[T] | Dependency[T]) -> Input[T]:
        """Read what was given of a dependency."""
        if isinstance(need, Dependency):
            for i, known in enumerate(self._algorithm.needs):
                if known == need:
                    return self._input(need, self._given[i])
        elif need.id == self._algorithm.id:
            return Input(self._rows(self._algorithm.kind, self._own), None, str(need.id))
        else:
            places = [i for i, known in enumerate(self._algorithm.needs) if known.algorithm.id == need.id]
            if len(places) == 1:
                return self._input(need.whole, self._given[places[0]])
            if places:
                current = self._input(need.whole, self._given[places[0]][:1]).current
                return Input(Ambiguous[T](str(need.id)), current, str(need.id))
        raise InvalidError(f"{self._algorithm.id} reads {need}, which its needs= does not name")

    @property
    def own(self) -> Rows[Any]:
        """The algorithm's own past results that `needs_self=` asked for, newest first: none for the first window."""
        return Rows(self._rows(self._algorithm.kind, self._own))

    def emit(self, window: Window, *, idempotency_key: str | None = None) -> Emission:
        """Emit another window, over the processor's connection to its core. Async functions await `emit_async`.

        An algorithm may be executed more than once for its window: give a key made from the window's own data where the
        other window must not be emitted twice. Do not wait here for the outcome of the emitted window: it may need the
        place that this run occupies.
        """
        return self._emitter.emit(window, idempotency_key)

    async def emit_async(self, window: Window, *, idempotency_key: str | None = None) -> Emission:
        """Emit like `emit`, for async functions."""
        return await self._emitter.emit_async(window, idempotency_key)

    def _input(self, need: Dependency[T], given: Given) -> Input[T]:
        rows = self._rows(need.algorithm.kind, given)
        current = rows[0] if rows and _same_interval(given[0], self._message) else None
        return Input(rows, current, str(need.algorithm.id))

    def _rows(self, kind: Kind[Any], given: Given) -> list[Row[Any]]:
        """Read rows. One without a window belongs to the current one."""
        end = interval_of(self._message)[1]
        rows: list[Row[Any]] = []
        for row in given:
            window = window_of(row.window if row.HasField("window") else self._message)
            rows.append(Row(window, kind.read(row.result), row.result.timestamp, end))
        return rows


def _same_interval(row: pb.AlgorithmDependencyResultRow, window: pb.Window) -> bool:
    """Say whether a row is the run's own window's. Past windows of its own type never have its interval."""
    if not row.HasField("window"):
        return True
    other = row.window
    return (
        other.window_type_name == window.window_type_name
        and other.window_type_version == window.window_type_version
        and other.time_from == window.time_from
        and other.time_to == window.time_to
    )
