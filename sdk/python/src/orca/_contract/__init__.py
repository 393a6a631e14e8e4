"""The messages of the contract, generated, in a descriptor pool of their own.

One pool takes each symbol once. With a pool of its own the SDK gets along with other generated code of the same
contract in one process.
"""

from typing import Any

from google.protobuf import (
    descriptor_pool,
    duration_pb2,
    message_factory,
    struct_pb2,
    timestamp_pb2,
)

POOL = descriptor_pool.DescriptorPool()


def _class_maker() -> Any:
    """Older runtimes have a factory, newer ones a function."""
    factory: Any = message_factory
    if hasattr(factory, "GetMessageClass"):
        return factory.GetMessageClass
    return factory.MessageFactory(POOL).GetPrototype


WELL_KNOWN: list[Any] = []
"""The classes have to be there before a message that has them as fields: older runtimes make none on the way."""

for _file in (duration_pb2.DESCRIPTOR, struct_pb2.DESCRIPTOR, timestamp_pb2.DESCRIPTOR):
    POOL.AddSerializedFile(_file.serialized_pb)
    for _message in POOL.FindFileByName(_file.name).message_types_by_name.values():
        WELL_KNOWN.append(_class_maker()(_message))
