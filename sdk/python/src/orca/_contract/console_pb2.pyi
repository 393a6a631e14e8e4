from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from orca._contract import service_pb2 as _service_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RunState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RUN_STATE_UNSPECIFIED: _ClassVar[RunState]
    RUN_STATE_OPEN: _ClassVar[RunState]
    RUN_STATE_SUCCEEDED: _ClassVar[RunState]
    RUN_STATE_FAILED: _ClassVar[RunState]
    RUN_STATE_INCOMPLETE: _ClassVar[RunState]
    RUN_STATE_CANCELLED: _ClassVar[RunState]

class RunKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RUN_KIND_UNSPECIFIED: _ClassVar[RunKind]
    RUN_KIND_EMIT: _ClassVar[RunKind]
    RUN_KIND_RETRY: _ClassVar[RunKind]
    RUN_KIND_REPROCESS: _ClassVar[RunKind]

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    OUTCOME_OPEN: _ClassVar[Outcome]
    OUTCOME_SUCCEEDED: _ClassVar[Outcome]
    OUTCOME_HANDLED_FAILED: _ClassVar[Outcome]
    OUTCOME_UNHANDLED_FAILED: _ClassVar[Outcome]
    OUTCOME_SKIPPED: _ClassVar[Outcome]
    OUTCOME_CANCELLED: _ClassVar[Outcome]

