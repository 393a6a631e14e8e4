"""A core in memory, on virtual time."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from orca import _lookback
from orca._contract import console_pb2 as console
from orca._contract import service_pb2 as pb
from orca._emission import Emission, EmitStatus
from orca._errors import ConflictError, InvalidError, NotFoundError
from orca._outcome import Node, Outcome, node_of, outcome_of
from orca._rows import Row, Rows
from orca._time import SECOND
from orca._values import read_struct
from orca._window import Window, WindowType, window_of
from orca.testing._call import answered, perform
from orca.testing._lookback import History, Past, View

if TYPE_CHECKING:
    from orca._algorithm import Algorithm
    from orca._lookback import Lookback
    from orca._names import AlgorithmID
    from orca._processor import Processor

T = TypeVar("T")


@dataclass
class _Known:
    """One algorithm of a core, with its past results."""

    algorithm: Algorithm[Any]
    on: WindowType
    needs: list[tuple[_Known, View]] = field(default_factory=list[Any])
    history: History = field(default_factory=History)
    results: dict[int, Row[Any]] = field(default_factory=dict[int, Row[Any]])  # by position
    own: View | None = None

    def view(self, of: _Known, back: Lookback) -> View:
        """Say what it sees of another's past: a window matches when it has equal values in every common filter."""
        filters = {f.name for f in of.on.fields if f.filter}
        same = tuple(f.name for f in self.on.fields if f.filter and f.name in filters)
        return View(of.history, back, self.on == of.on, same)


@dataclass
class _Run:
    """The processing of one accepted window."""

    position: int
    window: Window
    message: pb.Window  # as the algorithms of the run see it
    metadata: Mapping[str, Any]  # as it comes over the wire
    stored: pb.Window  # as every row shows it: without no_store fields
    outcome: Outcome | None = None

    @property
    def id(self) -> str:
        return f"w-{self.position}"


