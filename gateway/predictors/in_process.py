"""ONNX Runtime in the gateway's own process, for machines that have no Triton binary: macOS, Windows, Arm.

One run at a time, in a thread: ONNX Runtime uses all cores for one run, and the event loop stays free.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import onnxruntime

from gateway.deadline import Deadline
from gateway.errors import ModelUnavailableError
from gateway.predictors.base import ModelDescription, Prediction, Tensors, description_of, prediction_of
from preprocessing.contract import INPUTS, OUTPUTS
from preprocessing.errors import ModelFileError


class InProcessPredictor:
    """Runs the newest version of a model in the model repository."""

    def __init__(self, model_repository: Path, model: str) -> None:
        """Prepare; `start` loads the model.

        Args:
            model_repository: Folder `<model>/<version>/model.onnx`.
            model: Name of the model.
        """
        self._folder = model_repository / model
        self._model = model
        self._version = ""
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="onnxruntime")
        self._session: onnxruntime.InferenceSession | None = None
        self._description: ModelDescription | None = None

    async def start(self) -> None:
        """Load the model and check its contract.

        Raises:
            ModelFileError: There is no model, or it cannot be loaded.
            ContractMismatchError: It was made for other tensors.
        """
        await asyncio.get_running_loop().run_in_executor(self._executor, self._load)

    async def stop(self) -> None:
        """Let the run in progress finish, and release the model."""
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)
        self._session = None

    async def describe(self, deadline: Deadline) -> ModelDescription:  # noqa: ARG002 (part of the protocol)
        """What the ONNX metadata says."""
        if self._description is None:
            raise ModelUnavailableError(f"The model '{self._model}' is not loaded.")
        return self._description

    async def predict(self, tensors: Tensors, deadline: Deadline) -> Prediction:
        """Run the model once the runs before this one are done."""
        run = asyncio.get_running_loop().run_in_executor(self._executor, self._run, tensors)
        try:
            return await asyncio.wait_for(run, deadline.remaining())
        except TimeoutError:
            raise ModelUnavailableError(
                f"The model '{self._model}' did not answer within {deadline.seconds:g} s, the limit."
            ) from None

    def _load(self) -> None:
        versions = [path for path in self._folder.glob("*/model.onnx") if path.parent.name.isdecimal()]
        if not versions:
            raise ModelFileError(f"There is no model at {self._folder / '<version>' / 'model.onnx'}.")
        path = max(versions, key=lambda path: int(path.parent.name))
        try:
            session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's exceptions share no base class
            reason = str(error).splitlines()[0]
            raise ModelFileError(f"The model {path} cannot be loaded: {reason}") from error
        self._description = description_of(self._model, session.get_modelmeta().custom_metadata_map)
        self._version = path.parent.name
        self._session = session

    def _run(self, tensors: Tensors) -> Prediction:
        if self._session is None:
            raise ModelUnavailableError(f"The model '{self._model}' is not loaded.")
        names = [spec.name for spec in OUTPUTS]
        values = self._session.run(names, {spec.name: tensors[spec.name] for spec in INPUTS})
        return prediction_of(dict(zip(names, values, strict=True)), self._model, self._version)
