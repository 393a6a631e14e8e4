"""Results go over the wire to the bit, and what does not fit is refused rather than changed."""

from __future__ import annotations

import array
import dataclasses
import enum
import math
import struct
from collections.abc import Sequence
from typing import Any, Literal, TypedDict

import pytest

import orca
from orca._contract import service_pb2 as pb
from orca._results import encode, kind_of, packed_floats

SMALLEST = 1.401298464324817e-45  # the least subnormal of 32 bits
LARGEST = 3.4028234663852886e38
EDGES = [0.0, -0.0, SMALLEST, -SMALLEST, 1.1754942106924411e-38, LARGEST, -LARGEST, math.inf, -math.inf, math.nan, 1.5]


def sent(annotation: Any, value: Any) -> pb.Result:
    """Give a result as its receiver parses it."""
    return pb.Result.FromString(encode(kind_of(annotation), value).SerializeToString())


def back(annotation: Any, value: Any) -> Any:
    return kind_of(annotation).read(sent(annotation, value))


def bits(value: float) -> bytes:
    return struct.pack("<f", value)


@pytest.mark.parametrize("value", EDGES)
def test_values_to_the_bit(value: float) -> None:
    assert bits(back(float, value)) == bits(value)


def test_values_of_other_types() -> None:
    assert (back(int, 16777216), type(back(int, 3))) == (16777216, int)
    assert back(float, 3) == 3.0
    np = pytest.importorskip("numpy")
    assert (back(np.float32, np.float32(0.1)), back(float, np.int64(7))) == (np.float32(0.1), 7.0)
    assert type(back(np.float32, np.float32(0.1))) is np.float32


@pytest.mark.parametrize(
    ("annotation", "value", "words"),
    [
        (float, 3.5e38, "3.5e+38 does not fit the 32-bit float"),
        (float, 10**400, "is not one number that fits a float"),
        (int, 16777217, "16777217 does not fit a 32-bit float exactly; annotate float"),
        (float, True, "True is a bool, and a number was announced"),
        (float, "1", "'1' is a str, and a number was announced"),
        (float, None, "None is a NoneType, and a number was announced"),
        (None, 1.0, "a float is returned where None was announced"),
        (list[float], 1.0, "a float is not an array; return a sequence of numbers"),
        (list[float], "ab", "a str is not an array"),
        (list[float], [1.0, "x"], "element 1: 'x' is a str, not a number"),
        (list[float], [1.0, 3.5e38], "element 1: 3.5e+38 does not fit the 32-bit floats"),
        (list[float], [1.0, None], "element 1: None is a NoneType, not a number"),
        (dict, [1], "a list is not a struct; return a dict or a dataclass"),
        (dict, {"n": 2**53 + 1}, "field 'n': number 9007199254740993 does not fit a 64-bit float; send it as text"),
        (dict, {"n": 10**400}, "does not fit a 64-bit float"),
        (dict, {"a": [{"b": object}]}, "field 'a': element 0: field 'b': <class 'object'> is a type"),
        (dict, {1: 2}, "field 1: names must be text (str)"),
        (dict, {"a": "\ud800"}, "is not valid Unicode"),
        (dict, {"a": b"x"}, "is a bytes; send None, bool"),
    ],
)
def test_what_cannot_be_sent(annotation: Any, value: Any, words: str) -> None:
    with pytest.raises(orca.InvalidError) as caught:
        sent(annotation, value)
    assert words in str(caught.value)


@pytest.mark.parametrize("make", [list, tuple, lambda v: array.array("f", v), iter])
def test_arrays_to_the_bit(make: Any) -> None:
    result = sent(list[float], make(EDGES))
    assert packed_floats(result) == b"".join(map(bits, EDGES))
    assert [bits(v) for v in back(list[float], make(EDGES))] == [bits(v) for v in EDGES]
    assert isinstance(back(tuple[float, ...], make(EDGES)), tuple)
    assert isinstance(back(Sequence[float], make(EDGES)), list)


@pytest.mark.parametrize("length", [0, 1, 31, 32, 4095, 4096, 600_000])
def test_arrays_of_every_length(length: int) -> None:
    values = [float(i % 1000) for i in range(length)]
    result = sent(list[float], values)
    assert result.WhichOneof("result_data") == "float_values"
    assert list(result.float_values.values) == values