class Core:
    """A core in memory, for one thread at a time.

    The order in which windows are emitted is the order in which they are accepted: an algorithm sees nothing of what is
    emitted later, whatever its time. A failed algorithm is not tried again, and nothing is retried, reprocessed or
    cancelled.

    All that the processors' algorithms need must be among them: for another team's algorithm, give a processor of that
    name with a stand-in.
    """

    def __init__(self, *processors: Processor) -> None:
        self._types: dict[WindowType, WindowType] = {}
        self._known: dict[AlgorithmID, _Known] = {}
        self._accepted: list[_Run] = []  # in the order of acceptance: position 1 is the first
        self._finished = 0  # how many of these have an outcome
        self._keys: dict[str, _Run] = {}  # by the idempotency keys that algorithms emit with
        names = [processor.name for processor in processors]
        for name in names:
            if names.count(name) > 1:
                raise InvalidError(f"processor {name}: it is given twice")
        for processor in processors:
            for algorithm in processor.algorithms:
                self._announce(algorithm)
        for known in self._known.values():
            self._connect(known)
        self._order = _sorted(list(self._known.values()))

    def _announce(self, algorithm: Algorithm[Any]) -> None:
        on = algorithm.on
        if on is None:
            raise InvalidError(f"{algorithm.id} has no window type")
        declared = self._types.setdefault(on, on)
        if declared.flags() != on.flags():
            raise InvalidError(f"{algorithm.id}: another algorithm declares other fields for window type {on}")
        self._known[algorithm.id] = _Known(algorithm, on)

    def _connect(self, known: _Known) -> None:
        known.own = known.view(known, known.algorithm.needs_self)
        for need in known.algorithm.needs:
            id = need.algorithm.id
            if id not in self._known:
                raise InvalidError(
                    f"processors: {known.algorithm.id} needs {id}, which none of them has;"
                    f" give a processor {id.processor} with a stand-in"
                )
            of = self._known[id]
            if of.on == known.on:
                _lookback.check_idle(need.back, str(id))
            known.needs.append((of, known.view(of, need.back)))

    def emit(self, window: Window) -> Outcome:
        """Accept a window and run what it triggers, together with the windows that its algorithms emit.

        Algorithms that fail are in the outcome, and raise nothing. What a core would refuse is an InvalidError or a
        NotFoundError.
        """
        run = self._accept(window, None)
        while self._finished < len(self._accepted):
            self._finish(self._accepted[self._finished])
        return self.outcome(run.id)

    def outcome(self, window: Emission | str) -> Outcome:
        """Give what became of a window that an algorithm emitted."""
        id = window.window_id if isinstance(window, Emission) else window
        for run in self._accepted:
            if run.id == id and run.outcome is not None:
                return run.outcome
        raise NotFoundError(f"window {id!r} has no finished run")

    def results(self, algorithm: Algorithm[T]) -> Rows[T]:
        """Give all results of an algorithm, the newest window first."""
        known = self._known.get(algorithm.id)
        if known is None:
            raise NotFoundError(f"no processor of this core has {algorithm.id}")
        return Rows([known.results[past.position] for past in reversed(known.history.results)])

    @property
    def accepted(self) -> Sequence[Window]:
        """All windows in the order of acceptance, those that algorithms emitted too."""
        return [run.window for run in self._accepted]

    def _accept(self, window: Window, key: str | None) -> _Run:
        """Give a window its position. The same key with the same window gives the first one again."""
        declared = self._types.get(window.type)
        if declared is None:
            raise NotFoundError(f"emit window {window.type}: no algorithm announces window type {window.type}")
        message = pb.Window.FromString(window.message().SerializeToString())
        metadata = read_struct(message.metadata)
        missing = sorted(f.name for f in declared.fields if f.name not in metadata)
        if missing:
            raise InvalidError(
                f"emit window {window.type}: its type declares {', '.join(missing)}, which this window lacks"
            )
        first = self._keys.get(key) if key is not None else None
        if first is not None:
            if first.message != message:
                raise ConflictError(f"emit window {window.type}: the key {key!r} belongs to another window")
            return first
        stored = pb.Window.FromString(message.SerializeToString())
        for declared_field in declared.fields:
            if declared_field.no_store:
                del stored.metadata.fields[declared_field.name]
        run = _Run(len(self._accepted) + 1, window, message, metadata, stored)
        if key is not None:
            self._keys[key] = run
        self._accepted.append(run)
        return run

    def _finish(self, run: _Run) -> None:
        """Run the nodes of a window's run and settle them all at once."""
        infos: dict[AlgorithmID, console.NodeInfo] = {}
        nodes: list[Node] = []
        for known in self._order:
            if known.on == run.window.type:
                info = self._settle(run, known, infos)
                infos[known.algorithm.id] = info
                nodes.append(node_of(info))
        good = all(info.outcome == console.OUTCOME_SUCCEEDED for info in infos.values())
        end = run.window.time_to
        answer = console.RunInfo(
            position=run.position,
            revision=1,
            state=console.RUN_STATE_SUCCEEDED if good else console.RUN_STATE_FAILED,
        )
        for at in (answer.accepted_at, answer.finished_at):
            at.seconds, at.nanos = divmod(end, SECOND)
        run.outcome = outcome_of(run.id, answer, tuple(nodes))
        self._finished += 1
        for id, info in infos.items():
            if info.outcome == console.OUTCOME_SUCCEEDED:
                self._keep(run, self._known[id], info.result)

    def _keep(self, run: _Run, known: _Known, result: pb.Result) -> None:
        row = pb.AlgorithmDependencyResultRow(result=result, window=run.stored)
        window = run.window
        known.history.add(Past(window.time_to, window.time_from, run.position, run.metadata, row))
        value = known.algorithm.kind.read(result)
        known.results[run.position] = Row(window_of(run.stored, run.id), value, result.timestamp)

    def _settle(self, run: _Run, known: _Known, infos: Mapping[AlgorithmID, console.NodeInfo]) -> console.NodeInfo:
        """Give one node of a run its outcome."""
        id = known.algorithm.id
        info = console.NodeInfo(
            algorithm=console.AlgorithmRef(processor=id.processor, name=id.name, version=id.version),
            produced_at=run.position,
        )
        info.settled_at.seconds, info.settled_at.nanos = divmod(run.window.time_to, SECOND)
        for of, _ in known.needs:
            before = infos.get(of.algorithm.id)
            if before is not None and before.outcome != console.OUTCOME_SUCCEEDED:
                info.outcome = console.OUTCOME_SKIPPED
                info.reason = _lacking(id, of.algorithm.id, before.outcome)
                return info
        result, _ = perform(known.algorithm, run.message, self._request(run, known, infos), _Emitter(self))
        result.timestamp = run.window.time_to // SECOND  # virtual time: as soon as the window is over
        info.result.CopyFrom(result)
        info.attempts = 1
        info.outcome = console.OUTCOME_UNHANDLED_FAILED
        if result.status == pb.RESULT_STATUS_SUCEEDED:
            info.outcome = console.OUTCOME_SUCCEEDED
        elif result.status == pb.RESULT_STATUS_HANDLED_FAILED:
            info.outcome = console.OUTCOME_HANDLED_FAILED
        if info.outcome != console.OUTCOME_SUCCEEDED:
            info.reason = result.error.fields["message"].string_value
        return info

    def _request(self, run: _Run, known: _Known, infos: Mapping[AlgorithmID, console.NodeInfo]) -> pb.ExecuteAlgorithm:
        asked = pb.ExecuteAlgorithm(algorithm=known.algorithm.message())
        interval = run.window.time_from, run.window.time_to
        for of, view in known.needs:
            id = of.algorithm.id
            given = asked.dependencies.add(algorithm=pb.Algorithm(name=id.name, version=id.version))
            if id in infos:
                given.result.add(result=infos[id].result, window=run.stored)
            given.result.extend(past.row for past in view.past(*interval, run.metadata))
        if known.own is not None:
            asked.selfResults.extend(past.row for past in known.own.past(*interval, run.metadata))
        return asked

    def emit_from_algorithm(self, window: Window, key: str | None) -> Emission:
        """Accept a window that an algorithm emits. It runs after the window that is being run."""
        return Emission(self._accept(window, key).id, EmitStatus.PROCESSING_TRIGGERED)


