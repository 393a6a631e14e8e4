"""Emits one window with the generated stubs alone, as peers without our SDKs do.

The README of conformance/bare says what the programs of all languages do; this one is the Python one.
"""

from __future__ import annotations

import argparse
import json
import os
import sys

import grpc
from google.protobuf import timestamp_pb2
from orca_contract import service_pb2 as pb
from orca_contract import service_pb2_grpc as rpc


def timestamp(nanoseconds: int) -> timestamp_pb2.Timestamp:
    seconds, nanos = divmod(nanoseconds, 1_000_000_000)
    return timestamp_pb2.Timestamp(seconds=seconds, nanos=nanos)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--core", default=os.environ.get("ORCA_CORE"), help="host:port of the core")
    parser.add_argument("--type", default="Reading@1.0.0", help="window type, as Name@1.0.0")
    parser.add_argument("--origin", default="bare-python", help="origin of the window")
    parser.add_argument("--from", dest="begin", type=int, default=0, help="begin, in nanoseconds since the epoch")
    parser.add_argument("--to", dest="end", type=int, default=0, help="end, in nanoseconds since the epoch")
    parser.add_argument("--metadata", type=json.loads, default={}, help="metadata, as a JSON object")
    args = parser.parse_args()

    name, _, version = args.type.partition("@")
    window = pb.Window(
        time_from=timestamp(args.begin),
        time_to=timestamp(args.end),
        window_type_name=name,
        window_type_version=version,
        origin=args.origin,
    )
    window.metadata.update(args.metadata)

    with grpc.insecure_channel(args.core) as channel:
        try:
            answer, call = rpc.OrcaCoreStub(channel).EmitWindow.with_call(window, timeout=10)
        except grpc.RpcError as e:
            print(json.dumps({"code": e.code().value[0], "message": e.details()}))
            return 1
        ids = [value for key, value in call.initial_metadata() if key == "orca-window-id"]
    print(json.dumps({"status": pb.WindowEmitStatus.StatusEnum.Name(answer.status), "windowId": ",".join(ids)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
