"""Struct results as dataclasses and TypedDicts: the fields' annotations say what a plain value becomes."""

from __future__ import annotations

import collections.abc
import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from typing import Any, Union

from orca._errors import InvalidError


def fields_of(value: Any) -> Mapping[str, Any]:
    """Give a dataclass instance as a mapping. Nested ones are left to whoever writes them."""
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


@functools.lru_cache(maxsize=1024)
def _hints(shape: type) -> dict[str, Any]:
    return typing.get_type_hints(shape)


def shaped(shape: Any, value: Any, where: str) -> Any:
    """Turn a plain value into what an annotation says. What it does not understand it leaves as it is."""
    if shape is Any or shape is None:
        return value
    origin = typing.get_origin(shape)
    if origin is typing.Annotated:
        return shaped(typing.get_args(shape)[0], value, where)
    if origin in (Union, types.UnionType):
        return _one_of(typing.get_args(shape), value, where)
    if isinstance(origin or shape, type):
        return _of_class(shape, origin or shape, value, where)
    return value


def _of_class(shape: Any, base: Any, value: Any, where: str) -> Any:
    if base in (int, float, bool, str, type(None)):
        return _scalar(base, value, where)
    if _is_dataclass(base):
        return base(**_members(base, value, where, _required(base)))
    if typing.is_typeddict(base):
        return _members(base, value, where, base.__required_keys__)
    if issubclass(base, (list, tuple, collections.abc.Sequence)):
        return _elements(shape, base, value, where)
    if issubclass(base, (dict, collections.abc.Mapping)):
        args = typing.get_args(shape)
        plain = _plain(dict, value, where)
        return {k: shaped(args[1], v, f"{where}.{k}") for k, v in plain.items()} if args else plain
    return value


def _is_dataclass(base: Any) -> bool:
    return dataclasses.is_dataclass(base)


def _required(base: type) -> frozenset[str]:
    missing = dataclasses.MISSING
    return frozenset(
        f.name for f in dataclasses.fields(base) if f.init and f.default is missing and f.default_factory is missing
    )


def _members(base: type, value: Any, where: str, required: frozenset[str]) -> dict[str, Any]:
    """Read the fields that a class has. Others are passed over, as later versions may add some."""
    plain = _plain(dict, value, where)
    absent = sorted(required - set(plain))
    if absent:
        raise InvalidError(f"{where}: {base.__name__} needs {', '.join(absent)}, which the struct lacks")
    return {
        name: shaped(hint, plain[name], f"{where}.{name}")
        for name, hint in _hints(base).items()
        if name in plain and _is_init(base, name)
    }


def _is_init(base: type, name: str) -> bool:
    if not dataclasses.is_dataclass(base):
        return True
    return any(f.name == name and f.init for f in dataclasses.fields(base))


def _elements(shape: Any, base: Any, value: Any, where: str) -> Any:
    plain = _plain(list, value, where)
    args = typing.get_args(shape)
    if not issubclass(base, tuple):
        return [shaped(args[0], v, f"{where}[{i}]") for i, v in enumerate(plain)] if args else plain
    if len(args) == 2 and args[1] is Ellipsis:
        args = (args[0],) * len(plain)
    if args and len(args) != len(plain):
        raise InvalidError(f"{where}: {len(plain)} elements, and the tuple has {len(args)}")
    return (
        tuple(shaped(a, v, f"{where}[{i}]") for i, (a, v) in enumerate(zip(args, plain, strict=True)))
        if args
        else tuple(plain)
    )


def _plain(kind: type, value: Any, where: str) -> Any:
    if not isinstance(value, kind):
        raise InvalidError(f"{where}: {value!r} is not a {kind.__name__}")
    return value


def _scalar(base: type, value: Any, where: str) -> Any:
    number = isinstance(value, float)
    if base is float and number:
        return value
    if base is int and number and value.is_integer():
        return int(value)
    if base not in (int, float) and isinstance(value, base):
        return value
    raise InvalidError(f"{where}: {value!r} is not of type {'None' if base is type(None) else base.__name__}")


def _one_of(shapes: tuple[Any, ...], value: Any, where: str) -> Any:
    for shape in shapes:
        try:
            return shaped(shape, value, where)
        except InvalidError:
            continue
    raise InvalidError(f"{where}: {value!r} is none of {', '.join(getattr(s, '__name__', str(s)) for s in shapes)}")
