"""Algorithms: a function with its name, what triggers it, what it needs and what it gives."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar, overload

from orca import _lookback
from orca._contract import service_pb2 as pb
from orca._errors import InvalidError
from orca._lookback import Lookback
from orca._names import AlgorithmID, check_description, check_name, check_text, check_version
from orca._results import ANY, Kind, kind_of
from orca._time import Duration
from orca._window import WindowType

if TYPE_CHECKING:
    from orca._run import Run

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


def runtime_name() -> str:
    """Give the runtime that this process announces, such as "python3.12.4"."""
    return f"python{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"


class Algorithm(Generic[T]):
    """An algorithm whose results are of type T: one of this program's, or another processor's that `remote` names.

    It is what `needs=` takes and what reads its results: `run[speed].value`, `outcome[speed]`, `client.results(speed)`.
    Calling it calls the function.
    """

    def __init__(
        self,
        id: AlgorithmID,
        kind: Kind[Any],
        *,
        runtime: str,
        on: WindowType | None = None,
        function: Callable[[Run], Any] | None = None,
        needs: tuple[Dependency[Any], ...] = (),
        needs_self: Lookback = _lookback.NONE,
        description: str = "",
        executor: Executor | None = None,
    ) -> None:
        self.id, self.kind, self.runtime, self.on, self.function = id, kind, runtime, on, function
        self.needs, self.needs_self, self.description, self.executor = needs, needs_self, description, executor
        self.is_async = function is not None and _is_async(function)
        self.whole = Dependency(self, _lookback.NONE)
        if function is not None:
            self.__doc__ = function.__doc__
            self.__name__ = getattr(function, "__name__", id.name)
            self.__wrapped__ = function

    def last(self, count: int, *, gap: int | Duration | None = None) -> Dependency[T]:
        """Need the newest past results too, so many; `gap` leaves out the nearest. See `orca.last`."""
        return Dependency(self, _lookback.last(count, gap=gap))

    def over(self, duration: Duration, *, gap: int | Duration | None = None) -> Dependency[T]:
        """Need the results of the whole windows within a duration too. See `orca.over`."""
        return Dependency(self, _lookback.over(duration, gap=gap))

    def newest(self, *, gap: int | Duration | None = None) -> Dependency[T]:
        """Need, of another window type, the newest past result after the gap."""
        return Dependency(self, _lookback.newest(gap=gap))

    def __call__(self, run: Run) -> Any:
        if self.function is None:
            raise InvalidError(f"{self.id} runs in another processor and cannot be called")
        return self.function(run)

    def __str__(self) -> str:
        return str(self.id)

    def __repr__(self) -> str:
        return f"<algorithm {self.id}>"

    def message(self) -> pb.Algorithm:
        """Give its announcement."""
        message = pb.Algorithm(
            name=self.id.name,
            version=self.id.version,
            window_type=self.on.message() if self.on else None,
            dependencies=[need.message() for need in self.needs],
            result_type=self.kind.type,
            description=self.description,
        )
        _lookback.write(self.needs_self, message)
        return message


class Dependency(Generic[T]):
    """An algorithm together with how far back its results are needed. Equal ones read the same rows."""

    __slots__ = ("algorithm", "back")

    def __init__(self, algorithm: Algorithm[T], back: Lookback) -> None:
        self.algorithm, self.back = algorithm, back

    def __str__(self) -> str:
        """For people: "Speed 1.0.0 of racing (last 24)"."""
        return f"{self.algorithm.id} ({self.back})" if self.back != _lookback.NONE else str(self.algorithm.id)

    def __repr__(self) -> str:
        return f"<dependency {self}>"

    def __eq__(self, other: object) -> bool:
        """Equal when algorithm and lookback are."""
        if not isinstance(other, Dependency):
            return NotImplemented
        return self.algorithm.id == other.algorithm.id and self.back == other.back

    def __hash__(self) -> int:
        return hash((self.algorithm.id, self.back))

    def message(self) -> pb.AlgorithmDependency:
        """Give its part of an announcement."""
        id = self.algorithm.id
        message = pb.AlgorithmDependency(
            name=id.name, version=id.version, processor_name=id.processor, processor_runtime=self.algorithm.runtime
        )
        _lookback.write(self.back, message)
        return message


Need: TypeAlias = Algorithm[Any] | Dependency[Any]
"""What `needs=` takes."""


class Decorator(Protocol):
    """Turns a function into an algorithm."""

    @overload
    def __call__(self, function: Callable[[Run], Coroutine[Any, Any, T]], /) -> Algorithm[T]: ...
    @overload
    def __call__(self, function: Callable[[Run], T], /) -> Algorithm[T]: ...


@overload
def remote(processor: str, name: str, version: str, result: None, *, runtime: str | None = None) -> Algorithm[None]: ...
@overload
def remote(processor: str, name: str, version: str, result: type[T], *, runtime: str | None = None) -> Algorithm[T]: ...
@overload
def remote(processor: str, name: str, version: str, *, runtime: str | None = None) -> Algorithm[Any]: ...
def remote(processor: str, name: str, version: str, result: Any = Any, *, runtime: str | None = None) -> Algorithm[Any]:
    """Name an algorithm of another processor, by what its results are: float, list[float], dict, a dataclass, None.

    Without `result` they are read as whatever they are. `runtime` prefers instances of a runtime, such as "go1.26".
    """
    check_text("processor name", processor)
    check_name("algorithm", name)
    check_version("algorithm", version)
    check_text("runtime", runtime or runtime_name())
    kind = ANY if result is Any else kind_of(result)
    return Algorithm(AlgorithmID(processor, name, version), kind, runtime=runtime or runtime_name())


_UNSAID: Any = object()  # no result= is given; None is a kind of result


def define(
    id: AlgorithmID,
    on: WindowType,
    function: Callable[[Run], Any],
    *,
    needs: Iterable[Need],
    needs_self: Lookback | None,
    description: str | None,
    result: Any,
    executor: Executor | None,
    names: dict[str, Any],
) -> Algorithm[Any]:
    """Make an algorithm of this program and check all that is said of it."""
    check_name("algorithm", id.name)
    check_version("algorithm", id.version)
    try:
        if not isinstance(on, WindowType):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidError(f"on={on!r}: must be a WindowType")
        _check_function(function)
        algorithm: Algorithm[Any] = Algorithm(
            id,
            kind_of(_annotation(function, names) if result is _UNSAID else result),
            runtime=runtime_name(),
            on=on,
            function=function,
            needs=_dependencies(id, on, needs),
            needs_self=_self_lookback(needs_self),
            description=_description(function, description),
            executor=executor,
        )
        if algorithm.is_async and executor is not None:
            raise InvalidError("executor=: an async function runs on the event loop; make it a plain function")
    except InvalidError as error:
        raise InvalidError(f"algorithm {id.name} {id.version}: {error}") from None
    return algorithm


def _is_async(function: Callable[..., Any]) -> bool:
    return asyncio.iscoroutinefunction(function) or asyncio.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def _check_function(function: Any) -> None:
    if not callable(function):
        raise InvalidError(f"{function!r} is not a function")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise InvalidError("the function yields; an algorithm returns one result")
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        raise InvalidError(
            f"the function takes {inspect.signature(function)}; it is called with one argument, the run"
        ) from None
    except ValueError:  # a builtin that does not tell
        pass


def _annotation(function: Callable[..., Any], names: dict[str, Any]) -> Any:
    """Read the return annotation, which may be text that names what the function's scope knows."""
    try:
        annotation = inspect.get_annotations(function).get("return", _UNSAID)
        if isinstance(annotation, str):
            scope = {**getattr(function, "__globals__", {}), **names}
            annotation = eval(annotation, scope)  # noqa: S307 (the program's own annotation)
    except (NameError, AttributeError) as error:
        raise InvalidError(f"cannot read the return annotation: {error}; say it with result=...") from None
    if annotation is _UNSAID:
        raise InvalidError("the function has no return annotation, which says what kind of result it gives: -> float")
    return annotation


