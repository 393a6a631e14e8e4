"""Emitting from algorithms that run in another process, over a connection that this process has of its own."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Awaitable
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import replace

from orca._client import Client
from orca._emission import Emission
from orca._errors import InvalidError
from orca._run import Emitter
from orca._settings import CoreSettings, with_token_of
from orca._window import Window

_clients: dict[CoreSettings, Client] = {}  # of this process, made when they are first needed
_lock = threading.Lock()  # guards them


def settings_for(executor: Executor, core: CoreSettings) -> CoreSettings:
    """Give what workers are told of the core. A token does not leave this machine: others have their own."""
    return core if isinstance(executor, ProcessPoolExecutor) else replace(core, token="")


def check_executor(executor: Executor) -> None:
    """Refuse what is none, and a pool of copies of this process, which crash beside gRPC's threads."""
    if not isinstance(executor, Executor):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidError(f"executor={executor!r}: must be a concurrent.futures.Executor")
    context = getattr(executor, "_mp_context", None)
    if context is not None and context.get_start_method() == "fork":
        raise InvalidError(
            "executor=: a pool of forked processes, which crash beside gRPC's threads; make it with"
            ' ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn"))'
        )


class WorkerEmitter(Emitter):
    """Emits from a process that works for a processor."""

    def __init__(self, core: CoreSettings) -> None:
        self._core = core

    def emit(self, window: Window, idempotency_key: str | None) -> Emission:
        """Emit, and wait until the window is durable."""
        return _client_of(self._core).emit(window, idempotency_key=idempotency_key)

    def emit_async(self, window: Window, idempotency_key: str | None) -> Awaitable[Emission]:  # noqa: ARG002
        """Refuse: async functions never run here."""
        raise InvalidError("emit_async: only async functions can await it; use run.emit(window)")


def _client_of(core: CoreSettings) -> Client:
    with _lock:
        client = _clients.get(core)
        if client is None:
            client = _clients[core] = Client.to(core if core.token else with_token_of(core, os.environ))
            atexit.register(client.close)
        return client
