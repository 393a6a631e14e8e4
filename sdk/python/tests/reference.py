"""Writes docs/reference/python.md from the docstrings: `python tests/reference.py`. test_reference checks it."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import re
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orca
import orca.testing

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "python.md"

HEAD = """\
# Package orca

What `import orca` has, with the words of the docstrings. [The guide](../guide/python.md) shows how it is used. This page is
made by `sdk/python/tests/reference.py`.
"""


# What of their parameters and results nobody can import is for the package itself.
INTERNAL = re.compile(r"\bpb\.|\bconsole\.|\bConnection\b|\bCoreSettings\b")


def page() -> str:
    """Give the page."""
    parts = [HEAD]
    for module, prefix in ((orca, "orca"), (orca.testing, "orca.testing")):
        if module is orca.testing:
            parts.append(f"# Package {prefix}\n\n{doc(module)}\n")
        for name in sorted(module.__all__, key=str.lower):
            parts.append(entry(prefix, name, getattr(module, name)))
    return "\n".join(parts)


def doc(of: Any) -> str:
    """Give a docstring as Markdown: examples are code."""
    lines = inspect.cleandoc(of.__doc__ or "").splitlines()
    shown: list[str] = []
    for line in lines:
        code = line.startswith((">>> ", "... "))
        if code and shown[-1:] != [""] and not in_code(shown):
            shown.append("")
        if code != in_code(shown):
            shown.append("```python" if code else "```")
        shown.append(line[4:] if code else line)
    if in_code(shown):
        shown.append("```")
    return "\n".join(shown).strip()


def in_code(lines: list[str]) -> bool:
    return sum(line.startswith("```") for line in lines) % 2 == 1


def entry(prefix: str, name: str, value: Any) -> str:
    if inspect.isclass(value):
        return of_class(f"{prefix}.{name}", value)
    if inspect.isfunction(value):
        return f"## {prefix}.{name}\n\n{signature(name, value)}\n\n{doc(value)}\n"
    return f"## {prefix}.{name}\n\n`{spelled(str(value))}`\n"  # an alias of types


def of_class(name: str, cls: type) -> str:
    bases = [
        b.__name__
        for b in cls.__bases__
        if b not in (object, typing.Generic, enum.Enum) and not b.__name__.startswith("_")
    ]
    parts = [f"## {name}", doc(cls)]
    if bases and issubclass(cls, Exception):
        parts.append("An error: " + ", ".join(f"`{base}`" for base in bases) + ".")
    if issubclass(cls, enum.Enum):
        parts.append("\n".join(f"- `{member.name}`" for member in cls))
    elif not issubclass(cls, tuple) and "__init__" in vars(cls) and not is_internal(cls):
        parts.insert(1, signature(cls.__name__, cls))
    members = list(members_of(cls))
    if members:
        parts.append("\n\n".join(members))
    return "\n\n".join(part for part in parts if part) + "\n"


def is_internal(cls: type) -> bool:
    """Say whether programs are given its instances, and make none."""
    return cls in (orca.Algorithm, orca.Dependency, orca.Run, orca.Input, orca.CallError)


def members_of(cls: type) -> Iterator[str]:
    for base in reversed([c for c in cls.__mro__ if c.__module__.split(".")[0] == "orca"]):
        for name, value in vars(base).items():
            if name.startswith("_") or (getattr(cls, name, None) is None and not isinstance(value, property)):
                continue
            function = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
            if isinstance(function, property) and function.__doc__:
                yield f"### .{name}\n\n{doc(function)}"
            elif inspect.isfunction(function) and function.__doc__ and vars(cls).get(name, value) is value:
                if INTERNAL.search(str(inspect.signature(function))):
                    continue
                yield f"### .{name}\n\n{signature(name, function)}\n\n{doc(function)}"
        if dataclasses.is_dataclass(base):
            yield "\n".join(
                f"- `{f.name}: {spelled(str(f.type))}`" for f in dataclasses.fields(base) if not f.name.startswith("_")
            )


def signature(name: str, function: Any) -> str:
    text = str(inspect.signature(function))
    text = re.sub(r"<object object at 0x[0-9a-f]+>", "...", spelled(text.replace("= ''", '= ""')))
    text = re.sub(r"^\((self|cls)(, |(?=\)))", "(", text)
    prefix = "async " if inspect.iscoroutinefunction(function) else ""
    return f"```python\n{prefix}{name}{text}\n```"


def spelled(text: str) -> str:
    """Write types as users do."""
    return re.sub(r"\b(typing|collections\.abc|orca\._\w+|builtins)\.", "", text).replace("'", "")


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}", file=sys.stderr)


if __name__ == "__main__":
    main()
