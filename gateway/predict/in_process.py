"""ONNX Runtime in the gateway's process, for platforms without a Triton binary: macOS, Windows, Arm.

One run at a time, in a thread: ONNX Runtime uses all cores for one run, and the event loop stays free. Like Triton, it
serves all models of the repository and picks up new versions; a model is loaded when it is first asked for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import onnxruntime

from avemotion.api.answers import ModelOutputs
from avemotion.preprocessing.contract import INPUTS, OUTPUTS
from avemotion.preprocessing.errors import ContractMismatchError, ModelFileError
from gateway.deadlines import Deadline
from gateway.errors import ModelUnavailableError
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

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

MODEL_FILE = "model.onnx"

_MAX_BATCH_SIZE = 16
"""Most clips of one run: larger batches delay the runs that wait and gain nothing on a CPU."""

_MOST_LOADED = 4
"""Models that are kept in memory; the least recently used one is evicted."""


class InProcessPredictor:
    """Runs the models of a model repository.

    Attributes:
        default_model: Name of the model if the caller asks for none.
    """

    def __init__(self, model_repository: Path, model: str) -> None:
        self._repository = model_repository
        self.default_model = model
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="onnxruntime")
        self._session = lru_cache(_MOST_LOADED)(self._load)
        self._descriptions: dict[tuple[str, str], ModelDescription] = {}

    async def start(self) -> None:
        """Load the default model and check its contract.

        Raises:
            ModelFileError: There is no model, or it cannot be loaded.
            ContractMismatchError: It was made for another tensor contract.
        """
        await asyncio.get_running_loop().run_in_executor(self._executor, self._load_default)

    async def stop(self) -> None:
        """Let the run in progress finish, and release the models."""
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)
        self._session.cache_clear()

    async def models(self, deadline: Deadline) -> list[ServableModel]:
        """The models of the repository that can be read and fit the contract, by name."""
        found = []
        for name, versions in sorted(self._versions().items()):
            try:
                newest = await self._description(name, versions[-1], deadline)
            except (ContractMismatchError, ModelFileError) as error:
                logger.warning("model left out: %s", error.message)
                continue
            found.append(ServableModel(name, tuple(versions), newest.crop, newest.metrics))
        return found

    async def describe(self, choice: ModelChoice, deadline: Deadline) -> ModelDescription:
        """What the ONNX metadata says; of the newest version where none is asked for."""
        name = choice.name or self.default_model
        versions = self._versions().get(name, [])
        version = choice.version or (versions[-1] if versions else "")
        try:
            if version not in versions:
                raise ModelFileError(f"There is no model at {self._repository / name / version / MODEL_FILE}.")
            return await self._description(name, version, deadline)
        except (ContractMismatchError, ModelFileError):
            if choice != DEFAULT_CHOICE:
                check_choice(choice, self.default_model, await self.models(deadline))
            raise

    async def predict(self, tensors: Tensors, model: ModelDescription, deadline: Deadline) -> ModelOutputs:
        """Run the model once the runs before this one are done."""

        async def run(chunk: Tensors) -> ModelOutputs:
            return await self._in_thread(lambda: self._run(chunk, model), deadline)

        return await predict_in_chunks(run, tensors, model)

    async def _description(self, name: str, version: str, deadline: Deadline) -> ModelDescription:
        key = name, version
        if key not in self._descriptions:
            self._descriptions[key] = await self._in_thread(lambda: self._read_description(name, version), deadline)
        return self._descriptions[key]

    async def _in_thread(self, work: Callable[[], Result], deadline: Deadline) -> Result:
        run = asyncio.get_running_loop().run_in_executor(self._executor, work)
        try:
            return await asyncio.wait_for(run, deadline.remaining())
        except TimeoutError:
            raise ModelUnavailableError(f"The model did not answer within {deadline.seconds:g} s, the limit.") from None

    def _versions(self) -> dict[str, list[str]]:
        """The versions of each model that has any, oldest first."""
        found: dict[str, list[str]] = {}
        for path in self._repository.glob(f"*/*/{MODEL_FILE}"):
            if path.parent.name.isdecimal():
                found.setdefault(path.parts[-3], []).append(path.parent.name)
        return {name: sorted(versions, key=int) for name, versions in found.items()}

    def _load_default(self) -> None:
        versions = self._versions().get(self.default_model)
        if not versions:
            raise ModelFileError(
                f"There is no model at {self._repository / self.default_model / '<version>' / MODEL_FILE}."
            )
        self._descriptions[self.default_model, versions[-1]] = self._read_description(self.default_model, versions[-1])

    def _read_description(self, name: str, version: str) -> ModelDescription:
        metadata = self._session(name, version).get_modelmeta().custom_metadata_map
        return description_of(name, version, metadata, max_batch_size=_MAX_BATCH_SIZE)

    def _run(self, tensors: Tensors, model: ModelDescription) -> ModelOutputs:
        assert model.version is not None  # noqa: S101 (for the type checker; `describe` names one)
        names = [spec.name for spec in OUTPUTS]
        values = self._session(model.name, model.version).run(names, {spec.name: tensors[spec.name] for spec in INPUTS})
        return prediction_of(dict(zip(names, values, strict=True)), model.name, model.version)

    def _load(self, name: str, version: str) -> onnxruntime.InferenceSession:
        """Load a model; only ever called in the one thread, through `_session`."""
        path = self._repository / name / version / MODEL_FILE
        options = onnxruntime.SessionOptions()
        # A thread that spins while it waits takes its core from decoding.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions share no base class
            reason = str(error).splitlines()[0]
            raise ModelFileError(f"The model {path} cannot be loaded: {reason}") from error
