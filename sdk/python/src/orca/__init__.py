"""The Python SDK of Orca: functions become algorithms that a core runs whenever a window of their type is emitted.

A `Processor` holds algorithms and serves them. A `Client` (or `AsyncClient`) emits windows, waits for what becomes of
them and reads results. Package `orca.testing` runs whole DAGs with their history in memory.

The package is a guest in its program: it does no work at import, reads the environment only when a processor is run or
a client is made, and logs to the logger "orca" without setting logging up: until the program does, Python writes
warnings and errors to standard error.
"""

from orca._algorithm import Algorithm, Dependency, Need, remote
from orca._async_client import AsyncClient
from orca._client import Client
from orca._emission import Emission, EmitStatus
from orca._errors import (
    CallError,
    ConflictError,
    Failure,
    InvalidError,
    NoResultError,
    NotFoundError,
    OrcaError,
    UnauthorizedError,
    UnavailableError,
)
from orca._lookback import Lookback, last, newest, over
from orca._names import AlgorithmID
from orca._outcome import Freshness, GivenRow, Node, NodeState, Outcome, Rerun, RunState
from orca._processor import Processor
from orca._rows import Input, Row, Rows
from orca._run import Run
from orca._settings import TLS
from orca._time import Duration, Time
from orca._window import Field, Window, WindowType

__all__ = [
    "TLS",
    "Algorithm",
    "AlgorithmID",
    "AsyncClient",
    "CallError",
    "Client",
    "ConflictError",
    "Dependency",
    "Duration",
    "Emission",
    "EmitStatus",
    "Failure",
    "Field",
    "Freshness",
    "GivenRow",
    "Input",
    "InvalidError",
    "Lookback",
    "Need",
    "NoResultError",
    "Node",
    "NodeState",
    "NotFoundError",
    "OrcaError",
    "Outcome",
    "Processor",
    "Rerun",
    "Row",
    "Rows",
    "Run",
    "RunState",
    "Time",
    "UnauthorizedError",
    "UnavailableError",
    "Window",
    "WindowType",
    "last",
    "newest",
    "over",
    "remote",
]
