"""The Python-based Triton backend `onnxruntime`, because the wheel's Triton has no backend for ONNX files.

Triton starts one stub process per model instance, and the stub drives `TritonPythonModel`. One `execute` is
one dynamic batch and, unless a request is bad, one run of ONNX Runtime.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from triton_server.backend import tensors
from triton_server.backend.session import DTYPES, create_session
from triton_server.backend.tensors import Array


class TritonPythonModel:
    """One instance of one version of a model."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the model and prove that tensors cross the stub unharmed.

        Args:
            args: Triton's description of the instance.

        Raises:
            TritonModelException: One sentence that says why the model cannot be served.
        """
        config = json.loads(args["model_config"])
        try:
            for feature in ("sequence_batching", "batch_input", "batch_output"):
                if config.get(feature):
                    raise ValueError(f"this backend does not support '{feature}'")
            tensors.check()
            self._session = create_session(
                config,
                Path(args["model_repository"]) / args["model_version"],
                kind=args["model_instance_kind"],
                device=args["model_instance_device_id"],
            )
        except Exception as error:
            raise pb_utils.TritonModelException(f"model '{args['model_name']}': {error}") from error
        self._batching = config["max_batch_size"] > 0
        self._dtypes = {entry["name"]: np.dtype(DTYPES[entry["data_type"]][1]) for entry in config["input"]}
        self._output_names = [entry["name"] for entry in config["output"]]
        self._buffers = {name: np.empty(0, dtype) for name, dtype in self._dtypes.items()}

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer one dynamic batch.

        Args:
            requests: Triton's requests, whose inputs agree in all but the batch dimension.

        Returns:
            One response per request, in order; an error of one request is in its own response only.
        """
        groups = [list(requests)] if self._batching else [[request] for request in requests]
        responses: list[Any] = []
        for group in groups:
            try:
                responses += self._answer(group)
            except Exception:
                # Whatever failed, it may be one request's fault: let it fail alone.
                responses += [self._answer_alone(request) for request in group]
        return responses

    def finalize(self) -> None:
        """Release the session."""
        del self._session

    def _answer_alone(self, request: Any) -> Any:  # noqa: ANN401 (the stub's classes have no type stubs)
        try:
            return self._answer([request])[0]
        except Exception as error:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(f"onnxruntime: {error}"))

    def _answer(self, requests: Sequence[Any]) -> list[Any]:
        """One run over all requests, split into a response for each."""
        inputs = {name: [_input(request, name) for request in requests] for name in self._dtypes}
        feeds = {name: self._gather(name, parts) for name, parts in inputs.items()}
        requested = [set(request.requested_output_names()) for request in requests]
        names = [name for name in self._output_names if any(name in wanted for wanted in requested)]
        outputs = dict(zip(names, self._session.run(names, feeds), strict=True))
        responses = []
        row = 0
        for index, wanted in enumerate(requested):
            rows = slice(None)
            if self._batching:
                count = len(next(iter(inputs.values()))[index])
                rows = slice(row, row + count)
                row += count
            responses.append(
                pb_utils.InferenceResponse(
                    [tensors.to_triton(name, outputs[name][rows]) for name in names if name in wanted]
                )
            )
        return responses

    def _gather(self, name: str, parts: Sequence[Array]) -> Array:
        """The requests' parts of one input as one aligned array, in a buffer that is kept between batches.

        A fresh buffer for every batch would be fresh pages for every batch, and the page faults cost about
        as much as the transport itself.
        """
        shape = (sum(len(part) for part in parts), *parts[0].shape[1:]) if self._batching else parts[0].shape
        size = math.prod(shape)
        if self._buffers[name].size < size:
            self._buffers[name] = np.empty(size, self._dtypes[name])
        gathered = self._buffers[name][:size].reshape(shape)
        if self._batching:
            np.concatenate(parts, out=gathered)
        else:
            np.copyto(gathered, parts[0])
        return gathered


def _input(request: Any, name: str) -> Array:  # noqa: ANN401 (the stub's classes have no type stubs)
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    if tensor is None:
        raise ValueError(f"the request lacks input '{name}'")
    return tensors.view(tensor)
