"""Triton over gRPC: one channel, deadlines that reach Triton's queue, and one meaning for all ways to be away.

Triton is away when it does not listen, when it drains (it then answers NOT_FOUND), when its Python stub is dead (it
then answers INTERNAL, and its ready endpoints still say ready), and when it is too slow. Each is a 503 for this
request only: the channel reconnects by itself, and the next request finds out.
"""

from __future__ import annotations

import logging

from tritonclient.grpc import InferInput, InferRequestedOutput
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from gateway.deadline import Deadline
from gateway.errors import ModelUnavailableError
from gateway.predictors.base import ModelDescription, Prediction, Tensors, description_of, prediction_of
from gateway.predictors.channel import CHANNEL_OPTIONS
from preprocessing.contract import INPUTS, OUTPUTS

logger = logging.getLogger(__name__)

_START_TIMEOUT = 2.0
"""Time for the contract check at start, in seconds; a Triton that is away then is checked when it comes."""


class TritonPredictor:
    """Asks a Triton server."""

    def __init__(self, address: str, model: str) -> None:
        """Prepare; `start` opens the channel.

        Args:
            address: gRPC target, e.g. `dns:///triton:8001`.
            model: Name of the model.
        """
        self._address = address
        self._model = model
        self._client: InferenceServerClient | None = None
        self._description: ModelDescription | None = None

    async def start(self) -> None:
        """Open the channel, and check the contract if Triton is there already.

        Raises:
            ContractMismatchError: Triton serves a model for other tensors.
        """
        self._client = InferenceServerClient(self._address, channel_args=CHANNEL_OPTIONS)
        try:
            await self.describe(Deadline.after(_START_TIMEOUT))
        except ModelUnavailableError:
            return  # It may come later; readiness says so meanwhile.

    async def stop(self) -> None:
        """Close the channel."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    async def describe(self, deadline: Deadline) -> ModelDescription:
        """What Triton's model configuration says; asked again after Triton was away, as it may have changed."""
        if self._description is None:
            call = self._open_client().get_model_config(self._model, client_timeout=deadline.remaining())
            try:
                response = await call
            except InferenceServerException as error:
                raise self._away(error, deadline) from error
            parameters = {key: value.string_value for key, value in response.config.parameters.items()}
            self._description = description_of(self._model, parameters)
        return self._description

    async def predict(self, tensors: Tensors, deadline: Deadline) -> Prediction:
        """Send one request, whose deadline is that of the call and of Triton's queue."""
        inputs = []
        for spec in INPUTS:
            tensor = InferInput(spec.name, tensors[spec.name].shape, spec.triton_dtype)
            tensor.set_data_from_numpy(tensors[spec.name])
            inputs.append(tensor)
        remaining = deadline.remaining()
        if not remaining:
            raise self._late(deadline)
        try:
            result = await self._open_client().infer(
                self._model,
                inputs,
                outputs=[InferRequestedOutput(spec.name) for spec in OUTPUTS],
                client_timeout=remaining,
                timeout=int(remaining * 1e6),
            )
        except InferenceServerException as error:
            self._description = None
            raise self._away(error, deadline) from error
        outputs = {spec.name: result.as_numpy(spec.name) for spec in OUTPUTS}
        return prediction_of(outputs, self._model, result.get_response().model_version)

    def _open_client(self) -> InferenceServerClient:
        if self._client is None:
            raise ModelUnavailableError("The gateway is stopping.")
        return self._client

    def _late(self, deadline: Deadline) -> ModelUnavailableError:
        return ModelUnavailableError(f"Triton did not answer within {deadline.seconds:g} s, the limit.")

    def _away(self, error: InferenceServerException, deadline: Deadline) -> ModelUnavailableError:
        """The error that is ours for one of Triton or gRPC, whose own words may hold addresses: they go to the log."""
        status = str(error.status() or "").removeprefix("StatusCode.")
        words = error.message() or ""
        logger.warning("Triton is away: %s", words, extra={"grpc_status": status})
        if status == "DEADLINE_EXCEEDED" or "timeout expired" in words.lower():
            return self._late(deadline)
        if "queue size" in words:
            return ModelUnavailableError(f"Triton's queue for the model '{self._model}' is full.")
        if status == "NOT_FOUND" or "not ready" in words or "not found" in words:
            return ModelUnavailableError(f"Triton has no model '{self._model}' ready: it starts, drains or lacks it.")
        if status == "UNAVAILABLE":
            return ModelUnavailableError("Triton cannot be reached.")
        return ModelUnavailableError(f"Triton could not run the model '{self._model}' ({status}).")