class Freshness(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FRESHNESS_UNSPECIFIED: _ClassVar[Freshness]
    FRESHNESS_CURRENT: _ClassVar[Freshness]
    FRESHNESS_STALE: _ClassVar[Freshness]
    FRESHNESS_NOT_COMPARED: _ClassVar[Freshness]

class AlgorithmState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ALGORITHM_STATE_UNSPECIFIED: _ClassVar[AlgorithmState]
    ALGORITHM_STATE_ACTIVE: _ClassVar[AlgorithmState]
    ALGORITHM_STATE_WAITING: _ClassVar[AlgorithmState]
    ALGORITHM_STATE_RETIRED: _ClassVar[AlgorithmState]

class InstanceState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INSTANCE_STATE_UNSPECIFIED: _ClassVar[InstanceState]
    INSTANCE_STATE_CONNECTING: _ClassVar[InstanceState]
    INSTANCE_STATE_SERVING: _ClassVar[InstanceState]
    INSTANCE_STATE_NOT_SERVING: _ClassVar[InstanceState]
    INSTANCE_STATE_UNREACHABLE: _ClassVar[InstanceState]
RUN_STATE_UNSPECIFIED: RunState
RUN_STATE_OPEN: RunState
RUN_STATE_SUCCEEDED: RunState
RUN_STATE_FAILED: RunState
RUN_STATE_INCOMPLETE: RunState
RUN_STATE_CANCELLED: RunState
RUN_KIND_UNSPECIFIED: RunKind
RUN_KIND_EMIT: RunKind
RUN_KIND_RETRY: RunKind
RUN_KIND_REPROCESS: RunKind
OUTCOME_UNSPECIFIED: Outcome
OUTCOME_OPEN: Outcome
OUTCOME_SUCCEEDED: Outcome
OUTCOME_HANDLED_FAILED: Outcome
OUTCOME_UNHANDLED_FAILED: Outcome
OUTCOME_SKIPPED: Outcome
OUTCOME_CANCELLED: Outcome
FRESHNESS_UNSPECIFIED: Freshness
FRESHNESS_CURRENT: Freshness
FRESHNESS_STALE: Freshness
FRESHNESS_NOT_COMPARED: Freshness
ALGORITHM_STATE_UNSPECIFIED: AlgorithmState
ALGORITHM_STATE_ACTIVE: AlgorithmState
ALGORITHM_STATE_WAITING: AlgorithmState
ALGORITHM_STATE_RETIRED: AlgorithmState
INSTANCE_STATE_UNSPECIFIED: InstanceState
INSTANCE_STATE_CONNECTING: InstanceState
INSTANCE_STATE_SERVING: InstanceState
INSTANCE_STATE_NOT_SERVING: InstanceState
INSTANCE_STATE_UNREACHABLE: InstanceState

class AlgorithmRef(_message.Message):
    __slots__ = ("processor", "name", "version")
    PROCESSOR_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    processor: str
    name: str
    version: str
    def __init__(self, processor: _Optional[str] = ..., name: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class WindowTypeRef(_message.Message):
    __slots__ = ("name", "version")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class ProcessorInfo(_message.Message):
    __slots__ = ("name", "project", "instances", "queued")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    INSTANCES_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    name: str
    project: str
    instances: _containers.RepeatedCompositeFieldContainer[InstanceInfo]
    queued: int
    def __init__(self, name: _Optional[str] = ..., project: _Optional[str] = ..., instances: _Optional[_Iterable[_Union[InstanceInfo, _Mapping]]] = ..., queued: _Optional[int] = ...) -> None: ...

class InstanceInfo(_message.Message):
    __slots__ = ("connection_str", "runtime", "state", "reason", "registered_at", "last_seen", "algorithms", "in_flight", "metrics")
    CONNECTION_STR_FIELD_NUMBER: _ClassVar[int]
    RUNTIME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    REGISTERED_AT_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_FIELD_NUMBER: _ClassVar[int]
    ALGORITHMS_FIELD_NUMBER: _ClassVar[int]
    IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    connection_str: str
    runtime: str
    state: InstanceState
    reason: str
    registered_at: _timestamp_pb2.Timestamp
    last_seen: _timestamp_pb2.Timestamp
    algorithms: int
    in_flight: int
    metrics: _service_pb2.ProcessorMetrics
    def __init__(self, connection_str: _Optional[str] = ..., runtime: _Optional[str] = ..., state: _Optional[_Union[InstanceState, str]] = ..., reason: _Optional[str] = ..., registered_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., last_seen: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., algorithms: _Optional[int] = ..., in_flight: _Optional[int] = ..., metrics: _Optional[_Union[_service_pb2.ProcessorMetrics, _Mapping]] = ...) -> None: ...

class AlgorithmInfo(_message.Message):
    __slots__ = ("processor", "algorithm", "state", "awaited", "dependency_window_types")
    PROCESSOR_FIELD_NUMBER: _ClassVar[int]
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    AWAITED_FIELD_NUMBER: _ClassVar[int]
    DEPENDENCY_WINDOW_TYPES_FIELD_NUMBER: _ClassVar[int]
    processor: str
    algorithm: _service_pb2.Algorithm
    state: AlgorithmState
    awaited: _containers.RepeatedCompositeFieldContainer[AlgorithmRef]
    dependency_window_types: _containers.RepeatedCompositeFieldContainer[WindowTypeRef]
    def __init__(self, processor: _Optional[str] = ..., algorithm: _Optional[_Union[_service_pb2.Algorithm, _Mapping]] = ..., state: _Optional[_Union[AlgorithmState, str]] = ..., awaited: _Optional[_Iterable[_Union[AlgorithmRef, _Mapping]]] = ..., dependency_window_types: _Optional[_Iterable[_Union[WindowTypeRef, _Mapping]]] = ...) -> None: ...

class WindowInfo(_message.Message):
    __slots__ = ("id", "window", "accepted_at", "run")
    ID_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_AT_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    id: str
    window: _service_pb2.Window
    accepted_at: _timestamp_pb2.Timestamp
    run: RunInfo
    def __init__(self, id: _Optional[str] = ..., window: _Optional[_Union[_service_pb2.Window, _Mapping]] = ..., accepted_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., run: _Optional[_Union[RunInfo, _Mapping]] = ...) -> None: ...

class RunInfo(_message.Message):
    __slots__ = ("position", "revision", "kind", "state", "accepted_at", "finished_at", "nodes", "settled")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_AT_FIELD_NUMBER: _ClassVar[int]
    FINISHED_AT_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    position: int
    revision: int
    kind: RunKind
    state: RunState
    accepted_at: _timestamp_pb2.Timestamp
    finished_at: _timestamp_pb2.Timestamp
    nodes: int
    settled: int
    def __init__(self, position: _Optional[int] = ..., revision: _Optional[int] = ..., kind: _Optional[_Union[RunKind, str]] = ..., state: _Optional[_Union[RunState, str]] = ..., accepted_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., finished_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., nodes: _Optional[int] = ..., settled: _Optional[int] = ...) -> None: ...

class NodeInfo(_message.Message):
    __slots__ = ("algorithm", "outcome", "reason", "result", "attempts", "settled_at", "depends_on", "produced_at", "freshness")
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    SETTLED_AT_FIELD_NUMBER: _ClassVar[int]
    DEPENDS_ON_FIELD_NUMBER: _ClassVar[int]
    PRODUCED_AT_FIELD_NUMBER: _ClassVar[int]
    FRESHNESS_FIELD_NUMBER: _ClassVar[int]
    algorithm: AlgorithmRef
    outcome: Outcome
    reason: str
    result: _service_pb2.Result
    attempts: int
    settled_at: _timestamp_pb2.Timestamp
    depends_on: _containers.RepeatedCompositeFieldContainer[AlgorithmRef]
    produced_at: int
    freshness: Freshness
    def __init__(self, algorithm: _Optional[_Union[AlgorithmRef, _Mapping]] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., reason: _Optional[str] = ..., result: _Optional[_Union[_service_pb2.Result, _Mapping]] = ..., attempts: _Optional[int] = ..., settled_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., depends_on: _Optional[_Iterable[_Union[AlgorithmRef, _Mapping]]] = ..., produced_at: _Optional[int] = ..., freshness: _Optional[_Union[Freshness, str]] = ...) -> None: ...

class ResultInfo(_message.Message):
    __slots__ = ("window_id", "window", "position", "revision", "node")
    WINDOW_ID_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    window_id: str
    window: _service_pb2.Window
    position: int
    revision: int
    node: NodeInfo
    def __init__(self, window_id: _Optional[str] = ..., window: _Optional[_Union[_service_pb2.Window, _Mapping]] = ..., position: _Optional[int] = ..., revision: _Optional[int] = ..., node: _Optional[_Union[NodeInfo, _Mapping]] = ...) -> None: ...

class ListProcessorsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListProcessorsResponse(_message.Message):
    __slots__ = ("processors", "page_token")
    PROCESSORS_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    processors: _containers.RepeatedCompositeFieldContainer[ProcessorInfo]
    page_token: str
    def __init__(self, processors: _Optional[_Iterable[_Union[ProcessorInfo, _Mapping]]] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListAlgorithmsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "window_type_name", "window_type_version", "exclude_retired")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    WINDOW_TYPE_NAME_FIELD_NUMBER: _ClassVar[int]
    WINDOW_TYPE_VERSION_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_RETIRED_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    window_type_name: str
    window_type_version: str
    exclude_retired: bool
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., window_type_name: _Optional[str] = ..., window_type_version: _Optional[str] = ..., exclude_retired: bool = ...) -> None: ...

class ListAlgorithmsResponse(_message.Message):
    __slots__ = ("algorithms", "page_token")
    ALGORITHMS_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    algorithms: _containers.RepeatedCompositeFieldContainer[AlgorithmInfo]
    page_token: str
    def __init__(self, algorithms: _Optional[_Iterable[_Union[AlgorithmInfo, _Mapping]]] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListWindowsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "window_type_name", "window_type_version", "time_from", "time_to", "state")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    WINDOW_TYPE_NAME_FIELD_NUMBER: _ClassVar[int]
    WINDOW_TYPE_VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_FROM_FIELD_NUMBER: _ClassVar[int]
    TIME_TO_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    window_type_name: str
    window_type_version: str
    time_from: _timestamp_pb2.Timestamp
    time_to: _timestamp_pb2.Timestamp
    state: RunState
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., window_type_name: _Optional[str] = ..., window_type_version: _Optional[str] = ..., time_from: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., time_to: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., state: _Optional[_Union[RunState, str]] = ...) -> None: ...

