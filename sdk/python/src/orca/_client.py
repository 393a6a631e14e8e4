"""The client for programs without an event loop. It has one of its own, in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Mapping
from typing import Any, TypeVar

from orca._algorithm import Algorithm
from orca._async_client import AsyncClient
from orca._emission import Emission
from orca._errors import InvalidError
from orca._names import AlgorithmID
from orca._outcome import Freshness, GivenRow, Outcome, Rerun
from orca._rows import Row, Rows
from orca._settings import TLS, CoreSettings
from orca._time import Time
from orca._window import Window

T = TypeVar("T")
Self = TypeVar("Self", bound="Client")


class Client:
    """Emits windows, waits for what becomes of them, and reads results. Any thread may use it; one is enough.

    It takes what `AsyncClient` takes, and does what that one does. Close it in the end, or use it in a `with`.
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
        self._begin(
            AsyncClient(
                core, tls=tls, token=token, token_in_clear=token_in_clear, timeout=timeout, environment=environment
            )
        )

    @classmethod
    def to(cls: type[Self], settings: CoreSettings) -> Self:
        """Make a client of settings that are known."""
        client = cls.__new__(cls)
        client._begin(AsyncClient.to(settings))
        return client

    def _begin(self, client: AsyncClient) -> None:
        self._client = client
        self._lock = threading.Lock()  # guards what follows
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection up."""
        with self._lock:
            loop, thread, self._closed = self._loop, self._thread, True
            self._loop = self._thread = None
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._client.close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    def emit(self, window: Window, *, idempotency_key: str | None = None, timeout: float | None = None) -> Emission:
        """Hand a window to the core. When it returns, the window is durable. See `AsyncClient.emit`."""
        return self._run(self._client.emit(window, idempotency_key=idempotency_key, timeout=timeout))

    def wait(self, window: Emission | str, *, timeout: float | None = None) -> Outcome:
        """Give the outcome of a window's newest run when it has finished. See `AsyncClient.wait`."""
        return self._run(self._client.wait(window, timeout=timeout))

    def outcome(self, window: Emission | str, revision: int = 0, *, timeout: float | None = None) -> Outcome:
        """Give the outcome of one run of a window. See `AsyncClient.outcome`."""
        return self._run(self._client.outcome(window, revision, timeout=timeout))

    def results(
        self,
        algorithm: Algorithm[T],
        time_from: Time | None = None,
        time_to: Time | None = None,
        *,
        metadata: Mapping[str, Any] | None = None,
    ) -> Rows[T]:
        """Read an algorithm's results: `client.results(speed).to_pandas()`. See `AsyncClient.results`."""
        return self._run(self._client.results(algorithm, time_from, time_to, metadata=metadata))

    def iter_results(
        self,
        algorithm: Algorithm[T],
        time_from: Time | None = None,
        time_to: Time | None = None,
        *,
        metadata: Mapping[str, Any] | None = None,
    ) -> Iterator[Row[T]]:
        """Read like `results`, in pages while the loop runs."""
        rows = self._client.iter_results(algorithm, time_from, time_to, metadata=metadata)

        async def next_row() -> Row[T] | None:
            return await anext(rows, None)

        while (row := self._run(next_row())) is not None:
            yield row

    def inputs(
        self, window: Emission | str, revision: int = 0, *, algorithms: tuple[Algorithm[Any], ...] = ()
    ) -> list[GivenRow]:
        """Read the rows that algorithms were given in a run of a window. See `AsyncClient.inputs`."""
        return self._run(self._client.inputs(window, revision, algorithms=algorithms))

    def freshness(self, window: Emission | str, revision: int = 0) -> dict[AlgorithmID, Freshness]:
        """Say which results of a run are stale. See `AsyncClient.freshness`."""
        return self._run(self._client.freshness(window, revision))

    def retry(self, window: Emission | str, *, no_store: Mapping[str, Any] | None = None) -> Rerun:
        """Run again what did not succeed. See `AsyncClient.retry`."""
        return self._run(self._client.retry(window, no_store=no_store))

    def reprocess(self, window: Emission | str, *, no_store: Mapping[str, Any] | None = None) -> Rerun:
        """Run all anew, with the algorithms of today. See `AsyncClient.reprocess`."""
        return self._run(self._client.reprocess(window, no_store=no_store))

    def cancel(self, window: Emission | str) -> None:
        """End a window's open run. See `AsyncClient.cancel`."""
        self._run(self._client.cancel(window))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._running(work))
        try:
            return future.result()
        except BaseException:
            future.cancel()  # Ctrl-C, for instance
            raise

    def _running(self, work: Coroutine[Any, Any, Any]) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._closed:
                work.close()
                raise InvalidError("the client is closed")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="orca-client", daemon=True)
                self._thread.start()
            return self._loop
