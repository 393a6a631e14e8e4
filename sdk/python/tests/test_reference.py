"""The reference in the documentation is that of the docstrings, and nothing that users see is without one."""

from __future__ import annotations

import inspect

from reference import PAGE, page

import orca
import orca.testing


def test_the_reference_is_fresh() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python sdk/python/tests/reference.py writes it"


def test_everything_has_a_docstring() -> None:
    for module in (orca, orca.testing):
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value) or inspect.isfunction(value):
                assert value.__doc__, name
