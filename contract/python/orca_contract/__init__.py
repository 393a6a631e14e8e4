"""Orca's wire contract: the messages and gRPC stubs generated from service.proto and console.proto.

``service_pb2`` and ``service_pb2_grpc`` are what processors and emitters speak, ``console_pb2`` and
``console_pb2_grpc`` what people and programs ask a core beyond it. Nothing is imported here, so that a program loads
only what it uses.
"""
