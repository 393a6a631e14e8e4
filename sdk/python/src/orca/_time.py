"""Times are whole nanoseconds since the epoch, durations whole nanoseconds. Nothing here goes through a float."""

from __future__ import annotations

import calendar
import re
from datetime import datetime, timedelta, timezone
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from orca._errors import InvalidError

if TYPE_CHECKING:
    from orca._contract.service_pb2 import Window as WindowMessage

Time: TypeAlias = int | datetime
"""A time: nanoseconds since the epoch, or a datetime with a time zone. A pandas Timestamp keeps its nanoseconds."""

Duration: TypeAlias = str | timedelta
"""A duration: a timedelta, or text such as "90s", "1h30m", "250ms" or "1ns"."""

SECOND = 1_000_000_000
LAST_TIME = calendar.timegm((2262, 4, 11, 0, 0, 0)) * SECOND
MAX_DURATION = (1 << 63) - 1

_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": SECOND,
    "m": 60 * SECOND,
    "h": 3600 * SECOND,
    "d": 86400 * SECOND,
}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h|d)", re.ASCII)


def time_ns(what: str, time: object) -> int:
    """Nanoseconds since the epoch. A datetime without a time zone is refused, since it could mean anything."""
    if isinstance(time, datetime):
        if time.tzinfo is None or time.utcoffset() is None:
            raise InvalidError(
                f"{what} time {time.isoformat()}: it has no time zone; give one, such as tzinfo=timezone.utc"
            )
        nanoseconds = int(getattr(time, "nanosecond", 0))  # of a pandas Timestamp
        return calendar.timegm(time.utctimetuple()) * SECOND + time.microsecond * 1000 + nanoseconds
    if isinstance(time, bool) or not hasattr(time, "__index__"):
        raise InvalidError(
            f"{what} time {time!r}: must be nanoseconds since the epoch (int) or a datetime with a time zone"
        )
    return cast(Any, time).__index__()


def time_of(nanoseconds: int) -> datetime:
    """Give a datetime in UTC, cut to microseconds."""
    seconds, rest = divmod(nanoseconds, SECOND)
    return datetime.fromtimestamp(seconds, timezone.utc).replace(microsecond=rest // 1000)


def text_of(nanoseconds: int) -> str:
    """Write a time for people, to the nanosecond."""
    seconds, rest = divmod(nanoseconds, SECOND)
    try:
        text = datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return f"{nanoseconds} ns"
    return f"{text}.{rest:09d}".rstrip("0").rstrip(".") + "Z"


def duration_ns(what: str, duration: object) -> int:
    """Read a duration as nanoseconds, exactly."""
    if isinstance(duration, timedelta):
        return (duration.days * 86400 + duration.seconds) * SECOND + duration.microseconds * 1000
    if not isinstance(duration, str):
        raise InvalidError(f"{what} {duration!r}: must be a timedelta or text such as '90s', '1h30m' or '250ms'")
    total, at = Fraction(0), 0
    for part in _PART.finditer(duration):
        if part.start() != at:
            break
        total += Fraction(part.group(1)) * _UNITS[part.group(2)]
        at = part.end()
    if at == 0 or at != len(duration) or total.denominator != 1:
        raise InvalidError(
            f"{what} {duration!r}: must be whole nanoseconds written with the units ns, us, ms, s, m, h and d,"
            " such as '90s' or '1h30m'"
        )
    return int(total)


def duration_text(nanoseconds: int) -> str:
    """Write a duration for people and for `duration_ns`: "1h30m"."""
    parts: list[str] = []
    for unit in ("d", "h", "m", "s", "ms", "us", "ns"):
        count, nanoseconds = divmod(nanoseconds, _UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def interval_of(window: WindowMessage) -> tuple[int, int]:
    """Read the times of a window's message."""
    begin, end = window.time_from, window.time_to
    return begin.seconds * SECOND + begin.nanos, end.seconds * SECOND + end.nanos
