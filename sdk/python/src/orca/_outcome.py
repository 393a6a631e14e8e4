"""What became of a window: a finished run and its algorithms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, TypeVar, cast

from orca._algorithm import Algorithm
from orca._contract import console_pb2 as console
from orca._contract import service_pb2 as pb
from orca._emission import EmitStatus
from orca._errors import NoResultError, OrcaError
from orca._lookback import Lookback
from orca._names import AlgorithmID
from orca._results import read_any
from orca._rows import Row
from orca._time import MAX_DURATION, time_of
from orca._values import read_struct
from orca._window import window_of

T = TypeVar("T")


class RunState(Enum):
    """How a run ended."""

    SUCCEEDED = "succeeded"
    """Every algorithm did."""
    FAILED = "failed"
    """An algorithm failed."""
    INCOMPLETE = "incomplete"
    """None failed, but some were skipped."""
    CANCELLED = "cancelled"


class NodeState(Enum):
    """What became of one algorithm in a run."""

    SUCCEEDED = "succeeded"
    HANDLED_FAILED = "handled failure"
    """It said that it cannot give a result."""
    UNHANDLED_FAILED = "unhandled failure"
    """It broke, as often as the core tries."""
    SKIPPED = "skipped"
    """It was not run, because what it depends on has no result."""
    CANCELLED = "cancelled"


class Freshness(Enum):
    """Whether the past results that an algorithm was given are those that it would be given now."""

    CURRENT = "current"
    STALE = "stale"
    """Windows that came late, or later runs, would change them. The result stays; a reprocess makes it anew."""
    NOT_COMPARED = "not compared"
    """There are too many of them for the core to compare."""


@dataclass(frozen=True)
class Node:
    """What became of one algorithm in a run."""

    algorithm: AlgorithmID
    state: NodeState
    reason: str
    """Why it failed, was skipped or was cancelled."""
    value: Any
    """The result of a success: float, list of floats, dict or None. `outcome[algorithm]` reads it with its own type."""
    error: Mapping[str, Any] | None
    """What a failed algorithm sent: "message", and "details" or "stack" from this SDK."""
    attempts: int
    """How many executions were counted."""
    settled: datetime
    produced_at: int
    """The position of the run in which this came about: an earlier one where a retry kept it."""
    result: pb.Result = field(repr=False, compare=False)

    def __str__(self) -> str:
        """For people: "Speed 1.0.0 of racing: 68.3"."""
        return f"{self.algorithm}: " + (str(self.value) if self.state is NodeState.SUCCEEDED else self._words())

    def _words(self) -> str:
        return f"{self.state.value}: {self.reason}"

    def check(self) -> None:
        """Raise NoResultError, which says why, unless it succeeded."""
        if self.state is not NodeState.SUCCEEDED:
            raise NoResultError(f"no result of {self.algorithm}: {self._words()}")


@dataclass(frozen=True)
class Outcome:
    """A finished run of a window."""

    window_id: str
    position: int
    """The run's place in the order of acceptance, over all windows."""
    revision: int
    """1 for the run of the emit, and one more with each retry or reprocess."""
    state: RunState
    accepted: datetime
    finished: datetime
    nodes: tuple[Node, ...]
    """The algorithms of the run, in the order in which they settled."""

    def __getitem__(self, algorithm: Algorithm[T]) -> T:
        """Give an algorithm's result, or raise NoResultError saying why there is none."""
        node = self.node(algorithm)
        node.check()
        return algorithm.kind.read(node.result)

    def node(self, algorithm: Algorithm[Any]) -> Node:
        """Give what became of an algorithm, or raise NoResultError when it is no part of the run."""
        for node in self.nodes:
            if node.algorithm == algorithm.id:
                return node
        raise NoResultError(f"no result of {algorithm.id}: it is no part of the run of window {self.window_id}")

    def check(self) -> Outcome:
        """Raise NoResultError, which names what did not succeed, unless every algorithm did."""
        if self.state is not RunState.SUCCEEDED:
            lacking = [str(node) for node in self.nodes if node.state is not NodeState.SUCCEEDED]
            raise NoResultError("\n".join([f"run of window {self.window_id} {self.state.value}", *lacking]))
        return self


