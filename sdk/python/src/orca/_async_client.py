"""The client for programs with an event loop: emits windows, waits for what becomes of them, reads results."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

import grpc

from orca._algorithm import Algorithm
from orca._connection import Connection
from orca._contract import console_pb2 as console
from orca._emission import Emission, status_of
from orca._errors import CallError, InvalidError, call_error
from orca._names import AlgorithmID
from orca._outcome import (
    Freshness,
    GivenRow,
    Node,
    Outcome,
    Rerun,
    freshness_of,
    given_of,
    id_of,
    node_of,
    outcome_of,
)
from orca._results import MAX_MESSAGE_BYTES
from orca._retry import TRANSIENT, Pauses, code_of, words_of
from orca._rows import Row, Rows
from orca._settings import TLS, CoreOptions, CoreSettings, look, resolve_core
from orca._time import SECOND, Time, time_ns
from orca._values import write_struct
from orca._window import Window, window_of

T = TypeVar("T")
Self = TypeVar("Self", bound="AsyncClient")

_log = logging.getLogger("orca")

_PAUSES = Pauses(0.05, 5.0)
_ATTEMPT = 20.0  # seconds for one attempt, so that a connection that swallows calls does not use up the whole time
_PAGE = 500
_RESUMABLE = (*TRANSIENT, "ABORTED", "INTERNAL")
_BROKEN = "the stream ended before the run did"


class _Broken(Exception):
    """A stream that ended before the run did."""


class AsyncClient:
    """Emits windows, waits for what becomes of them, and reads results. One for an event loop is enough.

    `core` is host:port, grpc://host:port or grpcs://host:port. What is not given comes from the environment and
    orca.json, unless `environment=False`. `timeout` says for how many seconds a call is tried.
    """

    def __init__(
        self,
        core: str = "",
        *,
        tls: TLS | bool = False,
        token: str = "",
        token_in_clear: bool = False,
        timeout: float = 30.0,
        environment: bool = True,
    ) -> None:
        options = CoreOptions(core, tls, token, token_in_clear, environment)
        self._settings = resolve_core(options, look(environment))
        self._timeout = timeout
        self._opened: Connection | None = None

    @classmethod
    def to(cls, settings: CoreSettings, timeout: float = 30.0) -> AsyncClient:
        """Make a client of settings that are known."""
        client = cls.__new__(cls)
        client._settings, client._opened, client._timeout = settings, None, timeout
        return client

    @classmethod
    def over(cls, connection: Connection, timeout: float = 30.0) -> AsyncClient:
        """Make a client of a connection that somebody else owns."""
        client = cls.__new__(cls)
        client._opened, client._timeout = connection, timeout
        return client

    @property
    def _connection(self) -> Connection:
        if self._opened is None:
            self._opened = Connection(self._settings)
        return self._opened

    async def __aenter__(self: Self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Give the connection up. Calls that are under way end."""
        if self._opened is not None:
            await self._opened.close()

    async def emit(
        self, window: Window, *, idempotency_key: str | None = None, timeout: float | None = None
    ) -> Emission:
        """Hand a window to the core. When it returns, the window is durable and will be processed.

        While the core is unreachable or takes no more, it tries on with growing pauses for `timeout` seconds. It never
        emits the window twice. When it gives up (UnavailableError), the window may have been accepted; emit it again
        with an `idempotency_key` of your own to be sure: with the same key and window, the core gives the answer of the
        first again, for a day by default. The same key with another window is a ConflictError.
        """
        op = f"emit window {window.type}"
        message = window.message()
        if message.ByteSize() > MAX_MESSAGE_BYTES:
            raise InvalidError(f"{op}: {message.ByteSize()} bytes long, at most {MAX_MESSAGE_BYTES} are allowed")
        key = _fresh_key() if idempotency_key is None else idempotency_key
        connection = self._connection
        metadata = (*connection.metadata, ("idempotency-key", key))

        async def emit_once(limit: float) -> Emission:
            call = connection.emit(message, timeout=limit, metadata=metadata)
            answer = await call
            ids = [value for name, value in await call.initial_metadata() if name == "orca-window-id"]
            return Emission(ids[0] if ids else "", status_of(answer.status))

        return await self._try(op, timeout, emit_once)

    async def wait(self, window: Emission | str, *, timeout: float | None = None) -> Outcome:
        """Give the outcome of a window's newest run when it has finished, which may have been long ago.

        It waits for `timeout` seconds, for ever without it, also while the core is away. Then it raises TimeoutError.
        """
        return await self.outcome(window, timeout=timeout)

    async def outcome(self, window: Emission | str, revision: int = 0, *, timeout: float | None = None) -> Outcome:
        """Give the outcome of one run of a window: 1 is that of the emit, 0 the newest. It waits like `wait`."""
        id = _window_id(window)
        _check_revision(revision)
        try:
            return await asyncio.wait_for(self._follow(id, revision), timeout)
        except asyncio.TimeoutError:
            raise TimeoutError(f"window {id} has no finished run after {timeout} s") from None

    async def _follow(self, id: str, revision: int) -> Outcome:
        failures = 0
        while True:
            nodes: dict[AlgorithmID, Node] = {}
            told = False
            error: Exception
            try:
                connection = self._connection
                request = console.WatchWindowRequest(id=id, revision=revision)
                async for event in connection.watch(request, metadata=connection.metadata):
                    told = True
                    if event.HasField("finished"):
                        return outcome_of(id, event.finished, tuple(nodes.values()))
                    node = node_of(event.node)
                    nodes[node.algorithm] = node
                raise _Broken(_BROKEN)
            except (grpc.RpcError, _Broken) as broken:
                error = broken
            code = "UNAVAILABLE" if isinstance(error, _Broken) else code_of(error)
            failures = 1 if told else failures + 1
            if code not in _RESUMABLE:
                raise call_error(f"wait for window {id}", self._connection.target, failures, code, words_of(error))
            if failures == 2:
                _log.warning(
                    "lost the core at %s while waiting for window %s, trying on: %s",
                    self._connection.target,
                    id,
                    words_of(error),
                )
            await asyncio.sleep(_PAUSES.after(failures, error))

    async def results(
        self,
        algorithm: Algorithm[T],
        time_from: Time | None = None,
        time_to: Time | None = None,
        *,
        metadata: Mapping[str, Any] | None = None,
    ) -> Rows[T]:
        """Read an algorithm's results, the newest window first: `(await client.results(speed)).to_pandas()`.

        They are those of windows that end after `time_from` and begin before `time_to`, and whose metadata holds all
        the given fields with these values.
        """
        return Rows([row async for row in self.iter_results(algorithm, time_from, time_to, metadata=metadata)])

    async def iter_results(
        self,
        algorithm: Algorithm[T],
        time_from: Time | None = None,
        time_to: Time | None = None,
        *,
        metadata: Mapping[str, Any] | None = None,
    ) -> AsyncIterator[Row[T]]:
        """Read like `results`, in pages while the loop runs."""
        request = _results_request(algorithm, time_from, time_to, metadata)
        connection = self._connection
        while True:
            page = await self._try(
                f"read results of {algorithm.id}",
                None,
                lambda limit: connection.results(request, timeout=limit, metadata=connection.metadata),
            )
            for info in page.results:
                result = info.node.result
                value: T = algorithm.kind.read(result)
                yield Row(window_of(info.window, info.window_id), value, result.timestamp)
            request.page_token = page.page_token
            if not page.page_token:
                return

    async def inputs(
        self, window: Emission | str, revision: int = 0, *, algorithms: tuple[Algorithm[Any], ...] = ()
    ) -> list[GivenRow]:
        """Read the rows that algorithms were given in a run of a window: of those that are named, or of all.

        They come in the order of the run's algorithms, of each in the order of what it needs, then its own past, and as
        they were handed over: the current window's first, then the newest.
        """
        _check_revision(revision)
        request = console.ListInputsRequest(page_size=_PAGE, id=_window_id(window), revision=revision)
        for algorithm in algorithms:
            id = algorithm.id
            request.algorithms.add(processor=id.processor, name=id.name, version=id.version)
        connection, rows = self._connection, list[GivenRow]()
        while True:
            page = await self._try(
                f"read inputs of window {request.id}",
                None,
                lambda limit: connection.inputs(request, timeout=limit, metadata=connection.metadata),
            )
            rows.extend(given_of(given, row) for given in page.inputs for row in given.rows)
            request.page_token = page.page_token
            if not page.page_token:
                return rows

    async def freshness(self, window: Emission | str, revision: int = 0) -> dict[AlgorithmID, Freshness]:
        """Say which results of a run are stale: of the algorithms that look back and have succeeded or failed."""
        _check_revision(revision)
        connection = self._connection
        request = console.GetWindowRequest(id=_window_id(window), revision=revision)
        answer = await self._try(
            f"read the freshness of window {request.id}",
            None,
            lambda limit: connection.window(request, timeout=limit, metadata=connection.metadata),
        )
        found = {id_of(node.algorithm): freshness_of(node) for node in answer.nodes}
        return {id: freshness for id, freshness in found.items() if freshness is not None}

    async def retry(self, window: Emission | str, *, no_store: Mapping[str, Any] | None = None) -> Rerun:
        """Make the next run of a window: the results of what succeeded kept, the others run again.

        It is a ConflictError while a run of the window is not finished, or where the values of no_store fields are
        missing, which the core has not kept. A call whose answer was lost is not repeated, since the run may have been
        made: the error is then an UnavailableError, and the window's newest run tells.
        """
        request = console.RetryWindowRequest(id=_window_id(window))
        if no_store:
            write_struct(no_store, request.metadata)
        connection = self._connection
        answer = await self._once(
            f"retry window {request.id}",
            lambda limit: connection.retry(request, timeout=limit, metadata=connection.metadata, wait_for_ready=True),
        )
        return Rerun(request.id, answer.run.revision, answer.run.position)

    async def reprocess(self, window: Emission | str, *, no_store: Mapping[str, Any] | None = None) -> Rerun:
        """Make the next run of a window with the algorithms that are registered now, and from nothing.

        Otherwise it is like `retry`.
        """
        request = console.ReprocessWindowRequest(id=_window_id(window))
        if no_store:
            write_struct(no_store, request.metadata)
        connection = self._connection
        answer = await self._once(
            f"reprocess window {request.id}",
            lambda limit: connection.reprocess(
                request, timeout=limit, metadata=connection.metadata, wait_for_ready=True
            ),
        )
        return Rerun(request.id, answer.run.revision, answer.run.position, status_of(answer.status))

    async def cancel(self, window: Emission | str) -> None:
        """Settle what is open in a window's newest run as cancelled. A finished run is a ConflictError."""
        request = console.CancelWindowRequest(id=_window_id(window))
        connection = self._connection
        await self._once(
            f"cancel window {request.id}",
            lambda limit: connection.cancel(request, timeout=limit, metadata=connection.metadata, wait_for_ready=True),
        )

    async def _try(self, op: str, timeout: float | None, call: Callable[[float], Awaitable[T]]) -> T:
        """Make a call until it succeeds, is answered for good, or the time is up."""
        end = time.monotonic() + (self._timeout if timeout is None else timeout)
        attempts, last = 0, None
        while True:
            attempts += 1
            try:
                return await call(max(0.001, min(_ATTEMPT, end - time.monotonic())))
            except grpc.RpcError as error:
                failure = error
            if last is not None and code_of(failure) in ("DEADLINE_EXCEEDED", "CANCELLED"):
                failure = last  # it tells more than that the time was up
            last = failure
            pause = _PAUSES.after(attempts, failure)
            if code_of(failure) not in TRANSIENT or time.monotonic() + pause > end:
                raise self._error(op, attempts, failure) from None
            if attempts == 3:
                _log.warning(
                    "the core at %s does not take a call, trying on: %s: %s",
                    self._connection.target,
                    op,
                    words_of(failure),
                )
            await asyncio.sleep(pause)

    async def _once(self, op: str, call: Callable[[float], Awaitable[T]]) -> T:
        """Make a call that must not be made twice.

        It waits for the core to be there, and tries again only what the core refused because it was busy.
        """
        end = time.monotonic() + self._timeout
        attempts = 0
        while True:
            attempts += 1
            try:
                return await call(max(0.001, end - time.monotonic()))
            except grpc.RpcError as error:
                failure = error
            pause = _PAUSES.after(attempts, failure)
            if code_of(failure) != "RESOURCE_EXHAUSTED" or time.monotonic() + pause > end:
                raise self._error(op, attempts, failure) from None
            await asyncio.sleep(pause)

    def _error(self, op: str, attempts: int, failure: grpc.RpcError) -> CallError:
        return call_error(op, self._connection.target, attempts, code_of(failure), words_of(failure))


def _fresh_key() -> str:
    """Make a key that no other emit has.

    It begins with the time, because the core's ledger adds keys that come in order at less cost.
    """
    return f"{time.time_ns() // 1_000_000:012x}-{secrets.token_hex(16)}"


def _window_id(window: Emission | str) -> str:
    id = window.window_id if isinstance(window, Emission) else window
    if not id:
        raise InvalidError("window id: must not be empty")
    return id


def _check_revision(revision: int) -> None:
    if not 0 <= revision < 1 << 31:
        raise InvalidError(f"revision {revision}: must be 1 or more, or 0 for the newest")


def _results_request(
    algorithm: Algorithm[Any], time_from: Time | None, time_to: Time | None, metadata: Mapping[str, Any] | None
) -> console.ListResultsRequest:
    id = algorithm.id
    request = console.ListResultsRequest(page_size=_PAGE, name=id.name, version=id.version, processor=id.processor)
    for name, bound in (("from", time_from), ("to", time_to)):
        if bound is not None:
            at = getattr(request, f"time_{name}")
            at.seconds, at.nanos = divmod(time_ns(name, bound), SECOND)
    if metadata:
        write_struct(metadata, request.metadata)
    return request
