"""What is wrong with a definition is said where it is written: what, which value, what to do."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Optional, TypedDict, cast

import pytest

import orca
from orca._contract import service_pb2 as pb
from orca._results import kind_of

lap = orca.WindowType("Lap", "1.0.0")
minute = orca.WindowType("Minute", "1.0.0")


class Report(TypedDict):
    mean: float


@dataclasses.dataclass
class Summary:
    mean: float


def refusal(make: Callable[[], object]) -> str:
    with pytest.raises(orca.InvalidError) as caught:
        make()
    return str(caught.value)


@pytest.mark.parametrize("name", ["speed", "Lap-Speed", "", "Läp", "1Lap", "Lap Speed", "Lap\n", None])
def test_names_are_pascal_case(name: Any) -> None:
    words = refusal(lambda: orca.WindowType(name, "1.0.0"))
    assert words.startswith(f"window type name {name!r}: must be PascalCase, such as 'LapSpeed'")


@pytest.mark.parametrize("version", ["1", "1.0", "v1.0.0", "1.0.0-rc1", "01.0.0", "1.0.0\n", "１.0.0", 1])
def test_versions_are_plain_semver(version: Any) -> None:
    words = refusal(lambda: orca.WindowType("Lap", version))
    assert words.startswith(f"window type version {version!r}: must be plain semver, such as '1.0.0'")


def test_lengths() -> None:
    assert refusal(lambda: orca.WindowType("L" * 256, "1.0.0")).endswith("256 bytes long, at most 255 are allowed")
    assert "1001 characters, at most 1000" in refusal(lambda: orca.WindowType("Lap", "1.0.0", description="x" * 1001))
    assert refusal(lambda: orca.Processor("")) == "processor name: must not be empty"
    assert "lone surrogates" in refusal(lambda: orca.Processor("\ud800"))


def test_fields_are_declared_once() -> None:
    twice = [orca.Field("car"), orca.Field("car", str)]
    assert refusal(lambda: orca.WindowType("Lap", "1.0.0", fields=twice)) == (
        "window type Lap 1.0.0: the field 'car' is there twice"
    )


def define(annotation: Any, **options: Any) -> pb.Algorithm:
    def function(run: orca.Run) -> Any: ...

    function.__annotations__["return"] = annotation
    return orca.Processor("p").algorithm("A", "1.0.0", lap, **options)(function).message()


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        (float, pb.VALUE),
        (int, pb.VALUE),
        (list[float], pb.ARRAY),
        (list, pb.ARRAY),
        (tuple[float, ...], pb.ARRAY),
        (Sequence[float], pb.ARRAY),
        (dict, pb.STRUCT),
        (dict[str, Any], pb.STRUCT),
        (Report, pb.STRUCT),
        (Summary, pb.STRUCT),
        (None, pb.NONE),
        ("float", pb.VALUE),
        ("Summary", pb.STRUCT),
        ("None", pb.NONE),
    ],
)
def test_the_annotation_says_the_kind_of_result(annotation: Any, kind: int) -> None:
    assert define(annotation).result_type == kind
    if not isinstance(annotation, str):
        assert define("nobody knows this", result=annotation).result_type == kind


def test_numpy_annotations() -> None:
    np = pytest.importorskip("numpy")
    import numpy.typing

    assert define(np.ndarray).result_type == pb.ARRAY
    assert define(numpy.typing.NDArray[np.float32]).result_type == pb.ARRAY
    assert define(np.float32).result_type == pb.VALUE
    assert define(np.int64).result_type == pb.VALUE


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (str, "result type str: must be float or int (a value), a sequence of floats"),
        (bool, "result type bool: must be float"),
        (bytes, "result type bytes: must be float"),
        (list[str], "result type list[str]: an array holds numbers, not str; return list[float], or a dict"),
        (Optional[float], "raises orca.Failure instead of returning None; annotate the type alone"),  # noqa: UP045
        (float | list[float], "an algorithm gives one kind of result, which must be"),
        ("Nowhere", "cannot read the return annotation: name 'Nowhere' is not defined; say it with result=..."),
    ],
)
def test_wrong_annotations(annotation: Any, words: str) -> None:
    assert words in refusal(lambda: define(annotation))


def test_annotations_of_local_classes() -> None:
    @dataclasses.dataclass
    class Local:
        mean: float

    proc = orca.Processor("p")

    @proc.algorithm("A", "1.0.0", lap)
    def algorithm(run: orca.Run) -> Local:
        return Local(1)

    assert algorithm.message().result_type == pb.STRUCT


def test_functions() -> None:
    proc = orca.Processor("p")

    def unannotated(run):  # type: ignore[no-untyped-def] # pyright: ignore
        return 1.0

    def two(run: orca.Run, more: int) -> float: ...

    def yields(run: orca.Run) -> Any:
        yield 1.0

    decorate: Any = proc.algorithm("A", "1.0.0", lap)
    assert "no return annotation" in refusal(lambda: decorate(unannotated))
    assert "called with one argument, the run" in refusal(lambda: decorate(two))
    assert "the function yields; an algorithm returns one result" in refusal(lambda: decorate(yields))
    assert "is not a function" in refusal(lambda: decorate(3))
    assert refusal(lambda: decorate(two)).startswith("algorithm A 1.0.0: ")
    assert proc.algorithms == []


def test_needs() -> None:
    proc = orca.Processor("p")

    @proc.algorithm("A", "1.0.0", lap)
    def a(run: orca.Run) -> float: ...

    def need(*needs: Any, **options: Any) -> Callable[[], object]:
        def function(run: orca.Run) -> float: ...

        return lambda: proc.algorithm("B", "1.0.0", lap, needs=needs, **options)(function)

    assert "needs[0] is 'A': must be an algorithm, or what its last or over made" in refusal(need("A"))
    assert "needs[1]: A 1.0.0 of p is there twice with the same lookback" in refusal(need(a.last(2), a.last(2)))
    assert "it needs itself; ask for its own past results with needs_self" in refusal(
        need(orca.remote("p", "B", "1.0.0", float))
    )
    assert "lookback (gap 1) over A 1.0.0 of p: it asks for no past results" in refusal(need(a.newest(gap=1)))
    assert "over own past results: it asks for no past" in refusal(need(needs_self=orca.newest(gap="1s")))
    assert "needs_self=3: must be what orca.last or orca.over made" in refusal(need(needs_self=3))
    need(a, a.last(2), a.last(3))()
    assert refusal(need()) == "algorithm B 1.0.0: it is defined twice"


def test_window_types_agree() -> None:
    proc = orca.Processor("p")

    @proc.algorithm("A", "1.0.0", lap)
    def a(run: orca.Run) -> float: ...

    other = orca.WindowType("Lap", "1.0.0", fields=[orca.Field("car", filter=True)])
    function = a.function
    assert function is not None
    assert "A declares other fields for window type Lap 1.0.0" in refusal(
        lambda: proc.algorithm("B", "1.0.0", other)(function)
    )


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: orca.last(-1), "lookback of -1 results: must be from 0 to 4294967295"),
        (lambda: orca.last(1 << 32), "must be from 0 to 4294967295"),
        (lambda: orca.last(True), "lookback True: must be a number of results (int)"),
        (lambda: orca.over("1 hour"), "lookback '1 hour': must be whole nanoseconds written with the units"),
        (lambda: orca.over("0.5ns"), "must be whole nanoseconds"),
        (lambda: orca.over("90"), "such as '90s' or '1h30m'"),
        (lambda: orca.over(cast(Any, 3600)), "lookback 3600: must be a timedelta or text"),
        (lambda: orca.over("107000d"), "must not be negative nor longer than 292 years"),
        (lambda: orca.last(1, gap=-1), "gap of -1 results"),
        (lambda: orca.last(1, gap="x"), "gap 'x'"),
    ],
)
def test_wrong_lookbacks(make: Callable[[], object], words: str) -> None:
    assert words in refusal(make)


def test_what_is_announced() -> None:
    asset = orca.Field("asset", str, description="The asset", filter=True, no_store=True)
    on = orca.WindowType("Minute", "2.0.0", description="A minute", fields=[asset])
    proc = orca.Processor("plant")
    vibration = orca.remote("bearings", "Vibration", "2.1.0", list[float], runtime="go1.26")

    @proc.algorithm(
        "Rise", "1.0.0", on, needs=[vibration.over("1h", gap=2), vibration], needs_self=orca.last(3, gap="1ns")
    )
    def rise(run: orca.Run) -> float:
        """How much more than before,
        in degrees.

        What follows is for programmers.
        """
        return 0

    def dependency(**lookback: int) -> pb.AlgorithmDependency:
        return pb.AlgorithmDependency(
            name="Vibration", version="2.1.0", processor_name="bearings", processor_runtime="go1.26", **lookback
        )

    assert rise.message() == pb.Algorithm(
        name="Rise",
        version="1.0.0",
        window_type=pb.WindowType(
            name="Minute",
            version="2.0.0",
            description="A minute",
            metadataFields=[pb.MetadataField(name="asset", description="The asset", noStore=True, filter=True)],
        ),
        dependencies=[dependency(lookback_time_delta=3_600_000_000_000, lookback_gap_num=2), dependency()],
        result_type=pb.VALUE,
        description="How much more than before, in degrees.",
        lookback_num=3,
        lookback_gap_time_delta=1,
    )


def test_remote_kinds() -> None:
    assert orca.remote("p", "A", "1.0.0").kind.type == pb.NOT_SPECIFIED
    assert orca.remote("p", "A", "1.0.0", None).kind.type == pb.NONE
    assert orca.remote("p", "A", "1.0.0", Summary).kind.type == pb.STRUCT
    assert kind_of(Any).type == pb.NOT_SPECIFIED


def test_what_is_no_executor() -> None:
    wrong: Any = "threads"
    assert refusal(lambda: orca.Processor("p", executor=wrong)) == (
        "executor='threads': must be a concurrent.futures.Executor"
    )


def test_needs_is_a_list() -> None:
    proc = orca.Processor("p")

    @proc.algorithm("A", "1.0.0", lap)
    def a(run: orca.Run) -> float:
        return 1

    for needs in (a, a.last(1), "A", len):
        wrong: Any = needs
        said = refusal(lambda wrong=wrong: proc.algorithm("B", "1.0.0", lap, needs=wrong, result=float)(lambda run: 1))
        assert said == f"algorithm B 1.0.0: needs={needs!r}: must be a list of algorithms, such as needs=[speed]"