class ListWindowsResponse(_message.Message):
    __slots__ = ("windows", "page_token")
    WINDOWS_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    windows: _containers.RepeatedCompositeFieldContainer[WindowInfo]
    page_token: str
    def __init__(self, windows: _Optional[_Iterable[_Union[WindowInfo, _Mapping]]] = ..., page_token: _Optional[str] = ...) -> None: ...

class GetWindowRequest(_message.Message):
    __slots__ = ("id", "revision")
    ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    id: str
    revision: int
    def __init__(self, id: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class GetWindowResponse(_message.Message):
    __slots__ = ("window", "run", "nodes")
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    window: WindowInfo
    run: RunInfo
    nodes: _containers.RepeatedCompositeFieldContainer[NodeInfo]
    def __init__(self, window: _Optional[_Union[WindowInfo, _Mapping]] = ..., run: _Optional[_Union[RunInfo, _Mapping]] = ..., nodes: _Optional[_Iterable[_Union[NodeInfo, _Mapping]]] = ...) -> None: ...

class ListInputsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "id", "revision", "algorithms", "rows_per_input")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    ALGORITHMS_FIELD_NUMBER: _ClassVar[int]
    ROWS_PER_INPUT_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    id: str
    revision: int
    algorithms: _containers.RepeatedCompositeFieldContainer[AlgorithmRef]
    rows_per_input: int
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., id: _Optional[str] = ..., revision: _Optional[int] = ..., algorithms: _Optional[_Iterable[_Union[AlgorithmRef, _Mapping]]] = ..., rows_per_input: _Optional[int] = ...) -> None: ...

