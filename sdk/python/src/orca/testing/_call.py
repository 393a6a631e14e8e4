"""Running one algorithm on inputs that a test makes up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from orca._algorithm import Algorithm, Dependency, Need
from orca._contract import service_pb2 as pb
from orca._emission import Emission
from orca._errors import InvalidError
from orca._execute import Outcome, execute, execute_async
from orca._results import Kind, encode
from orca._rows import Row
from orca._run import Cancellation, Emitter, NoEmitter
from orca._window import Window

T = TypeVar("T")

_ABSENT: Any = object()


@dataclass(frozen=True)
class Given:
    """What an algorithm is given of one dependency. Made by `given`."""

    current: Any
    past: Sequence[Row[Any]]


def given(current: Any = _ABSENT, past: Sequence[Row[Any]] = ()) -> Given:
    """Give the result for the window of the call, if there is one, and past rows, newest first.

    A row is an `orca.Row(window, value)`.
    """
    return Given(current, past)


def call(
    algorithm: Algorithm[T],
    window: Window,
    inputs: Mapping[Need, Any] | None = None,
    *,
    own: Sequence[Row[Any]] = (),
    emit: Callable[[Window], Emission] | None = None,
) -> T:
    """Run an algorithm once, without a core or a network: `call(kelvin, noon, {celsius: 22.0})`.

    It is the way that a request takes through a processor, so results go through their wire form. What the algorithm
    raises, it raises. A dependency that is not given has no results; a plain value is that for the window of the call,
    and `given(...)` says more. `own` are the algorithm's own past rows, and `emit` stands in for the core.
    """
    if algorithm.function is None:
        raise InvalidError(f"call {algorithm.id}: it runs in another processor")
    asked = _request(algorithm, inputs or {}, own)
    emitter: Emitter = NoEmitter("this run has no core; pass emit= to orca.testing.call")
    result, error = perform(algorithm, window.message(), asked, Standin(emit) if emit else emitter)
    if error is not None:
        raise error
    return algorithm.kind.read(result)


def perform(algorithm: Algorithm[Any], window: pb.Window, asked: pb.ExecuteAlgorithm, emitter: Emitter) -> Outcome:
    """Run an algorithm once, also an async one."""
    if not algorithm.is_async:
        return execute(algorithm, window, asked, emitter, Cancellation())
    return _run(execute_async(algorithm, window, asked, emitter, Cancellation()))


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run on an event loop: in a thread of its own where the test has a loop that runs."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    results: list[T] = []
    thread = threading.Thread(target=lambda: results.append(asyncio.run(work)))
    thread.start()
    thread.join()
    return results[0]


class Standin:
    """Emits through a function of the test's."""

    def __init__(self, emit: Callable[[Window], Emission]) -> None:
        self._emit = emit

    def emit(self, window: Window, idempotency_key: str | None) -> Emission:  # noqa: ARG002
        """Emit from a plain function."""
        return self._emit(window)

    def emit_async(self, window: Window, idempotency_key: str | None) -> Awaitable[Emission]:
        """Emit from an async function."""
        return answered(self.emit(window, idempotency_key))


async def answered(emission: Emission) -> Emission:
    """Make an emission awaitable."""
    return emission


def _request(algorithm: Algorithm[Any], inputs: Mapping[Need, Any], own: Sequence[Row[Any]]) -> pb.ExecuteAlgorithm:
    """Make the request that a core would send."""
    asked = pb.ExecuteAlgorithm(algorithm=algorithm.message())
    for need in algorithm.needs:
        id = need.algorithm.id
        asked.dependencies.add(algorithm=pb.Algorithm(name=id.name, version=id.version))
    exact_last = sorted(inputs.items(), key=lambda item: isinstance(item[0], Dependency))
    for need, value in exact_last:
        rows = value if isinstance(value, Given) else Given(value, ())
        _give(algorithm, asked, need, rows)
    asked.selfResults.extend(_messages(algorithm.kind, Given(_ABSENT, own)))
    return asked


def _give(algorithm: Algorithm[Any], asked: pb.ExecuteAlgorithm, need: Need, rows: Given) -> None:
    """Put one input where it belongs. An algorithm's belongs to all dependencies on it."""
    places = [
        i
        for i, known in enumerate(algorithm.needs)
        if known == need or (not isinstance(need, Dependency) and known.algorithm.id == need.id)
    ]
    if not places:
        raise InvalidError(f"input: {need} is given, which the needs= of {algorithm.id} does not name")
    for place in places:
        del asked.dependencies[place].result[:]
        asked.dependencies[place].result.extend(_messages(algorithm.needs[place].algorithm.kind, rows))


def _messages(kind: Kind[Any], rows: Given) -> list[pb.AlgorithmDependencyResultRow]:
    messages: list[pb.AlgorithmDependencyResultRow] = []
    if rows.current is not _ABSENT:
        messages.append(pb.AlgorithmDependencyResultRow(result=encode(kind, rows.current)))
    for row in rows.past:
        message = pb.AlgorithmDependencyResultRow(result=encode(kind, row.value), window=row.window.message())
        message.result.timestamp = int(cast(Any, row).computed.timestamp())
        messages.append(message)
    return messages
