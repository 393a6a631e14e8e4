"""One run of a processor: a server, the connection to the core, and what keeps the core informed."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Any

import grpc
import grpc.aio

from orca._algorithm import Algorithm
from orca._announce import Announcer, watch
from orca._async_client import AsyncClient
from orca._connection import Connection
from orca._contract import service_pb2 as pb
from orca._emission import Emission
from orca._errors import InvalidError, OrcaError
from orca._results import MAX_MESSAGE_BYTES
from orca._run import Emitter
from orca._service import Service
from orca._settings import TLS, Endpoint, ProcessorSettings
from orca._threads import Threads
from orca._window import Window

_log = logging.getLogger("orca")

_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),  # two processors on one port are a mistake, not a pool
    # A core may check its connections as often as it likes to, within reason.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5000),
    ("grpc.http2.max_ping_strikes", 0),
    # Calls beyond this wait at the core. Each holds its request in memory.
    ("grpc.max_concurrent_streams", 256),
]

_CUT_OFF = 1.0  # seconds that algorithms cancelled at the end of the drain have to return


class _CoreEmitter(Emitter):
    """Emits over the processor's connection. Plain functions call it from their threads."""

    def __init__(self, client: AsyncClient, loop: asyncio.AbstractEventLoop) -> None:
        self._client, self._loop = client, loop

    def emit(self, window: Window, idempotency_key: str | None) -> Emission:
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is self._loop:
            raise InvalidError("emit: an async algorithm must not block; use: await run.emit_async(window)")
        emitting = self._client.emit(window, idempotency_key=idempotency_key)
        return asyncio.run_coroutine_threadsafe(emitting, self._loop).result()

    def emit_async(self, window: Window, idempotency_key: str | None) -> Awaitable[Emission]:
        return self._client.emit(window, idempotency_key=idempotency_key)


class Session:
    """One run of a processor."""

    def __init__(
        self, name: str, algorithms: list[Algorithm[Any]], settings: ProcessorSettings, server_tls: TLS | None
    ) -> None:
        self._name, self._algorithms = name, algorithms
        self._settings, self._server_tls = settings, server_tls
        self._accepted = asyncio.Event()
        self._own_executor: Threads | None = None
        self.address = ""

    async def start(
        self, registration: Callable[[str, str], pb.ProcessorRegistration], executor: Executor | None, concurrency: int
    ) -> None:
        """Listen, and begin to register."""
        loop = asyncio.get_running_loop()
        if executor is None:
            self._own_executor = Threads(concurrency, f"orca-{self._name}")
        self._broken: asyncio.Future[None] = loop.create_future()
        self._connection = Connection(self._settings.core)
        self._service = Service(
            self._algorithms,
            executor or self._own_executor or Threads(concurrency, self._name),
            concurrency,
            _CoreEmitter(AsyncClient.over(self._connection), loop),
            self._settings.core,
            self._break,
        )
        self._server = grpc.aio.server(options=_OPTIONS)
        self._server.add_generic_rpc_handlers((self._service.handler(),))
        address = self._settings.announce(self._listen(), self._server_tls is not None)
        self.address = str(address)
        self._warn_of(address)
        await self._server.start()
        back = asyncio.Event()
        self._watching = asyncio.create_task(watch(self._connection.channel, back))
        announcer = Announcer(
            registration(self.address, self._settings.project),
            self._connection,
            self._service.heard,
            back,
            self._service.serve,
            self._accepted.set,
        )
        self._announcing = asyncio.create_task(announcer.run())

    def _listen(self) -> int:
        listen = self._settings.listen
        where = f"{listen.host or '[::]'}:{listen.port}" if not listen.host else listen.host_port
        try:
            _try_to_bind(listen)
            if self._server_tls is None:
                return self._server.add_insecure_port(where)
            ca, certificate, key = self._server_tls.read()
            if not certificate or not key:
                raise InvalidError("server_tls: it needs a certificate and a key")
            credentials = grpc.ssl_server_credentials([(key, certificate)], ca, ca is not None)
            return self._server.add_secure_port(where, credentials)
        except (OSError, RuntimeError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise OrcaError(
                f"processor {self._name} cannot listen on {where}: {why};"
                " choose another port with PROCESSOR_PORT or listen="
            ) from None

    def _warn_of(self, address: Endpoint) -> None:
        if address.local and not self._settings.core.core.local:
            _log.warning(
                "the core at %s is elsewhere and is told %s, which only this machine reaches; set PROCESSOR_ADDRESS",
                self._settings.core.core,
                address,
            )

    def _break(self, error: BaseException) -> None:
        if not self._broken.done():
            _log.error("the executor of processor %s is broken: %s", self._name, error)
            self._broken.set_exception(
                OrcaError(
                    f"the executor of processor {self._name} is broken: {error}; run the processor with a new one"
                )
            )

    async def registered(self) -> None:
        """Wait until a core has accepted the processor, or raise what ends it before."""
        accepted = asyncio.create_task(self._accepted.wait())
        try:
            await asyncio.wait({accepted, self._announcing}, return_when=asyncio.FIRST_COMPLETED)
            if not accepted.done():
                await self._announcing
        finally:
            accepted.cancel()

    async def finished(self, stop: asyncio.Event | None) -> None:
        """Wait until it is to stop. It raises when the core refuses the processor, or its executor breaks."""
        stopping = asyncio.create_task((stop or asyncio.Event()).wait())
        ends: set[asyncio.Future[Any]] = {stopping, self._announcing, self._broken}
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for end in done:
                await end
        finally:
            stopping.cancel()

    async def stop(self, drain: float) -> None:
        """Take no more work, and wait for what runs.

        Clients see their connection closed in the orderly way of HTTP/2, so that they send new work elsewhere without
        having lost a call.
        """
        self._service.drain()
        if self._service.active:
            _log.info(
                "processor %s stops, and waits up to %g s for %d running algorithms",
                self._name,
                drain,
                self._service.active,
            )
        self._announcing.cancel()
        self._watching.cancel()
        self._broken.cancel()
        stopping = asyncio.ensure_future(self._server.stop(drain))
        done, _ = await asyncio.wait({stopping}, timeout=drain)
        if not done:
            _log.warning(
                "processor %s stops with %d unfinished algorithms after %g s; the core will have them executed again",
                self._name,
                self._service.active,
                drain,
            )
            await asyncio.wait({stopping}, timeout=_CUT_OFF)
        if self._own_executor:
            self._own_executor.shutdown(wait=False, cancel_futures=True)
        await self._connection.close()


def _try_to_bind(listen: Endpoint) -> None:
    """Raise the system's own error where gRPC would say little in the exception and much on standard error."""
    if not listen.port or not listen.host:
        return
    family, kind, protocol, _, address = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as attempt:
        if os.name == "posix":  # elsewhere the option lets two listen on one port
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        attempt.bind(address)
        attempt.listen()
