"""Rows as arrays and tables, for those who have NumPy and pandas. Nothing else in the package imports them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from orca._errors import InvalidError, OrcaError

if TYPE_CHECKING:
    import numpy
    import numpy.typing
    import pandas

    from orca._rows import Row


def to_numpy(values: Sequence[Any]) -> numpy.typing.NDArray[numpy.float32]:
    """See Rows.to_numpy."""
    try:
        import numpy as np
    except ImportError as error:
        raise OrcaError("to_numpy() needs NumPy; install it with: pip install numpy") from error
    for value in values:
        if value is None or isinstance(value, Mapping) or dataclasses.is_dataclass(value):
            raise InvalidError(f"to_numpy(): {value!r} is not a number or an array; structs are read with to_pandas()")
    lengths = {len(value) if hasattr(value, "__len__") else None for value in values}
    if len(lengths) > 1:
        raise InvalidError(
            f"to_numpy(): the arrays have different lengths ({lengths}); read them one by one with .values"
        )
    return np.array(values, dtype=np.float32)


def to_pandas(rows: Sequence[Row[Any]]) -> pandas.DataFrame:
    """See Rows.to_pandas."""
    try:
        import pandas as pd
    except ImportError as error:
        raise OrcaError("to_pandas() needs pandas; install it with: pip install pandas") from error
    columns: dict[str, Any] = {
        "time_from": pd.to_datetime([row.window.time_from for row in rows], unit="ns", utc=True),
        "time_to": pd.to_datetime([row.window.time_to for row in rows], unit="ns", utc=True),
        "origin": [row.window.origin for row in rows],
    }
    results = _columns([_fields(row.value) for row in rows]) or {"value": []}
    for name, column in _columns([row.window.metadata for row in rows]).items():
        columns[f"metadata.{name}" if name in columns or name in results else name] = column
    for name, column in results.items():
        columns[f"result.{name}" if name in columns else name] = column
    return pd.DataFrame(columns)


def _fields(value: Any) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return cast("Mapping[str, Any]", value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return {"value": value}


def _columns(records: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Turn records into columns, with None where a record lacks a field."""
    names = dict.fromkeys(name for record in records for name in record)
    return {name: [record.get(name) for record in records] for name in names}
