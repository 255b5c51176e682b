"""A client that keeps asking while something happens to the server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from tritonclient import grpc
from tritonclient.utils import InferenceServerException

from avemotion.preprocessing import contract
from tests.support.triton import STANDIN
from tests.triton_server.client import Tensors, ask_triton
from triton_server.launcher import TritonServer


class Answers:
    """What came back so far: the logits of every answer, and the number of requests that failed."""

    def __init__(self) -> None:
        self.failed = 0
        self.messages: set[str] = set()
        self._logits: list[npt.NDArray[Any]] = []

    @property
    def right(self) -> int:
        """Number of requests that were answered."""
        return len(self._logits)

    def all_equal(self, *allowed: npt.NDArray[Any]) -> bool:
        """Whether every answer is one of these."""
        return all(any(np.allclose(logits, one, rtol=0, atol=1e-5) for one in allowed) for logits in self._logits)

    def last_equals(self, wanted: npt.NDArray[Any]) -> bool:
        """Whether the latest answer is this one."""
        return bool(self._logits) and np.allclose(self._logits[-1], wanted, rtol=0, atol=1e-5)

    def ask(self, client: grpc.InferenceServerClient, inputs: Tensors) -> None:
        """Ask once and remember what came back."""
        try:
            answer = ask_triton(client, STANDIN, inputs, [contract.LOGITS.name])
            self._logits.append(answer[contract.LOGITS.name])
        except InferenceServerException as error:
            self.failed += 1
            self.messages.add(str(error))
            # A refused connection comes back at once; asking on without a pause would starve the restart.
            time.sleep(0.05)


@contextmanager
def stream(server: TritonServer, inputs: Tensors) -> Iterator[Answers]:
    """Ask the same thing again and again while the context is open."""
    answers = Answers()
    ended = threading.Event()

    def ask() -> None:
        with grpc.InferenceServerClient(server.grpc_address) as client:
            while not ended.is_set():
                answers.ask(client, inputs)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        ended.set()
        thread.join()
