"""The errors of the SDK: what went wrong as a class, the rest in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class OrcaError(Exception):
    """The base of every error that this package raises."""


class InvalidError(OrcaError, ValueError):
    """A name, version, annotation, window, lookback or setting breaks a rule."""


class NotFoundError(OrcaError, LookupError):
    """The core does not know this window, window type or algorithm."""


class ConflictError(OrcaError):
    """It contradicts what the core has: a changed definition under an old version, a key used for another window."""


class UnauthorizedError(OrcaError):
    """The core wants a token, or another one."""


class UnavailableError(OrcaError):
    """The core could not be reached, or did not take the call, for as long as was asked for."""


class NoResultError(OrcaError, LookupError):
    """The algorithm has no result here: it did not succeed, is no part of the run, or was given no row."""


class CallError(OrcaError):
    """A core refused a call or could not be reached.

    Where there is a class for the kind of error, such as `NotFoundError`, the error is of that class as well.
    """

    op: str
    """What was being done, such as "emit window Lap 1.0.0"."""
    core: str
    """The address that was called."""
    attempts: int
    """How often it was tried."""
    code: str
    """The gRPC status code of the last answer, such as "NOT_FOUND"."""

    def __init__(self, text: str, op: str, core: str, attempts: int, code: str) -> None:
        super().__init__(text)
        self.op, self.core, self.attempts, self.code = op, core, attempts, code

    def __reduce__(self) -> tuple[Any, ...]:
        return _remade, (str(self), self.op, self.core, self.attempts, self.code)


def _call(kind: type[OrcaError]) -> type[CallError]:
    """Make the class of a kind's calls. Tracebacks show it under the name that programs catch."""
    return type(kind.__name__, (CallError, kind), {"__module__": "orca", "__doc__": kind.__doc__})


_InvalidCall = _call(InvalidError)
_NotFoundCall = _call(NotFoundError)
_ConflictCall = _call(ConflictError)
_UnauthorizedCall = _call(UnauthorizedError)
_UnavailableCall = _call(UnavailableError)

_KINDS: dict[str, type[CallError]] = {
    "INVALID_ARGUMENT": _InvalidCall,
    "OUT_OF_RANGE": _InvalidCall,
    "NOT_FOUND": _NotFoundCall,
    "ALREADY_EXISTS": _ConflictCall,
    "FAILED_PRECONDITION": _ConflictCall,
    "UNAUTHENTICATED": _UnauthorizedCall,
    "PERMISSION_DENIED": _UnauthorizedCall,
    "UNAVAILABLE": _UnavailableCall,
    "RESOURCE_EXHAUSTED": _UnavailableCall,
    "DEADLINE_EXCEEDED": _UnavailableCall,
}


def _remade(text: str, op: str, core: str, attempts: int, code: str) -> CallError:
    return _KINDS.get(code, CallError)(text, op, core, attempts, code)


def call_error(op: str, core: str, attempts: int, code: str, words: str) -> CallError:
    """Make the error of a call that is given up."""
    kind = _KINDS.get(code, CallError)
    text = f"{op} at {core}: {words}"
    if attempts > 1:
        text += f" (after {attempts} attempts)"
    if kind is _UnavailableCall:
        text += "; is a core running there?"
    elif kind is _UnauthorizedCall:
        text += "; a Python program gives the core's token with token= or ORCA_TOKEN"
    return kind(text, op, core, attempts, code)


class Failure(Exception):
    """Raised by an algorithm that cannot give a result for this window: a handled failure.

    The core stores it with its details, does not try again, and skips what depends on it. Any other exception is an
    unhandled failure, which the core retries.
    """

    reason: str
    details: Mapping[str, Any]

    def __init__(self, reason: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.details = dict(details or {})

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.reason, self.details)


_SHOWN = (OrcaError, CallError, Failure, NoResultError, *(kind for call in _KINDS.values() for kind in call.__bases__))
for _shown in _SHOWN:
    _shown.__module__ = "orca"  # where programs find them