class ListInputsResponse(_message.Message):
    __slots__ = ("inputs", "page_token")
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    inputs: _containers.RepeatedCompositeFieldContainer[Input]
    page_token: str
    def __init__(self, inputs: _Optional[_Iterable[_Union[Input, _Mapping]]] = ..., page_token: _Optional[str] = ...) -> None: ...

class Input(_message.Message):
    __slots__ = ("algorithm", "dependency", "of", "window_type", "lookback_num", "lookback_time_delta", "lookback_gap_num", "lookback_gap_time_delta", "position", "rows", "more", "awaited_position", "awaited_window_id")
    ALGORITHM_FIELD_NUMBER: _ClassVar[int]
    DEPENDENCY_FIELD_NUMBER: _ClassVar[int]
    OF_FIELD_NUMBER: _ClassVar[int]
    WINDOW_TYPE_FIELD_NUMBER: _ClassVar[int]
    LOOKBACK_NUM_FIELD_NUMBER: _ClassVar[int]
    LOOKBACK_TIME_DELTA_FIELD_NUMBER: _ClassVar[int]
    LOOKBACK_GAP_NUM_FIELD_NUMBER: _ClassVar[int]
    LOOKBACK_GAP_TIME_DELTA_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    AWAITED_POSITION_FIELD_NUMBER: _ClassVar[int]
    AWAITED_WINDOW_ID_FIELD_NUMBER: _ClassVar[int]
    algorithm: AlgorithmRef
    dependency: int
    of: AlgorithmRef
    window_type: WindowTypeRef
    lookback_num: int
    lookback_time_delta: int
    lookback_gap_num: int
    lookback_gap_time_delta: int
    position: int
    rows: _containers.RepeatedCompositeFieldContainer[InputRow]
    more: bool
    awaited_position: int
    awaited_window_id: str
    def __init__(self, algorithm: _Optional[_Union[AlgorithmRef, _Mapping]] = ..., dependency: _Optional[int] = ..., of: _Optional[_Union[AlgorithmRef, _Mapping]] = ..., window_type: _Optional[_Union[WindowTypeRef, _Mapping]] = ..., lookback_num: _Optional[int] = ..., lookback_time_delta: _Optional[int] = ..., lookback_gap_num: _Optional[int] = ..., lookback_gap_time_delta: _Optional[int] = ..., position: _Optional[int] = ..., rows: _Optional[_Iterable[_Union[InputRow, _Mapping]]] = ..., more: bool = ..., awaited_position: _Optional[int] = ..., awaited_window_id: _Optional[str] = ...) -> None: ...

