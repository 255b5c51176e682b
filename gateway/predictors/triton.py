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

from avemotion.preprocessing.contract import INPUTS, OUTPUTS
from avemotion.preprocessing.errors import ContractMismatchError, EmotionError
from gateway.deadline import Deadline
from gateway.errors import DeadlineExceededError, ModelUnavailableError
from gateway.predictors.base import (
    DEFAULT_CHOICE,
    ModelChoice,
    ModelDescription,
    Prediction,
    ServableModel,
    Tensors,
    check_choice,
    description_of,
    predict_in_chunks,
    prediction_of,
)
from gateway.predictors.channel import CHANNEL_OPTIONS
from gateway.tracing import span, trace_headers

logger = logging.getLogger(__name__)

_START_TIMEOUT = 2.0
"""Time for the contract check at start, in seconds; a Triton that is away then is checked when it comes."""


class TritonPredictor:
    """Asks a Triton server.

    Attributes:
        default_model: Name of the model where none is asked for.
    """

    def __init__(self, address: str, model: str) -> None:
        """Prepare; `start` opens the channel.

        Args:
            address: gRPC target, e.g. `dns:///triton:8001`.
            model: Name of the model where none is asked for.
        """
        self._address = address
        self.default_model = model
        self._client: InferenceServerClient | None = None
        self._descriptions: dict[tuple[str, str | None], ModelDescription] = {}

    async def start(self) -> None:
        """Open the channel, and check the contract if Triton is there already.

        Raises:
            ContractMismatchError: Triton serves a model for other tensors.
        """
        self._client = InferenceServerClient(self._address, channel_args=CHANNEL_OPTIONS)
        try:
            await self.describe(DEFAULT_CHOICE, Deadline.after(_START_TIMEOUT))
        except ModelUnavailableError:
            return  # It may come later; readiness says so meanwhile.

    async def stop(self) -> None:
        """Close the channel."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    async def models(self, deadline: Deadline) -> list[ServableModel]:
        """The models that Triton has ready and that fit the contract.

        Triton's repository index is closed where it is deployed well; its statistics name the ready models, too. Their
        configurations are read anew: one that was remembered knows nothing of a version that came after it.
        """
        try:
            statistics = await self._open_client().get_inference_statistics(client_timeout=deadline.remaining())
        except InferenceServerException as error:
            raise self._away(error, deadline, self.default_model) from error
        versions: dict[str, list[str]] = {}
        for entry in statistics.model_stats:
            versions.setdefault(entry.name, []).append(entry.version)
        found = []
        for name in sorted(versions):
            try:
                ready = sorted(versions[name], key=int)
                model = await self._ask_description(name, ready[-1], deadline)
            except ContractMismatchError as error:
                logger.info("model left out: %s", error.message)
                continue
            found.append(ServableModel(name, tuple(ready), model.crop, model.metrics))
        return found

    async def describe(self, choice: ModelChoice, deadline: Deadline) -> ModelDescription:
        """What Triton's model configuration says; asked again after Triton was away, as it may have changed."""
        try:
            return await self._description(choice.name or self.default_model, choice.version, deadline)
        except (ModelUnavailableError, ContractMismatchError):
            if choice != DEFAULT_CHOICE:
                ready = await self.models(deadline)
                if ready:  # A Triton that drains or starts has none: that is no fault of the caller.
                    check_choice(choice, self.default_model, ready)
            raise

    async def predict(self, tensors: Tensors, model: ModelDescription, deadline: Deadline) -> Prediction:
        """Send one request for each largest batch, whose deadline is that of the call and of Triton's queue."""

        async def run(chunk: Tensors) -> Prediction:
            return await self._infer(chunk, model, deadline)

        return await predict_in_chunks(run, tensors, model)

    async def _description(self, name: str, version: str | None, deadline: Deadline) -> ModelDescription:
        key = name, version
        if key not in self._descriptions:
            self._descriptions[key] = await self._ask_description(name, version, deadline)
        return self._descriptions[key]

    async def _ask_description(self, name: str, version: str | None, deadline: Deadline) -> ModelDescription:
        call = self._open_client().get_model_config(name, version or "", client_timeout=deadline.remaining())
        try:
            config = (await call).config
        except InferenceServerException as error:
            raise self._away(error, deadline, name) from error
        parameters = {key: value.string_value for key, value in config.parameters.items()}
        return description_of(name, version, parameters, max_batch_size=config.max_batch_size)

    async def _infer(self, tensors: Tensors, model: ModelDescription, deadline: Deadline) -> Prediction:
        inputs = []
        for spec in INPUTS:
            tensor = InferInput(spec.name, tensors[spec.name].shape, spec.triton_dtype)
            tensor.set_data_from_numpy(tensors[spec.name])
            inputs.append(tensor)
        remaining = deadline.remaining()
        if not remaining:
            raise self._late(deadline)
        try:
            with span("inference.GRPCInferenceService/ModelInfer", "client"):
                result = await self._open_client().infer(
                    model.name,
                    inputs,
                    model_version=model.version or "",
                    outputs=[InferRequestedOutput(spec.name) for spec in OUTPUTS],
                    headers=trace_headers(),
                    client_timeout=remaining,
                    timeout=int(remaining * 1e6),
                )
        except InferenceServerException as error:
            self._descriptions.clear()
            raise self._away(error, deadline, model.name) from error
        outputs = {spec.name: result.as_numpy(spec.name) for spec in OUTPUTS}
        return prediction_of(outputs, model.name, result.get_response().model_version)

    def _open_client(self) -> InferenceServerClient:
        if self._client is None:
            raise ModelUnavailableError("The gateway is stopping.")
        return self._client

    def _late(self, deadline: Deadline) -> EmotionError:
        if deadline.is_requests:
            return DeadlineExceededError(
                f"The model did not answer within {deadline.seconds:g} s, the limit for a whole request."
            )
        return ModelUnavailableError(f"Triton did not answer within {deadline.seconds:g} s, the limit.")

    def _away(self, error: InferenceServerException, deadline: Deadline, model: str) -> EmotionError:
        """The error that is ours for one of Triton or gRPC, whose own words may hold addresses: they go to the log."""
        status = str(error.status() or "").removeprefix("StatusCode.")
        words = error.message() or ""
        logger.warning("Triton is away: %s", words, extra={"grpc_status": status})
        if status == "DEADLINE_EXCEEDED" or "timeout expired" in words.lower():
            return self._late(deadline)
        if "queue size" in words:
            return ModelUnavailableError(f"Triton's queue for the model '{model}' is full.")
        if status == "NOT_FOUND" or "not ready" in words or "not found" in words:
            return ModelUnavailableError(f"Triton has no model '{model}' ready: it starts, drains or lacks it.")
        if status == "UNAVAILABLE":
            return ModelUnavailableError("Triton cannot be reached.")
        return ModelUnavailableError(f"Triton could not run the model '{model}' ({status}).")
