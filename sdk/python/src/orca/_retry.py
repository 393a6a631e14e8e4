"""When to try again."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import grpc

TRANSIENT = ("UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED")
"""The codes of calls that may succeed a little later."""


@dataclass(frozen=True)
class Pauses:
    """A series of growing pauses, in seconds."""

    shortest: float
    longest: float

    def pause(self, failures: int, jitter: float) -> float:
        """Give the pause after so many failures in a row.

        It doubles each time up to the longest, and jitter from [0, 1) places it between half and all of that.
        """
        full = self.longest
        if failures - 1 < 30:
            full = min(self.longest, self.shortest * (1 << (failures - 1)))
        return full / 2 + jitter * full / 2

    def after(self, failures: int, error: BaseException | None) -> float:
        """Give what the server asks for in a RetryInfo, or the next pause of the series."""
        pause = self.pause(failures, random.random())  # noqa: S311 (no secret)
        asked = asked_delay(error)
        return pause if asked is None else asked + random.random() * pause  # noqa: S311


def code_of(error: BaseException) -> str:
    """Give the name of a failed call's status code, such as "NOT_FOUND"."""
    if isinstance(error, grpc.RpcError):
        code = getattr(error, "code", None)
        if callable(code):
            return str(getattr(code(), "name", "UNKNOWN"))
    return "UNKNOWN"


def words_of(error: BaseException) -> str:
    """Give a status's own words."""
    details = getattr(error, "details", None)
    words = details() if isinstance(error, grpc.RpcError) and callable(details) else None
    return str(words or error)


def asked_delay(error: BaseException | None) -> float | None:
    """Read the delay that a server attached to its error, in seconds."""
    trailing = getattr(error, "trailing_metadata", None)
    metadata: Any = trailing() if callable(trailing) else None
    for key, value in metadata or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            return _retry_delay(value)
    return None


def _retry_delay(status: bytes) -> float | None:
    """Find google.rpc.RetryInfo.retry_delay in a google.rpc.Status, whose classes protobuf does not bring along."""
    try:
        for detail in _fields(status).get(3, []):
            parts = _fields(detail)
            if not parts[1][0].endswith(b"/google.rpc.RetryInfo"):
                continue
            delay = _fields(_fields(parts[2][0])[1][0])
            return delay.get(1, [0])[0] + delay.get(2, [0])[0] / 1e9
    except (KeyError, IndexError, ValueError, TypeError):
        return None
    return None


def _fields(message: bytes) -> dict[int, list[Any]]:
    """Read the fields of a message that has only numbers and blocks of bytes."""
    fields: dict[int, list[Any]] = {}
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        value, at = _varint(message, at)
        if tag & 7 == 2:
            value, at = message[at : at + value], at + value
        elif tag & 7 != 0:
            raise ValueError("neither a number nor bytes")
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def _varint(message: bytes, at: int) -> tuple[Any, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at