class InputRow(_message.Message):
    __slots__ = ("window_id", "window", "position", "revision", "result", "current", "produced_at")
    WINDOW_ID_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    PRODUCED_AT_FIELD_NUMBER: _ClassVar[int]
    window_id: str
    window: _service_pb2.Window
    position: int
    revision: int
    result: _service_pb2.Result
    current: bool
    produced_at: int
    def __init__(self, window_id: _Optional[str] = ..., window: _Optional[_Union[_service_pb2.Window, _Mapping]] = ..., position: _Optional[int] = ..., revision: _Optional[int] = ..., result: _Optional[_Union[_service_pb2.Result, _Mapping]] = ..., current: bool = ..., produced_at: _Optional[int] = ...) -> None: ...

class ListResultsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "name", "version", "processor", "time_from", "time_to", "include_failed", "metadata")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PROCESSOR_FIELD_NUMBER: _ClassVar[int]
    TIME_FROM_FIELD_NUMBER: _ClassVar[int]
    TIME_TO_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_FAILED_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    name: str
    version: str
    processor: str
    time_from: _timestamp_pb2.Timestamp
    time_to: _timestamp_pb2.Timestamp
    include_failed: bool
    metadata: _struct_pb2.Struct
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., name: _Optional[str] = ..., version: _Optional[str] = ..., processor: _Optional[str] = ..., time_from: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., time_to: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., include_failed: bool = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class ListResultsResponse(_message.Message):
    __slots__ = ("results", "page_token")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ResultInfo]
    page_token: str
    def __init__(self, results: _Optional[_Iterable[_Union[ResultInfo, _Mapping]]] = ..., page_token: _Optional[str] = ...) -> None: ...

class WatchWindowRequest(_message.Message):
    __slots__ = ("id", "revision")
    ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    id: str
    revision: int
    def __init__(self, id: _Optional[str] = ..., revision: _Optional[int] = ...) -> None: ...

class WatchWindowResponse(_message.Message):
    __slots__ = ("node", "finished")
    NODE_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    node: NodeInfo
    finished: RunInfo
    def __init__(self, node: _Optional[_Union[NodeInfo, _Mapping]] = ..., finished: _Optional[_Union[RunInfo, _Mapping]] = ...) -> None: ...

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStatusResponse(_message.Message):
    __slots__ = ("version", "started_at", "store", "pending", "active", "parked", "waiting", "not_ready", "cores")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    PARKED_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    NOT_READY_FIELD_NUMBER: _ClassVar[int]
    CORES_FIELD_NUMBER: _ClassVar[int]
    version: str
    started_at: _timestamp_pb2.Timestamp
    store: str
    pending: int
    active: int
    parked: int
    waiting: _containers.RepeatedCompositeFieldContainer[Waiting]
    not_ready: str
    cores: _containers.RepeatedCompositeFieldContainer[CoreInfo]
    def __init__(self, version: _Optional[str] = ..., started_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., store: _Optional[str] = ..., pending: _Optional[int] = ..., active: _Optional[int] = ..., parked: _Optional[int] = ..., waiting: _Optional[_Iterable[_Union[Waiting, _Mapping]]] = ..., not_ready: _Optional[str] = ..., cores: _Optional[_Iterable[_Union[CoreInfo, _Mapping]]] = ...) -> None: ...

