"""The pytest plugin: the fixture `orca_core`. Installing the SDK is enough; nothing is imported before it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from orca.testing import Core


@pytest.fixture
def orca_core() -> Callable[..., Core]:
    """Make cores in memory: the fixture is called with the processors, and gives an `orca.testing.Core`."""
    from orca.testing import Core

    return Core
