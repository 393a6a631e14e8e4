"""What an algorithm returns, and its form on the wire. The return annotation says which kind of result it is."""

from __future__ import annotations

import array
import collections.abc
import dataclasses
import functools
import inspect
import struct
import sys
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar, Union, cast

from orca._contract import service_pb2 as pb
from orca._errors import InvalidError
from orca._shapes import fields_of, shaped
from orca._values import read_struct, write_struct

T = TypeVar("T")

MAX_MESSAGE_BYTES = 64 << 20
_MAX_RESULT_BYTES = MAX_MESSAGE_BYTES - (1 << 20)  # leaves room for what travels with a result

_PACK_FLOAT = struct.Struct("<f")


@dataclasses.dataclass(frozen=True)
class Kind(Generic[T]):
    """One kind of result: how values of an annotation are written and read."""

    type: pb.ResultType
    name: str
    write: Callable[[Any, pb.Result], None]
    read: Callable[[pb.Result], T]


def encode(kind: Kind[Any], value: Any) -> pb.Result:
    """Make a succeeded result, or raise InvalidError saying why the value cannot be one."""
    result = pb.Result(status=pb.RESULT_STATUS_SUCEEDED)
    try:
        kind.write(value, result)
    except InvalidError as error:
        raise InvalidError(f"result: {error}") from None
    if kind.type != pb.VALUE and result.ByteSize() > _MAX_RESULT_BYTES:
        raise InvalidError(f"result: {result.ByteSize()} bytes long, at most {_MAX_RESULT_BYTES} are allowed")
    return result


def _expect(result: pb.Result, data: str, want: str) -> None:
    has = result.WhichOneof("result_data")
    if has != data:
        names = {
            "single_value": "a value",
            "float_values": "an array",
            "struct_value": "a struct",
            None: "without data",
        }
        raise InvalidError(f"the result is {names[has]}, not {want}")


# Values


def _write_value(value: Any, result: pb.Result) -> None:
    if type(value) is not float:
        value = _number(value)
    try:
        _PACK_FLOAT.pack(value)
    except OverflowError:
        raise InvalidError(f"{value!r} does not fit the 32-bit float that the contract has for values") from None
    result.single_value = value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not (isinstance(value, (int, float)) or hasattr(value, "__float__")):
        raise InvalidError(f"{value!r} is a {type(value).__name__}, and a number was announced")
    try:
        return float(value)
    except (OverflowError, TypeError, ValueError):
        raise InvalidError(f"{value!r} is not one number that fits a float") from None


def _write_int(value: Any, result: pb.Result) -> None:
    _write_value(value, result)
    if result.single_value != value:
        raise InvalidError(f"{value!r} does not fit a 32-bit float exactly; annotate float, or return it in a dict")


def _read_value(result: pb.Result) -> float:
    _expect(result, "single_value", "a value (float)")
    return result.single_value


def _read_int(result: pb.Result) -> int:
    value = _read_value(result)
    if not value.is_integer():
        raise InvalidError(f"the result is {value}, not a whole number")
    return int(value)


# Arrays. A FloatArray is one field of packed 32-bit floats, so its bytes are written and read as a block.

_LITTLE = sys.byteorder == "little"


def _write_array(values: Any, result: pb.Result) -> None:
    packed = _packed(values)
    header = bytearray(b"\x0a")
    size = len(packed)
    while size > 0x7F:
        header.append(size & 0x7F | 0x80)
        size >>= 7
    header.append(size)
    result.float_values.SetInParent()
    if packed:
        result.float_values.MergeFromString(bytes(header) + packed)


def _packed(values: Any) -> bytes:
    if hasattr(values, "dtype") and hasattr(values, "astype"):
        return _packed_numpy(values)
    if isinstance(values, array.array) and cast("array.array[Any]", values).typecode == "f" and _LITTLE:
        return cast("array.array[Any]", values).tobytes()
    return _packed_numbers(cast(Any, values))


def _packed_numbers(values: Any) -> bytes:
    if not hasattr(values, "__iter__") or isinstance(values, (str, bytes, bytearray, Mapping)):
        raise InvalidError(f"a {type(cast(Any, values)).__name__} is not an array; return a sequence of numbers")
    numbers: list[Any] = list(values)
    try:
        return struct.pack(f"<{len(numbers)}f", *numbers)
    except (struct.error, OverflowError):
        raise InvalidError(_misfit(numbers)) from None


