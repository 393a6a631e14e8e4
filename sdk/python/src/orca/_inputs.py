"""Which entry of a request answers which dependency of an algorithm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from orca import _lookback
from orca._algorithm import Algorithm, Dependency
from orca._contract import service_pb2 as pb
from orca._errors import InvalidError
from orca._lookback import Lookback
from orca._names import AlgorithmID


@dataclass
class _Offer:
    """One entry of a request's dependencies."""

    id: AlgorithmID  # the processor is empty when the request does not tell
    back: Lookback
    rows: Sequence[pb.AlgorithmDependencyResultRow]
    taken: bool = False


_Match = Callable[[Dependency[Any], _Offer], bool]


def _same(need: Dependency[Any], offer: _Offer) -> bool:
    return need.algorithm.id == offer.id and need.back == offer.back


def _same_algorithm(need: Dependency[Any], offer: _Offer) -> bool:
    return need.algorithm.id == offer.id


def _same_name(need: Dependency[Any], offer: _Offer) -> bool:
    id = need.algorithm.id
    return not offer.id.processor and (offer.id.name, offer.id.version) == (id.name, id.version)


_MATCHES: tuple[_Match, ...] = (_same, _same_algorithm, _same_name)


def arrange(
    needs: Sequence[Dependency[Any]], asked: pb.ExecuteAlgorithm
) -> list[Sequence[pb.AlgorithmDependencyResultRow]]:
    """Give to each need the rows of the entry that answers it.

    An entry does not name its processor, so two algorithms of one name are told apart by position: entries have the
    order of the dependencies in the definition that the request carries. That one can differ from this program's, since
    a run keeps the definition it was planned with, so needs are looked up in it rather than counted: the same
    algorithm with the same lookback first, then the same algorithm, then the same name from a core that sent no
    dependencies along. A need that the plan did not have fails: guessing that it has no results would give wrong ones.
    """
    if not needs:
        return []
    offers = _offers(asked)
    chosen: list[_Offer | None] = [None] * len(needs)
    for match in _MATCHES:
        for i, need in enumerate(needs):
            if chosen[i] is None:
                chosen[i] = _take(offers, need, match)
    rows: list[Sequence[pb.AlgorithmDependencyResultRow]] = []
    for need, offer in zip(needs, chosen, strict=True):
        if offer is None:
            raise InvalidError(
                f"this run was planned without the dependency {need}, which the processor's definition has;"
                " give the algorithm a new version when its dependencies change"
            )
        rows.append(offer.rows)
    return rows


def _take(offers: list[_Offer], need: Dependency[Any], match: _Match) -> _Offer | None:
    for offer in offers:
        if not offer.taken and match(need, offer):
            offer.taken = True
            return offer
    return None


def _offers(asked: pb.ExecuteAlgorithm) -> list[_Offer]:
    planned = asked.algorithm.dependencies
    if len(planned) == len(asked.dependencies):
        return [
            _Offer(AlgorithmID(d.processor_name, d.name, d.version), _lookback.read(d), given.result)
            for d, given in zip(planned, asked.dependencies, strict=True)
        ]
    return [
        _Offer(AlgorithmID("", given.algorithm.name, given.algorithm.version), _lookback.NONE, given.result)
        for given in asked.dependencies
    ]


class DeprecatedResults:
    """What a request has in its deprecated fields, which is all that older cores fill.

    They are the current window's results of what its algorithms need, each once, in the order in which they are first
    needed. They name no processor.
    """

    def __init__(self, request: pb.ExecutionRequest) -> None:
        self._results = request.algorithm_results
        self._order: list[AlgorithmID] = []

    def add(self, planned: pb.Algorithm, algorithm: Algorithm[Any]) -> None:
        """Take up what one more algorithm needs: as it was planned, or as defined here if the request does not say."""
        for d in planned.dependencies or [need.message() for need in algorithm.needs]:
            id = AlgorithmID(d.processor_name, d.name, d.version)
            if id not in self._order:
                self._order.append(id)

    def execution(self, planned: pb.Algorithm, algorithm: Algorithm[Any]) -> pb.ExecuteAlgorithm:
        """Make the newer form: each need with the current window's result."""
        asked = pb.ExecuteAlgorithm(algorithm=pb.Algorithm(name=planned.name, version=planned.version))
        for need in algorithm.needs:
            id = need.algorithm.id
            asked.algorithm.dependencies.append(need.message())
            entry = asked.dependencies.add(algorithm=pb.Algorithm(name=id.name, version=id.version))
            found = self._find(id)
            if found is not None:
                entry.result.add(result=found.result, window=found.window if found.HasField("window") else None)
        return asked

    def _find(self, id: AlgorithmID) -> pb.AlgorithmResult | None:
        """Find the result of an algorithm.

        Of several algorithms of one name each has its place, if all of them have a result. If some have none, it cannot
        be told whose the others are, and a missing result is better than a wrong one.
        """
        name = (id.name, id.version)
        found = [r for r in self._results if (r.algorithm.name, r.algorithm.version) == name]
        namesakes = [other for other in self._order if (other.name, other.version) == name]
        if not found or (len(namesakes) > 1 and len(namesakes) != len(found)):
            return None
        return found[namesakes.index(id)]
