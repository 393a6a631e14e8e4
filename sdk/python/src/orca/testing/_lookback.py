"""The rules of lookbacks, as plainly as they can be written."""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from orca._lookback import Lookback

if TYPE_CHECKING:
    from orca._contract import service_pb2 as pb

_EARLIEST = -(1 << 63)


@dataclass(frozen=True)
class Past:
    """One result of a run that was accepted earlier."""

    time_to: int
    time_from: int
    position: int
    metadata: Mapping[str, Any]  # as the algorithms of its run saw it
    row: pb.AlgorithmDependencyResultRow


@dataclass
class History:
    """The succeeded results of one algorithm, by (to, from, position) ascending."""

    keys: list[tuple[int, int, int]] = field(default_factory=list[tuple[int, int, int]])
    results: list[Past] = field(default_factory=list[Past])

    def add(self, past: Past) -> None:
        """Keep the order, also for late windows."""
        key = (past.time_to, past.time_from, past.position)
        at = bisect.bisect(self.keys, key)
        self.keys.insert(at, key)
        self.results.insert(at, past)


@dataclass(frozen=True)
class View:
    """What one algorithm sees of another's past."""

    history: History
    back: Lookback
    own_type: bool  # both have the same window type
    same: tuple[str, ...]  # the metadata fields whose values must be equal

    def past(self, time_from: int, time_to: int, metadata: Mapping[str, Any]) -> list[Past]:
        """Give the past rows for a window, newest first."""
        count, span = self.back.count, self.back.span
        if not count and not span:
            if self.own_type:
                return []
            count = 1  # of another type, the newest past one after the gap
        latest = max(_EARLIEST, (time_from if self.own_type else time_to) - self.back.gap_span)
        earliest = max(_EARLIEST, latest - span)
        timed = bool(span or self.back.gap_span)
        rows: list[Past] = []
        skip = self.back.gap_count
        for at in range(self._end(time_from, time_to) - 1, -1, -1):
            past = self.history.results[at]
            if (count and len(rows) == count) or (span and past.time_to < earliest):
                break
            if (timed and past.time_to > latest) or (span and past.time_from < earliest):
                continue
            if not self._matches(metadata, past.metadata):
                continue
            if skip:
                skip -= 1
                continue
            rows.append(past)
        return rows

    def _end(self, time_from: int, time_to: int) -> int:
        """Say where the past of a window ends in the history.

        Of its own type, it is what lies before it by (to, from), so that windows of one interval are not each other's
        past; of another type, what has ended when it ends.
        """
        if self.own_type:
            return bisect.bisect_left(self.history.keys, (time_to, time_from, 0))
        return bisect.bisect_left(self.history.keys, (time_to + 1, _EARLIEST, 0))

    def _matches(self, mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
        return all(equal(mine.get(name), theirs.get(name)) for name in self.same)


def equal(a: Any, b: Any) -> bool:
    """Compare metadata: the same kind and the same value, −0 equal to 0, NaN to NaN, lists and objects deeply."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return a == b or (math.isnan(a) and math.isnan(b))
    if isinstance(a, list):
        mine, theirs = cast("list[Any]", a), cast("list[Any]", b)
        return len(mine) == len(theirs) and all(map(equal, mine, theirs))
    if isinstance(a, dict):
        one, other = cast("dict[str, Any]", a), cast("dict[str, Any]", b)
        return one.keys() == other.keys() and all(equal(value, other[name]) for name, value in one.items())
    return bool(a == b)
