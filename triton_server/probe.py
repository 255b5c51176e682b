"""Is a model really answering? Triton's own ready endpoints stay at 200 when a model's stub is dead.

So readiness is an inference on random input, over Triton's HTTP interface and its binary tensor extension
(https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md). HTTP and
not gRPC, so that the launcher needs nothing but the standard library and numpy.
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import time
from typing import Any

import numpy as np

from triton_server.errors import ProbeError

_DTYPES = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
}
_HEADER_LENGTH = "Inference-Header-Content-Length"


class ModelProbe:
    """Sends test inferences to one model."""

    def __init__(self, model: str, *, host: str, port: int, timeout_seconds: float) -> None:
        """Remember where the model is.

        Args:
            model: Name of the model.
            host: Address of Triton's HTTP interface.
            port: Port of Triton's HTTP interface.
            timeout_seconds: Time that one request may take.
        """
        self.model = model
        self._address = (host, port, timeout_seconds)
        self._random = np.random.default_rng()

    def infer(self) -> None:
        """Ask for one inference of batch size 1 on random input.

        Raises:
            ProbeError: There was no answer, or not the one that the model's metadata promises.
        """
        metadata = json.loads(self._request("GET", "")[0])
        header, tensors = self._random_request(metadata)
        body, length = self._request("POST", "/infer", header + tensors, len(header))
        answer = json.loads(body[:length])
        found = {output["name"] for output in answer["outputs"]}
        expected = {output["name"] for output in metadata["outputs"]}
        sizes = sum(output["parameters"]["binary_data_size"] for output in answer["outputs"])
        if found != expected or sizes != len(body) - length or not sizes:
            raise ProbeError(
                f"model '{self.model}' answered outputs {sorted(found)} of {sizes} bytes instead of {sorted(expected)}"
            )

    def successes(self) -> int:
        """Number of inferences that all versions of the model have answered without an error.

        Raises:
            ProbeError: Triton did not say.
        """
        statistics = json.loads(self._request("GET", "/stats")[0])
        return sum(version["inference_stats"]["success"]["count"] for version in statistics["model_stats"])

    def _random_request(self, metadata: dict[str, Any]) -> tuple[bytes, bytes]:
        inputs, parts = [], []
        for tensor in metadata["inputs"]:
            # Any size will do where the model leaves one open; the batch size is such a size.
            shape = [max(size, 1) for size in tensor["shape"]]
            dtype = np.dtype(_DTYPES[tensor["datatype"]])
            part = (self._random.random(shape) * (1 if dtype.kind == "f" else 2)).astype(dtype).tobytes()
            parts.append(part)
            inputs.append(
                {
                    "name": tensor["name"],
                    "shape": shape,
                    "datatype": tensor["datatype"],
                    "parameters": {"binary_data_size": len(part)},
                }
            )
        header = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
        return header, b"".join(parts)

    def _request(self, method: str, path: str, body: bytes = b"", header_length: int = 0) -> tuple[bytes, int]:
        """One HTTP request; returns the body and the length of its JSON part."""
        host, port, timeout = self._address
        connection = http.client.HTTPConnection(host, port, timeout=timeout)
        try:
            connection.request(
                method,
                f"/v2/models/{self.model}{path}",
                body,
                {_HEADER_LENGTH: str(header_length)} if header_length else {},
            )
            response = connection.getresponse()
            content = response.read()
        except TimeoutError as error:
            raise ProbeError(f"model '{self.model}' did not answer within {timeout:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            raise ProbeError(f"Triton's HTTP interface did not answer: {error}") from error
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise ProbeError(f"model '{self.model}' failed: {_reason(content)}")
        return content, int(response.headers.get(_HEADER_LENGTH, len(content)))


class ModelWatch:
    """Tells a model that is busy from one that is broken."""

    def __init__(self, probe: ModelProbe) -> None:
        """Begin with a model that has just answered.

        Args:
            probe: Asks the model.
        """
        self._probe = probe
        self._successes = 0
        self._last_success = time.monotonic()
        self._first_failure: float | None = None

    def check(self, hang_timeout_seconds: float) -> str | None:
        """Look once.

        Inferences that others asked for count like the launcher's own: where they succeed, nothing is added to the
        load, and a full queue that rejects the launcher's inference does not make a broken server. The launcher's
        own come when half of the time is over: more often they would only keep an idle machine busy.

        Args:
            hang_timeout_seconds: Time without any success after which the model counts as broken.

        Returns:
            What is wrong with the model, None when nothing is.
        """
        try:
            before, self._successes = self._successes, self._probe.successes()
            if self._successes == before:
                if time.monotonic() - self._last_success < hang_timeout_seconds / 2:
                    return None
                self._probe.infer()
                self._successes += 1
        except ProbeError as error:
            now = time.monotonic()
            if self._first_failure is None:
                self._first_failure = now
            # A machine that slept, or processes that were stopped, fail once, long after the last success.
            if now - self._last_success > hang_timeout_seconds and now - self._first_failure > hang_timeout_seconds / 3:
                return error.message
        else:
            self._last_success, self._first_failure = time.monotonic(), None
        return None


def _reason(content: bytes) -> str:
    try:
        return str(json.loads(content)["error"])
    except (ValueError, KeyError, TypeError):
        return content.decode(errors="replace") or "no reason given"


def main() -> int:
    """One inference, for the probes of containers: 0 where it was answered, 1 and a sentence where not."""
    parser = argparse.ArgumentParser(prog="python -m triton_server.probe", description=main.__doc__)
    parser.add_argument("model", help="name of the model")
    parser.add_argument("--host", default="127.0.0.1", help="address of Triton's HTTP interface")
    parser.add_argument("--port", type=int, default=8003, help="port of Triton's HTTP interface")
    parser.add_argument("--timeout", type=float, default=5.0, help="seconds that one request may take")
    given = parser.parse_args()
    try:
        ModelProbe(given.model, host=given.host, port=given.port, timeout_seconds=given.timeout).infer()
    except ProbeError as error:
        print(error.message, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