class _Emitter:
    def __init__(self, core: Core) -> None:
        self._core = core

    def emit(self, window: Window, idempotency_key: str | None) -> Emission:
        return self._core.emit_from_algorithm(window, idempotency_key)

    def emit_async(self, window: Window, idempotency_key: str | None) -> Awaitable[Emission]:
        return answered(self.emit(window, idempotency_key))


def _sorted(algorithms: list[_Known]) -> list[_Known]:
    """Put algorithms into an order in which each comes after those that it needs."""
    done: list[_Known] = []
    path: list[_Known] = []

    def visit(known: _Known) -> None:
        if any(known is other for other in done):
            return
        for begin, other in enumerate(path):
            if other is known:
                names = [f"{k.algorithm.id.name} {k.algorithm.id.version}" for k in [*path[begin:], known]]
                raise InvalidError(f"dependencies: {' → '.join(names)} is a cycle")
        path.append(known)
        for of, _ in known.needs:
            visit(of)
        done.append(path.pop())

    for known in algorithms:
        visit(known)
    return done


def _lacking(id: AlgorithmID, needed: AlgorithmID, outcome: int) -> str:
    """Say in a core's words why a node is skipped: what it needs, and what became of that."""
    name = f"{needed.name} {needed.version}"
    if needed.processor != id.processor:
        name += f' of processor "{needed.processor}"'
    how = "was skipped"
    if outcome == console.OUTCOME_HANDLED_FAILED:
        how = "failed (handled)"
    elif outcome == console.OUTCOME_UNHANDLED_FAILED:
        how = "failed (unhandled)"
    return f"needs {name}, which {how}"
