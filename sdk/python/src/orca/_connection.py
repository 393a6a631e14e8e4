"""The connection to a core, and the calls over it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any, Protocol, TypeVar, cast

import grpc
import grpc.aio
from google.protobuf.message import Message

from orca._contract import console_pb2 as console
from orca._contract import service_pb2 as pb
from orca._results import MAX_MESSAGE_BYTES
from orca._settings import CoreSettings

Request = TypeVar("Request", contravariant=True)
Answer = TypeVar("Answer", covariant=True)
A = TypeVar("A", bound=Message)

Metadata = tuple[tuple[str, str], ...]


class UnaryCall(Awaitable[Answer], Protocol[Answer]):
    """A call that is under way."""

    async def initial_metadata(self) -> Sequence[tuple[str, Any]]:
        """Give the answer's headers."""
        ...


class Unary(Protocol[Request, Answer]):
    """A method with one request and one answer."""

    def __call__(
        self,
        request: Request,
        *,
        timeout: float | None = None,
        metadata: Metadata | None = None,
        wait_for_ready: bool | None = None,
    ) -> UnaryCall[Answer]: ...


class Streaming(Protocol[Request, Answer]):
    """A method with one request and a stream of answers."""

    def __call__(self, request: Request, *, metadata: Metadata | None = None) -> AsyncIterator[Answer]: ...


_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # A core that comes back is found within a second.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # In spite of its name this is how long an attempt to connect may take.
    ("grpc.min_reconnect_backoff_ms", 5000),
    # Finds connections that died silently under a long stream. Servers refuse pings that come more often than every
    # five minutes, unless they say otherwise.
    ("grpc.keepalive_time_ms", 310_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # Channels of one process would share their connection, and an interruption of it.
    ("grpc.use_local_subchannel_pool", 1),
]


class Connection:
    """The connection to a core. Making it does no I/O: gRPC dials when a call is made, and again when it is lost."""

    def __init__(self, settings: CoreSettings) -> None:
        target = settings.core.host_port
        self.target = str(settings.core)
        if settings.tls is None:
            self.channel = grpc.aio.insecure_channel(target, options=_OPTIONS)
        else:
            ca, certificate, key = settings.tls.read()
            credentials = grpc.ssl_channel_credentials(ca, key, certificate)
            self.channel = grpc.aio.secure_channel(target, credentials, options=_OPTIONS)
        self.metadata: Metadata = (("authorization", f"Bearer {settings.token}"),) if settings.token else ()
        unary = self._unary
        core, orca = "/OrcaCore", "/orca.console.v1.OrcaConsole"
        self.register: Unary[pb.ProcessorRegistration, pb.Status] = unary(f"{core}/RegisterProcessor", pb.Status)
        self.emit: Unary[pb.Window, pb.WindowEmitStatus] = unary(f"{core}/EmitWindow", pb.WindowEmitStatus)
        self.expose: Unary[pb.ExposeSettings, pb.InternalState] = unary(f"{core}/Expose", pb.InternalState)
        self.processors: Unary[console.ListProcessorsRequest, console.ListProcessorsResponse] = unary(
            f"{orca}/ListProcessors", console.ListProcessorsResponse
        )
        self.results: Unary[console.ListResultsRequest, console.ListResultsResponse] = unary(
            f"{orca}/ListResults", console.ListResultsResponse
        )
        self.inputs: Unary[console.ListInputsRequest, console.ListInputsResponse] = unary(
            f"{orca}/ListInputs", console.ListInputsResponse
        )
        self.window: Unary[console.GetWindowRequest, console.GetWindowResponse] = unary(
            f"{orca}/GetWindow", console.GetWindowResponse
        )
        self.retry: Unary[console.RetryWindowRequest, console.RetryWindowResponse] = unary(
            f"{orca}/RetryWindow", console.RetryWindowResponse
        )
        self.reprocess: Unary[console.ReprocessWindowRequest, console.ReprocessWindowResponse] = unary(
            f"{orca}/ReprocessWindow", console.ReprocessWindowResponse
        )
        self.cancel: Unary[console.CancelWindowRequest, console.CancelWindowResponse] = unary(
            f"{orca}/CancelWindow", console.CancelWindowResponse
        )
        self.watch: Streaming[console.WatchWindowRequest, console.WatchWindowResponse] = cast(
            Any,
            self.channel.unary_stream(
                f"{orca}/WatchWindow",
                request_serializer=_bytes,
                response_deserializer=console.WatchWindowResponse.FromString,
            ),
        )

    def _unary(self, path: str, answer: type[A]) -> Unary[Any, A]:
        call = self.channel.unary_unary(path, request_serializer=_bytes, response_deserializer=answer.FromString)
        return cast(Any, call)

    async def close(self) -> None:
        """Give the connection up. Calls that are under way end."""
        await self.channel.close()


def _bytes(message: Message) -> bytes:
    return message.SerializeToString()