def test_numpy_arrays_to_the_bit() -> None:
    np = pytest.importorskip("numpy")
    patterns = np.array([0x7FC00001, 0xFFC12345, 1, 0x80000000, 0x7F800000], dtype="<u4").view(
        "<f4"
    )  # NaNs with payload
    result = back(np.ndarray, patterns)
    assert result.dtype == np.float32
    assert result.tobytes() == patterns.tobytes()
    result[0] = 1  # it is the caller's own
    assert list(back(np.ndarray, np.array([1, 2], dtype=np.int16)[::-1])) == [2, 1]
    assert len(back(np.ndarray, np.array([]))) == 0
    for wrong, words in [
        (np.zeros((2, 2)), "an array of 2 dimensions"),
        (np.array(["a"]), "cannot be sent"),
        (np.array([1.0, 1e39]), "element 1:"),
    ]:
        with pytest.raises(orca.InvalidError, match=words):
            sent(np.ndarray, wrong)


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Part:
    name: str
    share: float = 0.5


@dataclasses.dataclass
class Whole:
    count: int
    parts: list[Part]
    best: Part | None
    pair: tuple[int, float]
    by_name: dict[str, Part]
    kind: Literal["a"] = "a"
    later: list[float] = dataclasses.field(default_factory=list[float])


class Shape(TypedDict):
    count: int
    ok: bool


def test_structs_to_the_bit() -> None:
    value = {
        "": None,
        "yes": True,
        "no": False,
        "zero": -0.0,
        "nan": math.nan,
        "inf": -math.inf,
        "tiny": 5e-324,
        "text": "Größe 🐋\x00",
        "list": [[], [None, [1.0]], {}],
        "nested": {"empty": {}, "deep": {"deeper": [{"end": 1.0}]}},
    }
    read = back(dict, value)
    assert math.copysign(1, read["zero"]) == -1
    assert math.isnan(read.pop("nan"))
    assert {**read, "nan": value["nan"]} == {**value}
    assert sent(dict, {}).WhichOneof("result_data") == "struct_value"
    assert back(dict, {}) == {}


def test_dataclasses_and_typed_dicts() -> None:
    whole = Whole(3, [Part("a"), Part("b", 1)], None, (1, 2.5), {"x": Part("x")})
    assert back(Whole, whole) == whole
    assert back(dict, whole)["parts"] == [{"name": "a", "share": 0.5}, {"name": "b", "share": 1.0}]
    assert back(Part, {"name": "n"}) == Part("n")
    shape = back(Shape, Shape(count=2, ok=True))
    assert (shape, type(shape["count"])) == ({"count": 2.0, "ok": True}, int)
    assert back(dict, {"colour": Colour.RED, "part": Part("p"), "tuple": (1,)}) == {
        "colour": "red",
        "part": {"name": "p", "share": 0.5},
        "tuple": [1.0],
    }


def test_reading_what_is_not_there() -> None:
    for annotation, words in [
        (float, "the result is a struct, not a value (float)"),
        (list[float], "the result is a struct, not an array (list[float])"),
        (Whole, "result: Whole needs best, by_name, count, pair, parts, which the struct lacks"),
    ]:
        with pytest.raises(orca.InvalidError) as caught:
            kind_of(annotation).read(sent(dict, {"a": 1}))
        assert str(caught.value) == words
    with pytest.raises(orca.InvalidError, match=r"result.share: 'x' is not of type float"):
        kind_of(Part).read(sent(dict, {"name": "n", "share": "x"}))


def test_whatever_it_is() -> None:
    read = kind_of(Any).read
    results = [
        read(sent(float, 1.0)),
        read(sent(list[float], [1.0])),
        read(sent(dict, {"a": 1})),
        read(sent(None, None)),
    ]
    assert results == [1.0, [1.0], {"a": 1.0}, None]


@dataclasses.dataclass
class Car:
    name: str
    laps: list[int]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"name": "a"}, "result: Car needs laps, which the struct lacks"),
        (Car(3, [1]), "result: name: 3.0 is not of type str"),  # pyright: ignore[reportArgumentType]
        (Car("a", [1, 2.5]), "result: laps[1]: 2.5 is not of type int"),  # pyright: ignore[reportArgumentType]
    ],
)
def test_structs_that_their_readers_could_not_read(value: Any, words: str) -> None:
    with pytest.raises(orca.InvalidError) as caught:
        encode(kind_of(Car), value)
    assert str(caught.value) == words
