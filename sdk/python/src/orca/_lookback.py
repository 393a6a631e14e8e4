"""How far back an algorithm looks over past results."""

from __future__ import annotations

from dataclasses import dataclass

from orca._contract.service_pb2 import Algorithm, AlgorithmDependency
from orca._errors import InvalidError
from orca._time import MAX_DURATION, Duration, duration_ns, duration_text

_MAX_COUNT = (1 << 32) - 1


@dataclass(frozen=True)
class Lookback:
    """How far back an algorithm looks over past results, and what it leaves out nearest to the present.

    Made by `last` and `over`. At most one of `count` and `span`, and one of the gaps, is not zero.
    """

    count: int = 0
    """The newest past results, so many."""
    span: int = 0
    """The past windows that lie wholly within so many nanoseconds."""
    gap_count: int = 0
    """So many of the newest are left out."""
    gap_span: int = 0
    """What ends within so many nanoseconds is left out."""

    def __str__(self) -> str:
        """For people: "last 24, gap 1"."""
        parts: list[str] = []
        if self.count:
            parts.append(f"last {self.count}")
        elif self.span:
            parts.append(f"over {duration_text(self.span)}")
        if self.gap_count:
            parts.append(f"gap {self.gap_count}")
        elif self.gap_span:
            parts.append(f"gap {duration_text(self.gap_span)}")
        return ", ".join(parts) or "no lookback"

    @property
    def idle(self) -> bool:
        """Leaves out what it does not ask for. That means something over another window type only."""
        return not (self.count or self.span) and bool(self.gap_count or self.gap_span)


NONE = Lookback()


def last(count: int, *, gap: int | Duration | None = None) -> Lookback:
    """Look back over the newest past results, so many. The window's own result comes on top.

    `gap` leaves out the nearest: so many results (int), or what ends within a duration before the window.
    """
    return _lookback(_count("lookback", count), 0, gap)


def over(duration: Duration, *, gap: int | Duration | None = None) -> Lookback:
    """Look back over the past windows that lie wholly within a duration before the window.

    `gap` is that of `last`.
    """
    return _lookback(0, _span("lookback", duration), gap)


def newest(*, gap: int | Duration | None = None) -> Lookback:
    """Look back as without a lookback: over another window type, its newest past result, after the gap."""
    return _lookback(0, 0, gap)


def _lookback(count: int, span: int, gap: int | Duration | None) -> Lookback:
    if gap is None:
        return Lookback(count, span)
    if isinstance(gap, int):
        return Lookback(count, span, gap_count=_count("gap", gap))
    return Lookback(count, span, gap_span=_span("gap", gap))


def _count(what: str, count: object) -> int:
    if isinstance(count, bool) or not isinstance(count, int):
        raise InvalidError(f"{what} {count!r}: must be a number of results (int)")
    if not 0 <= count <= _MAX_COUNT:
        raise InvalidError(f"{what} of {count} results: must be from 0 to {_MAX_COUNT}")
    return count


def _span(what: str, duration: Duration) -> int:
    span = duration_ns(what, duration)
    if not 0 <= span <= MAX_DURATION:
        raise InvalidError(f"{what} {duration!r}: must not be negative nor longer than 292 years")
    return span


def check_idle(back: Lookback, of: str) -> None:
    """Refuse a gap in nothing."""
    if back.idle:
        raise InvalidError(
            f"lookback ({back}) over {of}: it asks for no past results, of which it could leave some out;"
            " begin with last or over"
        )


def write(back: Lookback, message: Algorithm | AlgorithmDependency) -> None:
    """Write a lookback into an announcement."""
    if back.count:
        message.lookback_num = back.count
    elif back.span:
        message.lookback_time_delta = back.span
    if back.gap_count:
        message.lookback_gap_num = back.gap_count
    elif back.gap_span:
        message.lookback_gap_time_delta = back.gap_span


def read(message: Algorithm | AlgorithmDependency) -> Lookback:
    """Read a lookback. Durations beyond what a signed 64-bit number holds saturate."""
    return Lookback(
        message.lookback_num,
        min(message.lookback_time_delta, MAX_DURATION),
        message.lookback_gap_num,
        min(message.lookback_gap_time_delta, MAX_DURATION),
    )