@dataclass(frozen=True)
class Rerun:
    """The core's word that it has the next run of a window on disk."""

    window_id: str
    revision: int
    """The run's number among those of the window; `client.outcome` takes it."""
    position: int
    status: EmitStatus | None = None
    """What a reprocess has set in motion. None for a retry."""


@dataclass(frozen=True)
class GivenRow:
    """A row that an algorithm was given in a run."""

    algorithm: AlgorithmID
    """It was given the row."""
    dependency: int
    """The place in its needs, from 0, or -1 for its own past results."""
    of: AlgorithmID
    """Whose result it is."""
    lookback: Lookback
    row: Row[Any]
    """Its value is a float, list of floats, dict or None."""
    current: bool
    """The result of the run's own window."""
    position: int
    """Of the run that the row is taken from, like its revision."""
    revision: int
    produced_at: int
    """The position of the run in which the result came about: an earlier one where a retry kept it."""


def _enum_of(known: type[Any], prefix: str, names: Any, value: int) -> Any:
    try:
        return cast(Any, known)[names.Name(value).removeprefix(prefix)]
    except (KeyError, ValueError):
        raise OrcaError(f"{value} is no {known.__name__} of something finished that this SDK knows") from None


def id_of(ref: console.AlgorithmRef) -> AlgorithmID:
    """Read an identity."""
    return AlgorithmID(ref.processor, ref.name, ref.version)


def node_of(info: console.NodeInfo) -> Node:
    """Read a settled node."""
    state: NodeState = _enum_of(NodeState, "OUTCOME_", console.Outcome, info.outcome)
    result = info.result
    return Node(
        algorithm=id_of(info.algorithm),
        state=state,
        reason=info.reason,
        value=read_any(result) if state is NodeState.SUCCEEDED else None,
        error=read_struct(result.error) if result.HasField("error") else None,
        attempts=info.attempts,
        settled=time_of(info.settled_at.seconds * 1_000_000_000 + info.settled_at.nanos),
        produced_at=info.produced_at,
        result=result,
    )


def outcome_of(window_id: str, run: console.RunInfo, nodes: tuple[Node, ...]) -> Outcome:
    """Read a finished run."""
    accepted, finished = run.accepted_at, run.finished_at
    return Outcome(
        window_id=window_id,
        position=run.position,
        revision=run.revision,
        state=_enum_of(RunState, "RUN_STATE_", console.RunState, run.state),
        accepted=time_of(accepted.seconds * 1_000_000_000 + accepted.nanos),
        finished=time_of(finished.seconds * 1_000_000_000 + finished.nanos),
        nodes=nodes,
    )


def freshness_of(node: console.NodeInfo) -> Freshness | None:
    """Read a freshness; None where it is not known."""
    if node.freshness == console.FRESHNESS_UNSPECIFIED:
        return None
    return _enum_of(Freshness, "FRESHNESS_", console.Freshness, node.freshness)


def given_of(given: console.Input, row: console.InputRow) -> GivenRow:
    """Read a row that an algorithm was given."""
    window = window_of(row.window, row.window_id)
    return GivenRow(
        algorithm=id_of(given.algorithm),
        dependency=given.dependency,
        of=id_of(given.of),
        lookback=Lookback(
            given.lookback_num,
            min(given.lookback_time_delta, MAX_DURATION),
            given.lookback_gap_num,
            min(given.lookback_gap_time_delta, MAX_DURATION),
        ),
        row=Row(window, read_any(row.result), row.result.timestamp),
        current=row.current,
        position=row.position,
        revision=row.revision,
        produced_at=row.produced_at,
    )
