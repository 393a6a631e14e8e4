"""Which rows of a request answer which dependency: a run keeps the definition that it was planned with."""

from __future__ import annotations

from typing import Any

import pytest

import orca
from orca._contract import service_pb2 as pb
from orca._inputs import arrange

a, b = orca.remote("a", "Speed", "1.0.0", float), orca.remote("b", "Speed", "1.0.0", float)


def planned(*dependencies: Any, tell: bool = True) -> pb.ExecuteAlgorithm:
    """A request whose n-th entry has n + 1 rows."""
    asked = pb.ExecuteAlgorithm(algorithm=pb.Algorithm(name="Sum", version="1.0.0"))
    for i, dependency in enumerate(dependencies):
        if tell:
            asked.algorithm.dependencies.append(dependency.message())
        entry = asked.dependencies.add(algorithm=pb.Algorithm(name="Speed", version="1.0.0"))
        entry.result.extend([pb.AlgorithmDependencyResultRow()] * (i + 1))
    return asked


def lengths(needs: list[Any], asked: pb.ExecuteAlgorithm) -> list[int]:
    return [len(rows) for rows in arrange(needs, asked)]


def test_namesakes_are_found_where_the_plan_has_them() -> None:
    assert lengths([a.whole, b.whole], planned(a.whole, b.whole)) == [1, 2]
    assert lengths([b.whole, a.whole], planned(a.whole, b.whole)) == [2, 1]


def test_lookbacks_tell_apart_what_is_needed_twice() -> None:
    assert lengths([a.last(2), a.last(3)], planned(a.last(3), a.last(2))) == [2, 1]
    assert lengths([a.last(5), a.last(3)], planned(a.last(3), a.last(2))) == [2, 1]  # another lookback than was planned


def test_a_core_that_does_not_tell_the_plan() -> None:
    assert lengths([b.whole, a.whole], planned(a.whole, b.whole, tell=False)) == [1, 2]


def test_a_dependency_that_the_plan_did_not_have() -> None:
    with pytest.raises(orca.InvalidError, match="planned without the dependency Speed 1.0.0 of b, which"):
        arrange([a.whole, b.whole], planned(a.whole))