def _misfit(numbers: list[Any]) -> str:
    for i, number in enumerate(numbers):
        try:
            _PACK_FLOAT.pack(number)
        except OverflowError:
            return f"element {i}: {number!r} does not fit the 32-bit floats that the contract has for arrays"
        except struct.error:
            return f"element {i}: {number!r} is a {type(number).__name__}, not a number"
    return "the array cannot be sent"


def _packed_numpy(values: Any) -> bytes:
    if values.ndim != 1 or values.dtype.kind not in "fiub":
        raise InvalidError(
            f"an array of {values.ndim} dimensions of {values.dtype} cannot be sent; return one dimension of numbers"
        )
    import numpy as np

    with np.errstate(over="ignore"):
        single = values.astype("<f4", copy=False)
    if values.dtype.kind == "f" and values.dtype.itemsize > 4:
        lost = np.isinf(single) & np.isfinite(values)
        if lost.any():
            at = int(lost.argmax())
            raise InvalidError(f"element {at}: {values[at]!r} does not fit the 32-bit floats that the contract has")
    return single.tobytes()


def packed_floats(result: pb.Result) -> bytes:
    """Give an array's floats as a block of little-endian bytes, each of them as it was sent."""
    _expect(result, "float_values", "an array (list[float])")
    count = len(result.float_values.values)
    if count == 0:
        return b""
    return result.float_values.SerializeToString()[-4 * count :]


def _read_list(result: pb.Result) -> list[float]:
    _expect(result, "float_values", "an array (list[float])")
    return list(result.float_values.values)


def _read_tuple(result: pb.Result) -> tuple[float, ...]:
    return tuple(_read_list(result))


def _read_array(result: pb.Result) -> array.array[float]:
    return array.array("f", _read_list(result))


def _read_numpy(result: pb.Result) -> Any:
    import numpy as np

    return np.frombuffer(packed_floats(result), dtype="<f4").astype(np.float32)


# Structs


def _write_object(value: Any, result: pb.Result) -> None:
    result.struct_value.SetInParent()
    if isinstance(value, Mapping):
        write_struct(cast("Mapping[str, Any]", value), result.struct_value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        write_struct(fields_of(value), result.struct_value)
    else:
        raise InvalidError(f"a {type(value).__name__} is not a struct; return a dict or a dataclass")


def _read_dict(result: pb.Result) -> dict[str, Any]:
    _expect(result, "struct_value", "a struct (dict)")
    return read_struct(result.struct_value)


def _read_shaped(annotation: Any, result: pb.Result) -> Any:
    _expect(result, "struct_value", f"a struct ({annotation.__name__})")
    return shaped(annotation, read_struct(result.struct_value), "result")


def _write_shaped(annotation: Any, value: Any, result: pb.Result) -> None:
    """Write what readers can read: what lacks a field is to fail here, and not wherever it is needed."""
    _write_object(value, result)
    try:
        _read_shaped(annotation, result)
    except InvalidError as error:
        raise InvalidError(str(error).removeprefix("result: ").removeprefix("result.")) from None


# None, and whatever it is


def _write_none(value: Any, result: pb.Result) -> None:  # noqa: ARG001
    if value is not None:
        raise InvalidError(f"a {type(value).__name__} is returned where None was announced; annotate what is returned")


def _read_none(_: pb.Result) -> None:
    return None


def read_any(result: pb.Result) -> Any:
    """Read a result as float, list of floats, dict or None, whatever it is."""
    data = result.WhichOneof("result_data")
    if data == "single_value":
        return result.single_value
    if data == "float_values":
        return list(result.float_values.values)
    if data == "struct_value":
        return read_struct(result.struct_value)
    return None


def _write_any(value: Any, result: pb.Result) -> None:
    kind_of_value(value).write(value, result)


def kind_of_value(value: Any) -> Kind[Any]:
    """Give the kind of result that a value is by itself: for rows of remote algorithms that a test makes up."""
    if value is None:
        return NONE
    if isinstance(value, Mapping) or (dataclasses.is_dataclass(value) and not isinstance(value, type)):
        return STRUCT
    if isinstance(value, (int, float)) or (hasattr(value, "dtype") and getattr(value, "ndim", 1) == 0):
        return VALUE
    return ARRAY


VALUE: Kind[float] = Kind(pb.VALUE, "float", _write_value, _read_value)
ARRAY: Kind[list[float]] = Kind(pb.ARRAY, "list[float]", _write_array, _read_list)
STRUCT: Kind[dict[str, Any]] = Kind(pb.STRUCT, "dict", _write_object, _read_dict)
NONE: Kind[None] = Kind(pb.NONE, "None", _write_none, _read_none)
ANY: Kind[Any] = Kind(pb.NOT_SPECIFIED, "Any", _write_any, read_any)

_CHOICES = (
    "float or int (a value), a sequence of floats or a NumPy array (an array), dict, a dataclass or a TypedDict"
    " (a struct), or None"
)
_SEQUENCES: dict[Any, Callable[[pb.Result], Any]] = {
    list: _read_list,
    tuple: _read_tuple,
    array.array: _read_array,
    collections.abc.Sequence: _read_list,
    collections.abc.MutableSequence: _read_list,
    collections.abc.Iterable: _read_list,
    collections.abc.Collection: _read_list,
}
_OBJECTS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)


