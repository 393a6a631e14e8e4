"""Tests of the machines' algorithms: no core, no network, no clock."""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest
from processor import Report, machines, minute, report, second, smooth, temperature, trend

import orca
from orca.testing import Core, call, given

midnight = datetime(2026, 3, 1, tzinfo=timezone.utc)


def second_of(name: str, i: int, celsius: float | None) -> orca.Window:
    start = midnight + timedelta(seconds=i)
    metadata = {"machine": name, "celsius": celsius}
    return orca.Window(second, start, start + timedelta(seconds=1), origin="test", metadata=metadata)


def test_one_algorithm_alone() -> None:
    before = orca.Row(second_of("m-1", 0, None), 20.0)
    assert call(smooth, second_of("m-1", 1, None), {temperature: 24.0}, own=[before]) == 21


def test_a_minute_is_reported_from_its_seconds() -> None:
    rows = [orca.Row(second_of("m-1", i, None), 20.0 + i) for i in range(2)]
    window = orca.Window(minute, midnight, midnight + timedelta(minutes=1), origin="test", metadata={"machine": "m-1"})
    assert call(report, window, {temperature: given(past=rows)}) == Report(mean=20.5, highest=21, seconds=2)


def test_the_trend_follows_each_machine(orca_core: Callable[..., Core]) -> None:
    core = orca_core(machines)
    outcomes: dict[str, orca.Outcome] = {}
    for i in range(100):  # one gets warmer by 3 degrees in a minute, the other colder by 6
        outcomes["m-1"] = core.emit(second_of("m-1", i, 20 + 0.05 * i))
        outcomes["m-2"] = core.emit(second_of("m-2", i, 80 - 0.1 * i))
    assert outcomes["m-1"][trend] == pytest.approx(3, abs=1e-3)
    assert outcomes["m-2"][trend] == pytest.approx(-6, abs=1e-3)


def test_a_failed_reading_skips_what_needs_it(orca_core: Callable[..., Core]) -> None:
    outcome = orca_core(machines).emit(second_of("m-1", 0, None))
    assert outcome.node(trend).reason == "needs Temperature 1.0.0, which failed (handled)"
