"""Stopping on signals, for `Processor.run` alone."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Generator
from typing import Any


@contextlib.contextmanager
def stop_on_signals(stop: asyncio.Event) -> Generator[None]:
    """Set the event on SIGINT and SIGTERM, in the main thread. A second signal acts as it did before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before: dict[signal.Signals, Any] = {}

    def take(number: int, _frame: Any) -> None:
        signal.signal(number, before[signal.Signals(number)])
        loop.call_soon_threadsafe(stop.set)

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.getsignal(number) or signal.SIG_DFL
        signal.signal(number, take)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
