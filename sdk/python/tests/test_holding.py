"""Waits for what conftest has started beside the other tests."""

from __future__ import annotations

import pytest


@pytest.mark.beside("holding.py", "test_on_a_pool_heartbeats_are_answered")
@pytest.mark.usefixtures("beside")
def test_heartbeats_while_a_pool_holds_the_lock_for_30_seconds() -> None:
    pass


@pytest.mark.beside("holding.py", "test_on_threads_the_core_does_not_take_the_call_away")
@pytest.mark.usefixtures("beside")
def test_a_call_that_holds_the_lock_for_30_seconds_is_not_taken_away() -> None:
    pass
