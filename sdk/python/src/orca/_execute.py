"""Runs an algorithm once. There is always a result to send, whatever the algorithm does."""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping
from typing import Any, cast

from orca._algorithm import Algorithm
from orca._contract import service_pb2 as pb
from orca._errors import Failure, InvalidError
from orca._results import encode
from orca._run import Cancellation, Emitter, Run
from orca._values import write_struct

_MAX_TEXT = 64 << 10  # of a failure's message or stack, in characters
_MAX_DETAILS = 4 << 20  # bytes

Outcome = tuple[pb.Result, BaseException | None]
"""What is sent, and the exception that a failed result stands for."""


def execute(
    algorithm: Algorithm[Any],
    window: pb.Window,
    asked: pb.ExecuteAlgorithm,
    emitter: Emitter,
    cancellation: Cancellation,
    exec_id: str = "",
) -> Outcome:
    """Run a plain function."""
    try:
        run = Run(algorithm, window, asked, emitter, cancellation, exec_id)
        result = encode(algorithm.kind, algorithm(run))
        result.timestamp = int(time.time())
        return result, None
    except (Exception, SystemExit) as error:
        return failed(error), error


async def execute_async(
    algorithm: Algorithm[Any],
    window: pb.Window,
    asked: pb.ExecuteAlgorithm,
    emitter: Emitter,
    cancellation: Cancellation,
    exec_id: str = "",
) -> Outcome:
    """Run an async function. Only its cancellation passes through."""
    try:
        run = Run(algorithm, window, asked, emitter, cancellation, exec_id)
        result = encode(algorithm.kind, await algorithm(run))
        result.timestamp = int(time.time())
        return result, None
    except (Exception, SystemExit) as error:
        return failed(error), error


def failed(error: BaseException) -> pb.Result:
    """Make the result that stands for an exception.

    Its error has the field "message", and "details" for a `Failure` that has some, or "stack" for any other exception.
    """
    result = pb.Result(status=pb.RESULT_STATUS_UNHANDLED_FAILED, timestamp=int(time.time()))
    fields = result.error.fields
    if isinstance(error, Failure):
        result.status = pb.RESULT_STATUS_HANDLED_FAILED
        fields["message"].string_value = _text(_words(error))
        if error.details:
            _write_details(error.details, result)
        return result
    if isinstance(error, InvalidError):
        fields["message"].string_value = _text(_words(error))
    else:
        name, words = type(error).__qualname__, _words(error)
        fields["message"].string_value = _text(f"{name}: {words}" if words else name)
    fields["stack"].string_value = _text(_stack(error))
    return result


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:  # an exception of the user's whose __str__ fails
        return f"its text cannot be had, {type(broken).__name__}"


def _stack(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except Exception:  # as above
        return "".join(traceback.format_tb(error.__traceback__))


def _text(text: str) -> str:
    if len(text) > _MAX_TEXT:
        text = text[:_MAX_TEXT] + "…"
    return text.encode("utf-8", "replace").decode()


def _write_details(details: Mapping[str, Any], result: pb.Result) -> None:
    whole = pb.Result()
    try:
        write_struct(details, whole.error)
    except InvalidError as error:
        result.error.fields["details"].string_value = _text(f"these details cannot be sent: {error}")
        return
    size = whole.error.ByteSize()
    if size > _MAX_DETAILS:
        words = f"these details are left out: {size} bytes, at most {_MAX_DETAILS} are sent"
        result.error.fields["details"].string_value = words
        return
    result.error.fields["details"].struct_value.CopyFrom(cast(Any, whole.error))
