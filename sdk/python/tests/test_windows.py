"""Windows: times to the nanosecond, metadata with types, and what a core would refuse."""

from __future__ import annotations

import copy
import pickle
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

import orca
from orca._contract import service_pb2 as pb
from orca._time import duration_ns, duration_text, text_of, time_ns
from orca._window import window_of

lap = orca.WindowType("Lap", "1.0.0", fields=[orca.Field("car", str), orca.Field("fuel", float, nullable=True)])
good: dict[str, Any] = {"car": "a", "fuel": None}


def window(time_from: Any = 1, time_to: Any = 2, metadata: Any = good, **options: Any) -> orca.Window:
    return orca.Window(lap, time_from, time_to, metadata=metadata, **{"origin": "test", **options})


@pytest.mark.parametrize("ns", [1, 999_999_999, 1_000_000_000, 1_700_000_000_123_456_789, 9_223_286_400_000_000_000])
def test_times_to_the_nanosecond(ns: int) -> None:
    sent = pb.Window.FromString(window(ns, ns).message().SerializeToString())
    assert (sent.time_from.seconds * 10**9 + sent.time_from.nanos, sent.time_to.nanos) == (ns, ns % 10**9)
    assert (window_of(sent).time_from, window_of(sent).time_to) == (ns, ns)


def test_datetimes() -> None:
    at = datetime(2026, 3, 1, 14, 0, 0, 123457, tzinfo=timezone(timedelta(hours=2)))
    assert time_ns("from", at) == 1_772_366_400_123_457_000
    assert window(at, at).start == at
    with pytest.raises(orca.InvalidError, match="it has no time zone; give one, such as tzinfo=timezone.utc"):
        window(datetime(2026, 3, 1))
    for wrong in (1.5, True, "now"):
        with pytest.raises(orca.InvalidError, match="must be nanoseconds since the epoch"):
            window(wrong)


def test_pandas_timestamps() -> None:
    pd = pytest.importorskip("pandas")
    assert time_ns("from", pd.Timestamp("2026-03-01T14:00:00.123456789+02:00")) == 1_772_366_400_123_456_789


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"time_from": 0}, "from time 1970-01-01T00:00:00Z: must lie between 1970-01-01 and 2262-04-11"),
        ({"time_to": 9_223_286_400_000_000_001}, "to time 2262-04-11T00:00:00.000000001Z: must lie"),
        ({"time_from": 1 << 80}, "must lie between"),
        (
            {"time_from": 3},
            "it ends (1970-01-01T00:00:00.000000002Z) before it begins (1970-01-01T00:00:00.000000003Z)",
        ),
        ({"origin": ""}, "origin of the window: must not be empty"),
        ({"metadata": {}}, "window type Lap 1.0.0 declares car, fuel, which this window lacks"),
        ({"metadata": {"car": 1, "fuel": 2}}, "metadata field 'car': 1 is not of type str"),
        ({"metadata": {"car": None, "fuel": 2}}, "None is not of type str; say nullable=True where null is allowed"),
        ({"metadata": {"car": "a", "fuel": True}}, "True is not of type float"),
    ],
)
def test_what_a_core_would_refuse(change: dict[str, Any], words: str) -> None:
    with pytest.raises(orca.InvalidError) as caught:
        window(**change)
    assert words in str(caught.value)


def test_fields() -> None:
    car, count = orca.Field("car", str), orca.Field("count", int)
    read = window_of(window(metadata={**good, "count": 3, "extra": [1]}).message(), "w-1")
    assert (read[car], read[count], read.metadata["extra"], read.id) == ("a", 3, [1.0], "w-1")
    assert type(read[count]) is int
    with pytest.raises(orca.InvalidError, match="has no field 'speed'"):
        read[orca.Field("speed")]
    with pytest.raises(orca.InvalidError, match="must be str, float, int, bool, list or dict"):
        orca.Field("x", set)


def test_windows_travel() -> None:
    here = window()
    assert (pickle.loads(pickle.dumps(here)), copy.deepcopy(here)) == (here, here)
    assert window(time_to=3) != here


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("90s", 90 * 10**9),
        ("1h30m", 5400 * 10**9),
        ("1.5ms", 1_500_000),
        ("1ns", 1),
        ("2d", 172800 * 10**9),
        ("3us", 3000),
    ],
)
def test_durations(text: str, ns: int) -> None:
    assert duration_ns("gap", text) == ns
    assert duration_ns("gap", duration_text(ns)) == ns


def test_timedeltas() -> None:
    assert duration_ns("gap", timedelta(days=100_000, microseconds=1)) == 100_000 * 86400 * 10**9 + 1000
    assert text_of(1_700_000_000_000_000_001) == "2023-11-14T22:13:20.000000001Z"
