"""Algorithms that run in another process: what travels there is a reference and bytes, what comes back is bytes."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

from orca._algorithm import Algorithm
from orca._contract import service_pb2 as pb
from orca._errors import InvalidError
from orca._execute import execute, failed
from orca._names import AlgorithmID
from orca._run import Cancellation
from orca._settings import CoreSettings
from orca._worker import WorkerEmitter


class Reference(NamedTuple):
    """Where a process finds an algorithm: a module, and what the module has."""

    module: str
    name: str
    id: AlgorithmID


def reference_to(algorithm: Algorithm[Any]) -> Reference:
    """Say where an algorithm is found, or raise InvalidError saying what is needed."""
    function: Any = algorithm.function
    name = getattr(function, "__qualname__", "")
    reference = Reference(getattr(function, "__module__", ""), name, algorithm.id)
    if "<locals>" in name or "<lambda>" in name:
        raise InvalidError(
            f"{algorithm.id} is defined inside of {name!r}, where another process cannot find it;"
            " define it at the top level of a module, or run it on threads"
        )
    try:
        find(reference)
    except InvalidError as error:
        raise InvalidError(f"{error}; keep it in a variable of the module, or run it on threads") from None
    return reference


def find(reference: Reference) -> Algorithm[Any]:
    """Find the algorithm that a reference means, importing its module if need be."""
    try:
        module = sys.modules.get(reference.module) or importlib.import_module(reference.module)
    except ImportError as error:
        raise InvalidError(
            f"{reference.id} is defined in module {reference.module!r}, which this process cannot import ({error});"
            " install it where the workers run"
        ) from None
    for candidate in _candidates(module, reference.name):
        if isinstance(candidate, Algorithm):
            algorithm = cast("Algorithm[Any]", candidate)
            if algorithm.id == reference.id:
                return algorithm
    hint = "; a cluster's workers have another __main__, so define it in a module that they can import"
    raise InvalidError(
        f"{reference.id} is not in module {reference.module!r} of this process"
        + (hint if reference.module == "__main__" else "")
    )


def _candidates(module: Any, name: str) -> Iterator[Any]:
    at: Any = module
    for part in name.split("."):
        at = getattr(at, part, None)
    yield at
    yield from tuple(cast(Any, vars(module)).values())


def execute_bytes(reference: Reference, window: bytes, asked: bytes, exec_id: str, core: CoreSettings) -> bytes:
    """Run an algorithm in this process on inputs in their wire form. Windows that it emits go to the core."""
    try:
        algorithm = find(reference)
    except Exception as error:  # a module of the user's may raise anything
        return failed(error).SerializeToString()
    result, _ = execute(
        algorithm,
        pb.Window.FromString(window),
        pb.ExecuteAlgorithm.FromString(asked),
        WorkerEmitter(core),
        Cancellation(),
        exec_id,
    )
    return result.SerializeToString()
