"""Processors: named sets of algorithms that a core sends work to."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from typing import Any, TypeVar

from orca import _algorithm
from orca._algorithm import Algorithm, Decorator, Need
from orca._contract import service_pb2 as pb
from orca._errors import InvalidError, OrcaError
from orca._lookback import Lookback
from orca._names import AlgorithmID, check_text
from orca._session import Session
from orca._settings import TLS, CoreOptions, ProcessorOptions, look, resolve_processor
from orca._window import WindowType
from orca._worker import check_executor

_UNSAID: Any = _algorithm._UNSAID  # pyright: ignore[reportPrivateUsage]

Self = TypeVar("Self", bound="Processor")


class Processor:
    """A named set of algorithms that a core sends work to.

    >>> racing = Processor("racing")
    >>> @racing.algorithm("Speed", "1.0.0", lap)
    ... def speed(run: orca.Run) -> float:
    ...     return 5891 / run.window.seconds
    >>> racing.run()

    The name identifies it towards the core, in every program that serves it: several instances of one name share its
    work. What is not said here comes from the environment and orca.json when it is run, unless `environment=False`:

    - `core`, `tls`, `token`, `token_in_clear`: see `AsyncClient`.
    - `listen`: where it listens, as host:port; port 0 takes a free one.
    - `address`: where the core reaches it, as host:port; port 0 means the port that it listens on.
    - `project`: the project that it belongs to.
    - `server_tls`: serves TLS with this certificate and key.
    - `executor`: where plain functions run: threads of its own without it, or a ThreadPoolExecutor, a
      ProcessPoolExecutor, a cluster's `Client.get_executor()` that the program makes and shuts down.
    - `concurrency`: how many algorithms run at once; 32, or four for each CPU if that is more.
    - `drain`: for how many seconds running algorithms are waited for in the end. What is cut off runs again.
    """

    def __init__(
        self,
        name: str,
        *,
        core: str = "",
        tls: TLS | bool = False,
        token: str = "",
        token_in_clear: bool = False,
        listen: str = "",
        address: str = "",
        project: str = "",
        server_tls: TLS | None = None,
        executor: Executor | None = None,
        concurrency: int | None = None,
        drain: float = 30.0,
        environment: bool = True,
    ) -> None:
        check_text("processor name", name)
        if concurrency is not None and concurrency < 1:
            raise InvalidError(f"concurrency {concurrency}: must be 1 or more")
        if executor is not None:
            check_executor(executor)
        self.name = name
        self.algorithms: list[Algorithm[Any]] = []
        self.executor = executor
        self.concurrency = concurrency or max(32, 4 * (os.cpu_count() or 1))
        self.drain = drain
        self._options = ProcessorOptions(
            CoreOptions(core, tls, token, token_in_clear, environment), listen, address, project, server_tls
        )
        self._session: Session | None = None
        self._running = False

    def __repr__(self) -> str:
        return f"<processor {self.name}>"

    def algorithm(
        self,
        name: str,
        version: str,
        on: WindowType,
        *,
        needs: Iterable[Need] = (),
        needs_self: Lookback | None = None,
        description: str | None = None,
        result: Any = _UNSAID,
        executor: Executor | None = None,
    ) -> Decorator:
        """Turn a function of one argument, the run, into an algorithm that windows of a type trigger.

        The return annotation says what it gives: float or int (a value), a sequence of floats or a NumPy array (an
        array), dict, a dataclass or a TypedDict (a struct), or None. `result` says it where there is no annotation.

        `needs` are the algorithms whose results it takes: `speed` for the current window's, `speed.last(24)` and
        `speed.over("1h")` for past ones too. `needs_self` hands it its own past results. The description is the first
        paragraph of the docstring, unless it is given. `executor` runs it elsewhere than the processor's others.

        Mistakes raise InvalidError at once.
        """
        if executor is not None:
            check_executor(executor)

        def decorate(function: Callable[..., Any], /) -> Algorithm[Any]:
            if self._running:
                raise InvalidError(f"algorithm {name} {version}: defined while its processor runs; define all before")
            algorithm = _algorithm.define(
                AlgorithmID(self.name, name, version),
                on,
                function,
                needs=needs,
                needs_self=needs_self,
                description=description,
                result=result,
                executor=executor,
                names=sys._getframe(1).f_locals,  # pyright: ignore[reportPrivateUsage] (for annotations in functions)
            )
            self._check_against_others(algorithm)
            self.algorithms.append(algorithm)
            return algorithm

        return decorate

    def _check_against_others(self, algorithm: Algorithm[Any]) -> None:
        for other in self.algorithms:
            if other.id == algorithm.id:
                raise InvalidError(f"algorithm {algorithm.id.name} {algorithm.id.version}: it is defined twice")
            same_type = other.on == algorithm.on and other.on is not None and algorithm.on is not None
            if same_type and other.on.flags() != algorithm.on.flags():  # pyright: ignore[reportOptionalMemberAccess]
                raise InvalidError(
                    f"algorithm {algorithm.id.name} {algorithm.id.version}: {other.id.name} declares other fields for"
                    f" window type {algorithm.on}"
                )

    def registration(self, address: str, project: str = "") -> pb.ProcessorRegistration:
        """Give what the core is told."""
        return pb.ProcessorRegistration(
            name=self.name,
            runtime=_algorithm.runtime_name(),
            connection_str=address,
            supported_algorithms=[algorithm.message() for algorithm in self.algorithms],
            project_name=project,
        )

    def run(self) -> None:
        """Serve until Ctrl-C or SIGTERM, then finish what runs, and return.

        It listens, registers with the core, however long that takes to come up, registers again when the core has lost
        it, and executes what the core asks for. It raises when it cannot listen, and when the core refuses it.

        Signals are taken only in the main thread; elsewhere, and in programs with an event loop, use `serve` or
        `async with`.
        """
        asyncio.run(self._serve_until_signal())

    async def _serve_until_signal(self) -> None:
        from orca._signals import stop_on_signals

        stop = asyncio.Event()
        with stop_on_signals(stop):
            await self.serve(stop)

    async def serve(self, stop: asyncio.Event | None = None) -> None:
        """Serve until `stop` is set, or until the task is cancelled. Then finish what runs. See `run`."""
        async with self:
            await self._running_session().finished(stop)

    async def __aenter__(self: Self) -> Self:
        """Serve while the block lasts. The core may come up later; `await processor.registered()` waits for it."""
        if self._running:
            raise OrcaError(f"processor {self.name} runs already")
        self._running = True
        try:
            settings = resolve_processor(self._options, look(self._options.core.environment))
            self._session = Session(self.name, self.algorithms, settings, self._options.server_tls)
            await self._session.start(self.registration, self.executor, self.concurrency)
        except BaseException:
            self._running, self._session = False, None
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self._running_session().stop(self.drain)
        finally:
            self._running, self._session = False, None

    async def registered(self) -> None:
        """Wait until a core has accepted the processor. It raises when the core refuses it."""
        await self._running_session().registered()

    @property
    def address(self) -> str:
        """Where the core reaches it, while it runs."""
        return self._running_session().address

    def _running_session(self) -> Session:
        if self._session is None:
            raise OrcaError(f"processor {self.name} does not run")
        return self._session
