"""Keeps a processor registered.

A registration is the newest word on its processor, so repeating it for no reason could undo what a newer instance
announced during a rolling upgrade. It is sent once, and again only when the core says that it does not know the
processor. That is asked when heartbeats stay out, and when the connection to the core was lost and is back. A core
whose connection is up and whose heartbeats arrive is never asked.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

import grpc

from orca._connection import Connection
from orca._contract import console_pb2 as console
from orca._contract import service_pb2 as pb
from orca._errors import ConflictError, call_error
from orca._retry import Pauses, code_of, words_of

_log = logging.getLogger("orca")

HEARTBEAT_SILENCE = 15.0
"""Seconds that a core may be silent before it is asked: three heartbeats of the usual five seconds."""

_TIMEOUT = 20.0  # seconds for one call
_LOOK = 0.1  # seconds between two looks at the connection
_PAUSES = Pauses(0.1, 5.0)

_REFUSALS = (
    "INVALID_ARGUMENT",
    "FAILED_PRECONDITION",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "UNAUTHENTICATED",
    "UNIMPLEMENTED",
    "OUT_OF_RANGE",
)
"""The codes with which trying again is of no use before somebody changes something."""


@dataclass
class Announcer:
    """Registers, and looks after it."""

    registration: pb.ProcessorRegistration
    connection: Connection
    heard: asyncio.Event  # set by each heartbeat
    back: asyncio.Event  # set when the connection was lost and is back
    starting: Callable[[], None]  # called before a registration is sent
    accepted: Callable[[], None]  # called after each
    silence: float = HEARTBEAT_SILENCE

    async def run(self) -> None:
        """Work until it is cancelled. It raises when the core refuses the processor."""
        while True:
            await self._register()
            await self._await_loss()

    async def _register(self) -> None:
        """Try until the core has accepted the processor, or has refused it."""
        self.starting()
        failures = 0
        while True:
            try:
                answer = await self._send()
            except grpc.RpcError as error:
                failures += 1
                if code_of(error) in _REFUSALS:
                    op = f"register processor {self.registration.name}"
                    raise call_error(op, self.connection.target, failures, code_of(error), words_of(error)) from None
                if failures == 1 or failures % 20 == 0:
                    _log.warning(
                        "processor %s cannot register at %s (attempt %d), trying on; is a core running there? %s",
                        self.registration.name,
                        self.connection.target,
                        failures,
                        words_of(error),
                    )
                await asyncio.sleep(_PAUSES.after(failures, error))
            else:
                self._welcome(answer, logging.WARNING if failures else logging.INFO)
                return

    async def _send(self) -> pb.Status:
        connection = self.connection
        answer = await connection.register(self.registration, timeout=_TIMEOUT, metadata=connection.metadata)
        if not answer.received:
            raise ConflictError(f"register processor {self.registration.name} at {connection.target}: {answer.message}")
        return answer

    def _welcome(self, answer: pb.Status, level: int) -> None:
        """Log what the core has to say: what is awaited, what was replaced, warnings.

        Who was warned that it does not work is told as loudly that it does.
        """
        algorithms = len(self.registration.supported_algorithms)
        _log.log(
            level,
            "processor %s registered at %s with %d algorithms, reached at %s",
            self.registration.name,
            self.connection.target,
            algorithms,
            self.registration.connection_str,
        )
        if answer.message:
            _log.warning("the core says to processor %s: %s", self.registration.name, answer.message)
        self.accepted()

    async def _await_loss(self) -> None:
        """Return when the core no longer knows the processor."""
        failures, limit = 0, self.silence
        while True:
            if await self._heard_within(limit):
                failures, limit = 0, self.silence
                continue
            self.back.clear()
            try:
                known = await self._known()
            except grpc.RpcError as error:
                failures += 1
                limit = _PAUSES.after(failures, error)
                continue
            if not known:
                _log.warning("the core does not know processor %s any more; registering again", self.registration.name)
                return
            failures, limit = 0, self.silence

    async def _heard_within(self, limit: float) -> bool:
        """Say whether a heartbeat came before the time was up and before the connection came back."""
        waits = [asyncio.create_task(self.heard.wait()), asyncio.create_task(self.back.wait())]
        try:
            await asyncio.wait(waits, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        heard = self.heard.is_set()
        self.heard.clear()
        return heard and not self.back.is_set()

    async def _known(self) -> bool:
        """Ask the core whether the processor is registered at this address with as many algorithms."""
        connection = self.connection
        request = console.ListProcessorsRequest(page_size=1000)
        while True:
            try:
                page = await connection.processors(request, timeout=_TIMEOUT, metadata=connection.metadata)
            except grpc.RpcError as error:
                if code_of(error) == "UNIMPLEMENTED":
                    return await self._exposed()
                raise
            for processor in page.processors:
                if processor.name == self.registration.name:
                    return self._listed(processor)
            request.page_token = page.page_token
            if not page.page_token:
                return False

    def _listed(self, processor: console.ProcessorInfo) -> bool:
        for instance in processor.instances:
            if _bare(instance.connection_str) != _bare(self.registration.connection_str):
                continue
            if instance.state == console.INSTANCE_STATE_UNREACHABLE:
                _log.warning(
                    "the core cannot reach processor %s at %s, which it announced (%s); set PROCESSOR_ADDRESS",
                    self.registration.name,
                    self.registration.connection_str,
                    instance.reason,
                )
            return instance.algorithms == len(self.registration.supported_algorithms)
        return False

    async def _exposed(self) -> bool:
        """Ask a core that has no console.

        It tells one address for each processor and runtime, so another instance can hide this one, which then registers
        again; that is harmless.
        """
        connection = self.connection
        state = await connection.expose(pb.ExposeSettings(), timeout=_TIMEOUT, metadata=connection.metadata)
        return any(
            p.name == self.registration.name and _bare(p.connection_str) == _bare(self.registration.connection_str)
            for p in state.processors
        )


def _bare(address: str) -> str:
    return address.removeprefix("grpcs://").removeprefix("grpc://")


async def watch(channel: grpc.aio.Channel, back: asyncio.Event) -> None:
    """Keep the connection up, and tell when it is ready again after it was lost, until it is cancelled.

    It looks from time to time: gRPC's own way to wait for a change cannot be given up before the loop ends. What it
    misses in between, the silence of the core tells.
    """
    ready = grpc.ChannelConnectivity.READY
    was_ready = lost = False
    while True:
        is_ready = channel.get_state(try_to_connect=True) is ready
        if is_ready and lost:
            back.set()
        lost = was_ready and not is_ready
        was_ready = was_ready or is_ready
        await asyncio.sleep(_LOOK)