class CoreInfo(_message.Message):
    __slots__ = ("address", "version", "started_at", "lease", "active", "calls")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    address: str
    version: str
    started_at: _timestamp_pb2.Timestamp
    lease: _duration_pb2.Duration
    active: int
    calls: int
    def __init__(self, address: _Optional[str] = ..., version: _Optional[str] = ..., started_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., lease: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., active: _Optional[int] = ..., calls: _Optional[int] = ...) -> None: ...

class Waiting(_message.Message):
    __slots__ = ("processor", "runs", "oldest")
    PROCESSOR_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    OLDEST_FIELD_NUMBER: _ClassVar[int]
    processor: str
    runs: int
    oldest: int
    def __init__(self, processor: _Optional[str] = ..., runs: _Optional[int] = ..., oldest: _Optional[int] = ...) -> None: ...

class RetryWindowRequest(_message.Message):
    __slots__ = ("id", "metadata")
    ID_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    id: str
    metadata: _struct_pb2.Struct
    def __init__(self, id: _Optional[str] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class RetryWindowResponse(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: RunInfo
    def __init__(self, run: _Optional[_Union[RunInfo, _Mapping]] = ...) -> None: ...

class ReprocessWindowRequest(_message.Message):
    __slots__ = ("id", "metadata")
    ID_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    id: str
    metadata: _struct_pb2.Struct
    def __init__(self, id: _Optional[str] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ...) -> None: ...

class ReprocessWindowResponse(_message.Message):
    __slots__ = ("run", "status")
    RUN_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    run: RunInfo
    status: _service_pb2.WindowEmitStatus.StatusEnum
    def __init__(self, run: _Optional[_Union[RunInfo, _Mapping]] = ..., status: _Optional[_Union[_service_pb2.WindowEmitStatus.StatusEnum, str]] = ...) -> None: ...

class ReprocessWindowsRequest(_message.Message):
    __slots__ = ("window_type_name", "window_type_version", "time_from", "time_to", "dry_run")
    WINDOW_TYPE_NAME_FIELD_NUMBER: _ClassVar[int]
    WINDOW_TYPE_VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_FROM_FIELD_NUMBER: _ClassVar[int]
    TIME_TO_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    window_type_name: str
    window_type_version: str
    time_from: _timestamp_pb2.Timestamp
    time_to: _timestamp_pb2.Timestamp
    dry_run: bool
    def __init__(self, window_type_name: _Optional[str] = ..., window_type_version: _Optional[str] = ..., time_from: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., time_to: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., dry_run: bool = ...) -> None: ...

class ReprocessWindowsResponse(_message.Message):
    __slots__ = ("matched", "window")
    MATCHED_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    matched: int
    window: ReprocessedWindow
    def __init__(self, matched: _Optional[int] = ..., window: _Optional[_Union[ReprocessedWindow, _Mapping]] = ...) -> None: ...

class ReprocessedWindow(_message.Message):
    __slots__ = ("id", "run", "refusal")
    ID_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    id: str
    run: RunInfo
    refusal: str
    def __init__(self, id: _Optional[str] = ..., run: _Optional[_Union[RunInfo, _Mapping]] = ..., refusal: _Optional[str] = ...) -> None: ...

class CancelWindowRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class CancelWindowResponse(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: RunInfo
    def __init__(self, run: _Optional[_Union[RunInfo, _Mapping]] = ...) -> None: ...

class ForgetProcessorRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ForgetProcessorResponse(_message.Message):
    __slots__ = ("instances", "algorithms", "runs")
    INSTANCES_FIELD_NUMBER: _ClassVar[int]
    ALGORITHMS_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    instances: int
    algorithms: int
    runs: int
    def __init__(self, instances: _Optional[int] = ..., algorithms: _Optional[int] = ..., runs: _Optional[int] = ...) -> None: ...
