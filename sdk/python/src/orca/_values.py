"""Plain Python values as the contract's Struct and back: null, booleans, 64-bit floats, text, lists and objects."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, cast

from orca._errors import InvalidError

if TYPE_CHECKING:
    from google.protobuf.struct_pb2 import Struct, Value


def write_struct(values: Mapping[str, Any], out: Struct) -> None:
    """Write a mapping, or raise InvalidError saying which field cannot be sent."""
    for name, value in values.items():
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance] (users' dicts)
            raise InvalidError(f"field {name!r}: names must be text (str)")
        try:
            _write(value, out.fields[name])
        except InvalidError as error:
            raise InvalidError(f"field {name!r}: {error}") from None
        except UnicodeEncodeError:
            raise InvalidError(f"field {name!r}: it is not valid Unicode (lone surrogates)") from None


def _write(value: Any, out: Value) -> None:
    if value is None:
        out.null_value = cast(Any, 0)
    elif isinstance(value, bool):
        out.bool_value = value
    elif isinstance(value, str):
        _write_text(value, out)
    elif isinstance(value, float):
        out.number_value = value
    elif isinstance(value, int):
        out.number_value = _exact(value)
    elif isinstance(value, Mapping):
        out.struct_value.SetInParent()
        write_struct(cast("Mapping[str, Any]", value), out.struct_value)
    elif is_dataclass(value) and not isinstance(value, type):
        out.struct_value.SetInParent()
        write_struct({f.name: getattr(value, f.name) for f in fields(value)}, out.struct_value)
    elif isinstance(value, Enum):
        _write(value.value, out)
    else:
        _write_other(value, out)


def _write_other(value: Any, out: Value) -> None:
    other = value
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
        _write_list(cast("Sequence[Any]", other), out)
        return
    if hasattr(other, "dtype") and hasattr(other, "tolist"):  # NumPy arrays and numbers
        _write(other.tolist(), out)
        return
    raise InvalidError(
        f"{_short(other)} is a {type(other).__name__}; send None, bool, int, float, str, lists, dicts or dataclasses"
    )


def _write_text(text: str, out: Value) -> None:
    try:
        out.string_value = text
    except (UnicodeEncodeError, ValueError):
        raise InvalidError(f"{_short(text)} is not valid Unicode (lone surrogates)") from None


def _write_list(values: Sequence[Any], out: Value) -> None:
    out.list_value.SetInParent()
    add = out.list_value.values.add
    for i, value in enumerate(values):
        try:
            _write(value, add())
        except InvalidError as error:
            raise InvalidError(f"element {i}: {error}") from None


def _exact(number: int) -> float:
    """Refuse a whole number that a 64-bit float cannot hold, rather than changing it."""
    try:
        rounded = float(number)
    except OverflowError:
        rounded = math.inf
    if rounded != number:
        raise InvalidError(f"number {number} does not fit a 64-bit float; send it as text")
    return rounded


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "…"


def read_struct(message: Struct) -> dict[str, Any]:
    """Read an object, its fields by name, since the wire has no order. Numbers are floats."""
    values = message.fields
    return {name: _read(values[name]) for name in sorted(values)}


def _read(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "number_value":
        return value.number_value
    if kind == "string_value":
        return value.string_value
    if kind == "bool_value":
        return value.bool_value
    if kind == "struct_value":
        return read_struct(value.struct_value)
    if kind == "list_value":
        return [_read(element) for element in value.list_value.values]
    return None