def _description(function: Callable[..., Any], text: str | None) -> str:
    if text is None:
        text = (inspect.getdoc(function) or "").split("\n\n")[0].replace("\n", " ").strip()
    check_description("algorithm", text)
    return text


def _self_lookback(back: Lookback | None) -> Lookback:
    if back is None:
        return _lookback.NONE
    if not isinstance(back, Lookback):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidError(f"needs_self={back!r}: must be what orca.last or orca.over made")
    _lookback.check_idle(back, "own past results")
    return back


def _dependencies(id: AlgorithmID, on: WindowType, needs: Iterable[Need]) -> tuple[Dependency[Any], ...]:
    if isinstance(needs, (Algorithm, Dependency, str)) or not isinstance(needs, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidError(f"needs={needs!r}: must be a list of algorithms, such as needs=[speed]")
    found: list[Dependency[Any]] = []
    for i, need in enumerate(needs):
        dependency = need.whole if isinstance(need, Algorithm) else need
        if not isinstance(dependency, Dependency):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidError(f"needs[{i}] is {need!r}: must be an algorithm, or what its last or over made")
        other = dependency.algorithm
        if other.id == id:
            raise InvalidError(f"needs[{i}]: it needs itself; ask for its own past results with needs_self")
        if other.on == on:
            _lookback.check_idle(dependency.back, str(other.id))
        if dependency in found:
            raise InvalidError(f"needs[{i}]: {other.id} is there twice with the same lookback")
        found.append(dependency)
    return tuple(found)
