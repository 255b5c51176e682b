"""Servers that speak Triton's gRPC service, count what reaches them, and fail on command: a fake to inject faults."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import np_to_triton_dtype

from avemotion.preprocessing.contract import FRAMES, OUTPUTS, parameters
from avemotion.preprocessing.model_metadata import CONTRACT_KEY, CROP_KEY
from tests.support.triton import free_ports


class FakeTriton(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """One server.

    Attributes:
        port: Where it listens on loopback.
        executed: Inferences that reached it and were not refused.
        asked: Inferences that reached it.
        metadata: Of the last inference.
        timeouts: Queue timeouts of the inferences, in microseconds.
        refusal: Status that inferences are refused with.
        hold: Inferences wait until it is set.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.executed = 0
        self.asked = 0
        self.cancelled = 0
        self.metadata: dict[str, str] = {}
        self.timeouts: list[int] = []
        self.refusal: grpc.StatusCode | None = None
        self.hold = threading.Event()
        self.hold.set()
        self._lock = threading.Lock()
        self._random = np.random.default_rng(port)

    def ModelConfig(self, request: Any, context: Any) -> Any:  # noqa: N802, ARG002 (gRPC's name and signature)
        response = service_pb2.ModelConfigResponse()
        response.config.name = request.name
        response.config.max_batch_size = 16
        response.config.parameters[CONTRACT_KEY].string_value = json.dumps(parameters())
        response.config.parameters[CROP_KEY].string_value = "face"
        return response

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802 (gRPC's name)
        with self._lock:
            self.asked += 1
            self.metadata = dict(context.invocation_metadata())
            self.timeouts.append(request.parameters["timeout"].int64_param)
            if self.refusal is None:
                self.executed += 1
        if self.refusal is not None:
            context.abort(self.refusal, "Request for unknown model")
        while not self.hold.wait(0.02):
            if not context.is_active():
                self.cancelled += 1
                return service_pb2.ModelInferResponse()
        [batch] = [tensor.shape[0] for tensor in request.inputs if tensor.name == FRAMES.name]
        response = service_pb2.ModelInferResponse(model_name=request.model_name, model_version="1")
        for spec in OUTPUTS:
            output = response.outputs.add(
                name=spec.name, datatype=np_to_triton_dtype(np.dtype(spec.dtype)), shape=[batch, *spec.shape]
            )
            values = self._random.dirichlet(np.ones(spec.shape[-1]), batch).astype(spec.dtype)
            assert list(output.shape) == list(values.shape)
            response.raw_output_contents.append(values.tobytes())
        return response


@contextmanager
def fake_triton(port: int | None = None) -> Iterator[FakeTriton]:
    """A fake that listens while the context is open; at its end every call is cut off."""
    fake = FakeTriton(port or free_ports(1)[0])
    server = grpc.server(ThreadPoolExecutor(16), options=[("grpc.max_receive_message_length", 2**28)])
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(fake, server)
    assert server.add_insecure_port(f"127.0.0.1:{fake.port}") == fake.port
    server.start()
    try:
        yield fake
    finally:
        stopped = server.stop(grace=None)
        fake.hold.set()
        stopped.wait()
