"""The same processor, written with the contract's stubs alone, as conformance/bare/python is."""

import argparse
import os
import struct
import sys
import time
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
from orca_contract import service_pb2 as pb
from orca_contract import service_pb2_grpc as rpc

EPOCH = 1_577_836_800
REGISTERED = 0xFFFFFFFF
RECORD = struct.Struct("<qIq")


def report(window: int, node: int) -> None:
    os.write(1, RECORD.pack(window, node, time.time_ns()))


class Processor(rpc.OrcaProcessorServicer):
    def HealthCheck(self, request: Any, context: Any) -> Any:
        return pb.HealthCheckResponse(status=pb.HealthCheckResponse.STATUS_SERVING)

    def ExecuteDagPart(self, request: Any, context: Any) -> Iterator[Any]:
        for execution in request.algorithm_executions:
            report(request.window.time_from.seconds - EPOCH, 0)
            result = pb.Result(status=pb.RESULT_STATUS_SUCEEDED, single_value=1.0, timestamp=int(time.time()))
            algorithm = pb.Algorithm(name=execution.algorithm.name, version=execution.algorithm.version)
            yield pb.ExecutionResult(
                exec_id=request.exec_id, algorithm_result=pb.AlgorithmResult(algorithm=algorithm, result=result)
            )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--core")
    parser.add_argument("--shape")
    parser.add_argument("--name")
    args = parser.parse_args()

    asset = pb.MetadataField(name="asset", description="The asset", filter=True)
    single = pb.WindowType(name="Single", version="1.0.0", description="A second", metadataFields=[asset])
    algorithm = pb.Algorithm(
        name="Single0", version="1.0.0", window_type=single, result_type=pb.VALUE, description="One"
    )
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=32))
    rpc.add_OrcaProcessorServicer_to_server(Processor(), server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    with grpc.insecure_channel(args.core) as channel:
        rpc.OrcaCoreStub(channel).RegisterProcessor(
            pb.ProcessorRegistration(
                name=args.name, runtime="python", connection_str=address, supported_algorithms=[algorithm]
            )
        )
    report(0, REGISTERED)
    sys.stdin.read()


if __name__ == "__main__":
    main()
