"""Triton over gRPC: one channel to all its addresses, deadlines that reach Triton's queue, one error if it is away.

Triton is away if it does not listen, drains (it then answers NOT_FOUND), has lost its Python stub (it then answers
INTERNAL, while its ready endpoints still say ready), or is too slow. Each is a 503 for this request only: the channel
reconnects by itself, and the next request finds out.

A call is repeated only if nothing was executed. Two kinds of failure prove that. gRPC itself repeats a call that never
left this process or that the server's transport refused ("transparent" retry). And Triton answers NOT_FOUND if it does
not have the model ready, as while it drains: another address may have it. UNAVAILABLE is in no retry policy: a
connection that breaks while Triton computes ends in it, too, and the same clip would be computed twice, at the worst of
times.
"""

from __future__ import annotations

import json
import logging
from typing import Final

from opentelemetry.propagate import inject
from opentelemetry.trace import SpanKind, Tracer
from tritonclient.grpc import InferInput, InferRequestedOutput
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from avemotion.api.answers import ModelOutputs
from avemotion.preprocessing.contract import INPUTS, OUTPUTS
from avemotion.preprocessing.errors import ContractMismatchError, EmotionError
from gateway.deadlines import Deadline
from gateway.errors import DeadlineExceededError, ModelUnavailableError
from gateway.predict.predictor import (
    DEFAULT_CHOICE,
    ModelChoice,
    ModelDescription,
    ServableModel,
    Tensors,
    check_choice,
    description_of,
    predict_in_chunks,
    prediction_of,
)
from gateway.telemetry import NO_TRACER, stage_span

logger = logging.getLogger(__name__)

_START_TIMEOUT: Final = 2.0
"""Time for the contract check at start, in seconds; a Triton that is away then is checked when it comes."""

_MESSAGE_LIMIT: Final = 256 * 2**20

_SERVICE_CONFIG: Final = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [{"service": "inference.GRPCInferenceService", "method": "ModelInfer"}],
            "retryPolicy": {
                "maxAttempts": 3,
                "initialBackoff": "0.02s",
                "maxBackoff": "0.1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["NOT_FOUND"],
            },
        }
    ],
    # If most calls fail, because no address has the model, none is repeated.
    "retryThrottling": {"maxTokens": 20, "tokenRatio": 0.2},
}

CHANNEL_OPTIONS: Final[list[tuple[str, int | str]]] = [
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    ("grpc.service_config_disable_resolution", 1),
    # gRPC cannot repeat a call that is larger than this; the default is less than one clip's tensors.
    ("grpc.per_rpc_retry_buffer_size", _MESSAGE_LIMIT),
    ("grpc.max_send_message_length", _MESSAGE_LIMIT),
    ("grpc.max_receive_message_length", _MESSAGE_LIMIT),
    # Pings during a call reveal a cut connection; Triton rejects pings on an idle channel.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # gRPC's own backoff grows to two minutes: a restarted Triton would be found long after it is ready.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
    ("grpc.enable_http_proxy", 0),
]
"""Options of gRPC's core, https://grpc.github.io/grpc/core/group__grpc__arg__keys.html."""


