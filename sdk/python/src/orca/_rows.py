"""Results with the windows that they belong to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, overload

from orca._errors import InvalidError, NoResultError
from orca._time import time_of
from orca._window import Window

if TYPE_CHECKING:
    import numpy
    import numpy.typing
    import pandas

T = TypeVar("T")


class Row(Generic[T]):
    """One result with the window that it belongs to."""

    __slots__ = ("_at", "_computed", "value", "window")

    window: Window
    """As it is stored: without the values of no_store fields."""
    value: T

    def __init__(self, window: Window, value: T, computed: int = 0, at: int | None = None) -> None:
        self.window, self.value, self._computed, self._at = window, value, computed, at

    @property
    def computed(self) -> datetime:
        """When, to the second."""
        return time_of(self._computed * 1_000_000_000)

    @property
    def age_ns(self) -> int:
        """How many nanoseconds before the end of the run's window its window ended: 0 for the current one."""
        if self._at is None:
            raise InvalidError("row: only rows that a run was given have an age")
        return self._at - self.window.time_to

    @property
    def age(self) -> timedelta:
        """How long before the end of the run's window its window ended. Rows without a time lookback can be old."""
        return timedelta(microseconds=self.age_ns // 1000)

    def __repr__(self) -> str:
        return f"Row({self.value!r}, {self.window!r})"

    def __eq__(self, other: object) -> bool:
        """Equal when window and value are."""
        if not isinstance(other, Row):
            return NotImplemented
        row = cast("Row[Any]", other)
        return self.window == row.window and bool(self.value == row.value)

    __hash__ = None  # pyright: ignore[reportAssignmentType] (windows cannot be hashed)


class Rows(Sequence[Row[T]]):
    """Results in the order in which a core hands them over: the newest window first, by its end, then its beginning."""

    __slots__ = ("_rows",)

    def __init__(self, rows: Sequence[Row[T]] = ()) -> None:
        self._rows: Sequence[Row[T]] = rows

    @overload
    def __getitem__(self, index: int) -> Row[T]: ...
    @overload
    def __getitem__(self, index: slice) -> Rows[T]: ...
    def __getitem__(self, index: int | slice) -> Row[T] | Rows[T]:
        return Rows(self._rows[index]) if isinstance(index, slice) else self._rows[index]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row[T]]:
        return iter(self._rows)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self._rows)!r})"

    def __eq__(self, other: object) -> bool:
        """Equal when all rows are."""
        if not isinstance(other, Rows):
            return NotImplemented
        return list(self) == list(cast("Rows[Any]", other))

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    @property
    def values(self) -> list[T]:
        """The results alone, in the order of the rows."""
        return [row.value for row in self._rows]

    @property
    def windows(self) -> list[Window]:
        """The windows alone."""
        return [row.window for row in self._rows]

    @property
    def ages(self) -> list[timedelta]:
        """The age of each row."""
        return [row.age for row in self._rows]

    @property
    def latest(self) -> Row[T] | None:
        """The newest row, or None."""
        return self._rows[0] if self._rows else None

    def oldest_first(self) -> Rows[T]:
        """Give the rows in the order of time."""
        return Rows(self._rows[::-1])

    def to_numpy(self) -> numpy.typing.NDArray[numpy.float32]:
        """Give the results as one NumPy array of float32: of values one dimension, of arrays of one length two."""
        from orca import _tables

        return _tables.to_numpy(self.values)

    def to_pandas(self) -> pandas.DataFrame:
        """Give a DataFrame with a row for each result.

        Its columns are time_from and time_to (UTC, in nanoseconds), origin, the fields of the metadata, and the result:
        value, or for structs a column for each field.
        """
        from orca import _tables

        return _tables.to_pandas(self._rows)


class Input(Rows[T]):
    """What a run was given of one dependency: the current window's result, if there is one, then the past ones."""

    __slots__ = ("_current", "_of")

    def __init__(self, rows: Sequence[Row[T]], current: Row[T] | None, of: str) -> None:
        super().__init__(rows)
        self._current, self._of = current, of

    @property
    def current(self) -> Row[T] | None:
        """The row of the window that is processed; None for an algorithm of another window type."""
        return self._current

    @property
    def value(self) -> T:
        """The result for the window that is processed: there is one for dependencies of the same window type."""
        if self._current is None:
            raise NoResultError(
                f"{self._of} has no result for the window of this run;"
                " read another window type's newest one with .latest"
            )
        return self._current.value

    @property
    def past(self) -> Rows[T]:
        """The rows of past windows, newest first: none where the lookback finds none."""
        return Rows(self._rows) if self._current is None else self[1:]


class Ambiguous(Sequence[Row[T]]):
    """Stands where the rows of an algorithm would be that is needed with several lookbacks."""

    __slots__ = ("_of",)

    def __init__(self, of: str) -> None:
        self._of = of

    def _refusal(self) -> InvalidError:
        return InvalidError(
            f"{self._of} is needed with several lookbacks: read the rows of each through what its last or over made"
        )

    def __getitem__(self, index: Any) -> Any:
        raise self._refusal()

    def __len__(self) -> int:
        raise self._refusal()
