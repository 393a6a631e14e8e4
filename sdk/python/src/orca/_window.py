"""Window types, their metadata fields, and windows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Generic, Literal, TypeVar, cast, overload

from orca._contract import service_pb2 as pb
from orca._errors import InvalidError
from orca._names import check_description, check_name, check_text, check_version
from orca._time import LAST_TIME, SECOND, Time, interval_of, text_of, time_ns, time_of
from orca._values import read_struct, write_struct

T = TypeVar("T")
S = TypeVar("S")


class Field(Generic[T]):
    """One metadata field of a window type. With a type, `window[field]` is checked and typed.

    `filter` makes lookbacks take only windows that have the same value in it, such as the same machine. `no_store`
    hands the value to the algorithms and keeps it nowhere else: it is in no result, query or log.
    """

    @overload
    def __init__(
        self: Field[Any], name: str, *, description: str = "", filter: bool = False, no_store: bool = False
    ) -> None: ...
    @overload
    def __init__(
        self: Field[S],
        name: str,
        type: type[S],
        *,
        nullable: Literal[False] = False,
        description: str = "",
        filter: bool = False,
        no_store: bool = False,
    ) -> None: ...
    @overload
    def __init__(
        self: Field[S | None],
        name: str,
        type: type[S],
        *,
        nullable: Literal[True],
        description: str = "",
        filter: bool = False,
        no_store: bool = False,
    ) -> None: ...
    def __init__(
        self,
        name: str,
        type: Any = None,
        *,
        nullable: bool = False,
        description: str = "",
        filter: bool = False,
        no_store: bool = False,
    ) -> None:
        check_text("field name", name)
        check_description(f"field {name!r}", description)
        if type not in (None, str, float, int, bool, list, dict):
            raise InvalidError(f"field {name!r}: its type {type!r} must be str, float, int, bool, list or dict")
        self.name, self.nullable = name, nullable
        self.type: Any = type
        self.description, self.filter, self.no_store = description, filter, no_store

    def __repr__(self) -> str:
        flags = "".join(f", {flag}=True" for flag in ("nullable", "filter", "no_store") if getattr(self, flag))
        return f"Field({self.name!r}{', ' + self.type.__name__ if self.type else ''}{flags})"

    def check(self, value: Any) -> Any:
        """Return the value if it is of the field's type. Whole numbers and floats are both numbers."""
        if self.type is None or (value is None and self.nullable):
            return value
        if self.type in (int, float):
            if (
                isinstance(value, (int, float))
                and not isinstance(value, bool)
                and (self.type is float or value == value // 1)
            ):
                return self.type(value)
        elif isinstance(value, self.type):
            return cast(Any, value)
        hint = "; say nullable=True where null is allowed" if value is None else ""
        raise InvalidError(f"metadata field {self.name!r}: {value!r} is not of type {self.type.__name__}{hint}")


class WindowType:
    """A category of windows. Within one version its fields never change: a change needs a new version.

    >>> lap = WindowType("Lap", "1.0.0", description="One lap of one car", fields=[Field("car", str, filter=True)])
    """

    __slots__ = ("description", "fields", "name", "version")

    def __init__(self, name: str, version: str, *, description: str = "", fields: Iterable[Field[Any]] = ()) -> None:
        check_name("window type", name)
        check_version("window type", version)
        check_description(f"window type {name}", description)
        self.name, self.version, self.description = name, version, description
        self.fields: tuple[Field[Any], ...] = tuple(fields)
        seen: set[str] = set()
        for field in self.fields:
            if field.name in seen:
                raise InvalidError(f"window type {self}: the field {field.name!r} is there twice")
            seen.add(field.name)

    def __str__(self) -> str:
        """For people: "Lap 1.0.0"."""
        return f"{self.name} {self.version}"

    def __repr__(self) -> str:
        return f"WindowType({self.name!r}, {self.version!r})"

    def __eq__(self, other: object) -> bool:
        """Equal when they are of one name and version."""
        if not isinstance(other, WindowType):
            return NotImplemented
        return (self.name, self.version) == (other.name, other.version)

    def __hash__(self) -> int:
        return hash((self.name, self.version))

    def flags(self) -> dict[str, tuple[bool, bool]]:
        """Say what never changes within one version. Order and descriptions do not count."""
        return {field.name: (field.no_store, field.filter) for field in self.fields}

    def message(self) -> pb.WindowType:
        """Give its form on the wire."""
        return pb.WindowType(
            name=self.name,
            version=self.version,
            description=self.description,
            metadataFields=[
                pb.MetadataField(name=f.name, description=f.description, noStore=f.no_store, filter=f.filter)
                for f in self.fields
            ],
        )


class Window:
    """One interval of event time, of a type. Equal times make a point window.

    Times are given as nanoseconds since the epoch or as datetimes with a time zone, and are kept in nanoseconds.
    """

    __slots__ = ("_message", "_metadata", "id", "origin", "time_from", "time_to", "type")

    type: WindowType
    """Windows that come from a core know its name and version only."""
    time_from: int
    """Nanoseconds since the epoch."""
    time_to: int
    origin: str
    """Who emitted it, in the emitter's own words."""
    id: str
    """The core's name for it: known for windows that a client reads back, else empty."""

    def __init__(
        self,
        type: WindowType,
        time_from: Time,
        time_to: Time,
        *,
        origin: str,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(type, WindowType):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidError(f"window type {type!r}: must be a WindowType")
        self.type, self.origin, self.id = type, origin, ""
        self.time_from, self.time_to = time_ns("from", time_from), time_ns("to", time_to)
        self._metadata: Mapping[str, Any] | None = MappingProxyType(dict(metadata or {}))
        self._message: pb.Window | None = None
        self._validate()

    def _validate(self) -> None:
        """Check what a core would refuse, so that mistakes show where they are made."""
        check_text("origin of the window", self.origin)
        for name, time in (("from", self.time_from), ("to", self.time_to)):
            if not 0 < time <= LAST_TIME:
                raise InvalidError(
                    f"{name} time {text_of(time)}: must lie between 1970-01-01 and 2262-04-11;"
                    " a whole number is nanoseconds since the epoch"
                )
        if self.time_to < self.time_from:
            raise InvalidError(
                f"window: it ends ({text_of(self.time_to)}) before it begins ({text_of(self.time_from)})"
            )
        missing = sorted(field.name for field in self.type.fields if field.name not in self.metadata)
        if missing:
            raise InvalidError(
                f"metadata: window type {self.type} declares {', '.join(missing)}, which this window lacks"
            )
        for field in self.type.fields:
            field.check(self.metadata[field.name])

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Every field that the type declares, and whatever else the algorithms shall know. Numbers arrive as floats."""
        if self._metadata is None:
            message = self._message
            self._metadata = MappingProxyType(read_struct(message.metadata) if message else {})
        return self._metadata

    def __getitem__(self, field: Field[T]) -> T:
        """Give the value of a field, checked against the field's type."""
        try:
            value = self.metadata[field.name]
        except KeyError:
            raise InvalidError(f"metadata: the window of type {self.type} has no field {field.name!r}") from None
        return field.check(value)

    @property
    def start(self) -> datetime:
        """When it begins, in UTC, cut to microseconds."""
        return time_of(self.time_from)

    @property
    def end(self) -> datetime:
        """When it ends, in UTC, cut to microseconds."""
        return time_of(self.time_to)

    @property
    def duration(self) -> timedelta:
        """Its length, cut to microseconds."""
        return timedelta(microseconds=(self.time_to - self.time_from) // 1000)

    @property
    def seconds(self) -> float:
        """Its length in seconds."""
        return (self.time_to - self.time_from) / SECOND

    def __repr__(self) -> str:
        return f"Window({self.type}, {text_of(self.time_from)} to {text_of(self.time_to)}, origin={self.origin!r})"

    def __eq__(self, other: object) -> bool:
        """Equal in all but the id."""
        if not isinstance(other, Window):
            return NotImplemented
        return self._key() == other._key()

    __hash__ = None  # pyright: ignore[reportAssignmentType] (metadata cannot be hashed)

    def _key(self) -> tuple[Any, ...]:
        return self.type, self.time_from, self.time_to, self.origin, dict(self.metadata)

    def __reduce__(self) -> tuple[Any, ...]:
        return _window_from_bytes, (self.message().SerializeToString(), self.id)

    def message(self) -> pb.Window:
        """Give its form on the wire."""
        if self._message is None:
            message = pb.Window(
                window_type_name=self.type.name, window_type_version=self.type.version, origin=self.origin
            )
            set_times(message, self.time_from, self.time_to)
            message.metadata.SetInParent()
            try:
                write_struct(self.metadata, message.metadata)
            except InvalidError as error:
                raise InvalidError(f"metadata: {error}") from None
            self._message = message
        return self._message


def set_times(message: pb.Window, time_from: int, time_to: int) -> None:
    """Write a window's times."""
    message.time_from.seconds, message.time_from.nanos = divmod(time_from, SECOND)
    message.time_to.seconds, message.time_to.nanos = divmod(time_to, SECOND)


_types: dict[tuple[str, str], WindowType] = {}  # of windows that were read, by what they are called
_TYPES_KEPT = 1024


def window_type_called(name: str, version: str) -> WindowType:
    """Give a window type as it is read. A core may have names that this SDK would not let anybody choose."""
    known = _types.get((name, version))
    if known is None:
        known = WindowType.__new__(WindowType)
        known.name, known.version, known.description, known.fields = name, version, "", ()
        if len(_types) >= _TYPES_KEPT:
            _types.clear()
        _types[name, version] = known
    return known


def window_of(message: pb.Window, id: str = "") -> Window:
    """Read a window that came from a core. It is read as it is."""
    window = Window.__new__(Window)
    window.type = window_type_called(message.window_type_name, message.window_type_version)
    window.time_from, window.time_to = interval_of(message)
    window.origin, window.id = message.origin, id
    window._message, window._metadata = message, None  # pyright: ignore[reportPrivateUsage]
    return window


def _window_from_bytes(data: bytes, id: str) -> Window:
    return window_of(pb.Window.FromString(data), id)