class TritonPredictor:
    """Asks a Triton server.

    Attributes:
        default_model: Name of the model if the caller asks for none.
    """

    def __init__(self, address: str, model: str, tracer: Tracer = NO_TRACER) -> None:
        self._address = address
        self.default_model = model
        self._tracer = tracer
        self._client: InferenceServerClient | None = None
        self._descriptions: dict[tuple[str, str | None], ModelDescription] = {}

    async def start(self) -> None:
        """Open the channel, and check the contract if Triton is there already.

        Raises:
            ContractMismatchError: Triton serves a model for another tensor contract.
        """
        self._client = InferenceServerClient(self._address, channel_args=CHANNEL_OPTIONS)
        try:
            await self.describe(DEFAULT_CHOICE, Deadline.after(_START_TIMEOUT))
        except ModelUnavailableError:
            return  # Triton may come later; the gateway is not ready until then.

    async def stop(self) -> None:
        """Close the channel."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    async def models(self, deadline: Deadline) -> list[ServableModel]:
        """The models that Triton has ready and that fit the contract.

        A secure deployment closes Triton's repository index; its statistics name the ready models, too. Configurations
        are read each time: a cached one knows nothing of a version that came after it.
        """
        try:
            statistics = await self._open_client().get_inference_statistics(client_timeout=deadline.remaining())
        except InferenceServerException as error:
            raise self._error_for(error, deadline, self.default_model) from error
        versions: dict[str, list[str]] = {}
        for entry in statistics.model_stats:
            versions.setdefault(entry.name, []).append(entry.version)
        found = []
        for name in sorted(versions):
            try:
                ready = sorted(versions[name], key=int)
                model = await self._fetch_description(name, ready[-1], deadline)
            except ContractMismatchError as error:
                logger.info("model left out: %s", error.message)
                continue
            found.append(ServableModel(name, tuple(ready), model.crop, model.metrics))
        return found

    async def describe(self, choice: ModelChoice, deadline: Deadline) -> ModelDescription:
        """What Triton's model configuration says; fetched again after Triton was away, as it may have changed."""
        try:
            return await self._description(choice.name or self.default_model, choice.version, deadline)
        except (ModelUnavailableError, ContractMismatchError):
            if choice != DEFAULT_CHOICE:
                ready = await self.models(deadline)
                if ready:  # A Triton that drains or starts has none, which is not the caller's mistake.
                    check_choice(choice, self.default_model, ready)
            raise

    async def predict(self, tensors: Tensors, model: ModelDescription, deadline: Deadline) -> ModelOutputs:
        """Send one request for each largest batch, with a deadline that is also that of Triton's queue."""

        async def run(chunk: Tensors) -> ModelOutputs:
            return await self._infer(chunk, model, deadline)

        return await predict_in_chunks(run, tensors, model)

    async def _description(self, name: str, version: str | None, deadline: Deadline) -> ModelDescription:
        key = name, version
        if key not in self._descriptions:
            self._descriptions[key] = await self._fetch_description(name, version, deadline)
        return self._descriptions[key]

    async def _fetch_description(self, name: str, version: str | None, deadline: Deadline) -> ModelDescription:
        call = self._open_client().get_model_config(name, version or "", client_timeout=deadline.remaining())
        try:
            config = (await call).config
        except InferenceServerException as error:
            raise self._error_for(error, deadline, name) from error
        parameters = {key: value.string_value for key, value in config.parameters.items()}
        return description_of(name, version, parameters, max_batch_size=config.max_batch_size)

    async def _infer(self, tensors: Tensors, model: ModelDescription, deadline: Deadline) -> ModelOutputs:
        inputs = []
        for spec in INPUTS:
            tensor = InferInput(spec.name, tensors[spec.name].shape, np_to_triton_dtype(tensors[spec.name].dtype))
            tensor.set_data_from_numpy(tensors[spec.name])
            inputs.append(tensor)
        remaining = deadline.remaining()
        if not remaining:
            raise self._late(deadline)
        headers: dict[str, str] = {}
        try:
            with stage_span(self._tracer, "inference.GRPCInferenceService/ModelInfer", SpanKind.CLIENT):
                inject(headers)  # the current span, if there is one, in W3C Trace Context
                result = await self._open_client().infer(
                    model.name,
                    inputs,
                    model_version=model.version or "",
                    outputs=[InferRequestedOutput(spec.name) for spec in OUTPUTS],
                    headers=headers,
                    client_timeout=remaining,
                    timeout=int(remaining * 1e6),
                )
        except InferenceServerException as error:
            self._descriptions.clear()
            raise self._error_for(error, deadline, model.name) from error
        outputs = {spec.name: result.as_numpy(spec.name) for spec in OUTPUTS}
        return prediction_of(outputs, model.name, result.get_response().model_version)

    def _open_client(self) -> InferenceServerClient:
        if self._client is None:
            raise ModelUnavailableError("The gateway is stopping.")
        return self._client

    def _late(self, deadline: Deadline) -> EmotionError:
        if deadline.ends_request:
            return DeadlineExceededError(
                f"The model did not answer within {deadline.seconds:g} s, the limit for a whole request."
            )
        return ModelUnavailableError(f"Triton did not answer within {deadline.seconds:g} s, the limit.")

    def _error_for(self, error: InferenceServerException, deadline: Deadline, model: str) -> EmotionError:
        """The gateway's error for one of Triton or gRPC, whose own message may hold addresses and goes to the log."""
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