def kind_of(annotation: Any) -> Kind[Any]:
    """Give the kind of result that an annotation stands for, or raise InvalidError."""
    if annotation is None or annotation is type(None):
        return NONE
    if annotation is Any:
        return ANY
    if annotation is float:
        return VALUE
    if annotation is int:
        return Kind(pb.VALUE, "int", _write_int, _read_int)
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return kind_of(typing.get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        raise InvalidError(_union_refusal(annotation))
    kind = _collection_kind(annotation, origin or annotation) or _class_kind(annotation, origin or annotation)
    if kind is None:
        raise InvalidError(f"result type {_named(annotation)}: must be {_CHOICES}")
    return kind


def _collection_kind(annotation: Any, base: Any) -> Kind[Any] | None:
    if base in _OBJECTS:
        return Kind(pb.STRUCT, _named(annotation), _write_object, _read_dict)
    if base not in _SEQUENCES:
        return None
    elements = [a for a in typing.get_args(annotation) if a is not Ellipsis]
    for element in elements:
        if element not in (float, int, Any) and not _numpy_number(element):
            raise InvalidError(
                f"result type {_named(annotation)}: an array holds numbers, not {_named(element)};"
                " return list[float], or a dict with a list in it"
            )
    return Kind(pb.ARRAY, _named(annotation), _write_array, _SEQUENCES[base])


def _class_kind(annotation: Any, base: Any) -> Kind[Any] | None:
    if not inspect.isclass(base):
        return None
    if base.__module__.split(".")[0] == "numpy":
        return _numpy_kind(annotation, base)
    if dataclasses.is_dataclass(cast(Any, base)) or typing.is_typeddict(base):
        name = cast(type, base).__name__
        write, read = functools.partial(_write_shaped, base), functools.partial(_read_shaped, base)
        return Kind(pb.STRUCT, name, write, read)
    return None


def _numpy_kind(annotation: Any, base: type) -> Kind[Any] | None:
    if base.__name__ == "ndarray":
        return Kind(pb.ARRAY, _named(annotation), _write_array, _read_numpy)
    if not _numpy_number(base):
        return None
    number = cast("Callable[[float], Any]", base)
    return Kind(pb.VALUE, _named(annotation), _write_value, lambda result: number(_read_value(result)))


def _numpy_number(annotation: Any) -> bool:
    return isinstance(annotation, type) and any(
        c.__module__ == "numpy" and c.__name__ in ("floating", "integer") for c in annotation.__mro__
    )


def _union_refusal(annotation: Any) -> str:
    if type(None) in typing.get_args(annotation):
        return (
            f"result type {_named(annotation)}: an algorithm that cannot give a result raises orca.Failure instead"
            " of returning None; annotate the type alone"
        )
    return f"result type {_named(annotation)}: an algorithm gives one kind of result, which must be {_CHOICES}"


def _named(annotation: Any) -> str:
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return annotation.__name__
    return str(annotation).replace("typing.", "").replace("collections.abc.", "")
