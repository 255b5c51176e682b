"""The three predictors: the same tensors give the same numbers, and a model for other tensors is refused."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest

from avemotion.api.answers import ModelOutputs
from avemotion.preprocessing.contract import INPUTS, OUTPUTS, PRESENT
from avemotion.preprocessing.errors import ContractMismatchError, ModelFileError
from gateway.deadlines import Deadline
from gateway.errors import ModelNotFoundError, ModelUnavailableError
from gateway.predict.in_process import InProcessPredictor
from gateway.predict.predictor import (
    DEFAULT_CHOICE,
    ModelChoice,
    ModelDescription,
    Predictor,
    ServableModel,
    prediction_of,
    random_tensors,
)
from gateway.predict.triton import TritonPredictor
from gateway.services import make_predictor
from gateway.settings import Settings
from tests.gateway.models import MODEL, other_contract, write_model
from tests.support.triton import free_ports, serving
from triton_server.launcher import TritonServer

Result = TypeVar("Result")
Tensors = dict[str, npt.NDArray[Any]]


def with_predictor(predictor: Predictor, use: Callable[[Predictor], Coroutine[Any, Any, Result]]) -> Result:
    """Start a predictor, use it, stop it."""

    async def run() -> Result:
        await predictor.start()
        try:
            return await use(predictor)
        finally:
            await predictor.stop()

    return asyncio.run(run())


async def predict(predictor: Predictor, tensors: Tensors, seconds: float = 10) -> ModelOutputs:
    """Ask the default model."""
    deadline = Deadline.after(seconds)
    return await predictor.predict(tensors, await predictor.describe(DEFAULT_CHOICE, Deadline.after(10)), deadline)


def batch(size: int, seed: int = 0) -> Tensors:
    """Random inputs, among them clips without video and without audio."""
    rng = np.random.default_rng(seed)
    rows = [random_tensors(rng) for _ in range(size)]
    tensors = {spec.name: np.concatenate([row[spec.name] for row in rows]) for spec in INPUTS}
    tensors[PRESENT.name][1:] = rng.integers(0, 2, tensors[PRESENT.name][1:].shape, np.uint8).astype(bool)
    return tensors


def reference(repository: Path, tensors: Tensors) -> dict[str, npt.NDArray[Any]]:
    """What ONNX Runtime gives for a repository's model."""
    session = onnxruntime.InferenceSession(repository / MODEL / "1" / "model.onnx")
    names = [spec.name for spec in OUTPUTS]
    return dict(zip(names, session.run(names, tensors), strict=True))


def assert_equal(prediction: ModelOutputs, expected: dict[str, npt.NDArray[Any]]) -> None:
    for name, array in expected.items():
        np.testing.assert_allclose(getattr(prediction, name), array, atol=1e-5, err_msg=name)
    assert (prediction.model, prediction.model_version) == (MODEL, "1")


def describe(predictor: Predictor, choice: ModelChoice = DEFAULT_CHOICE) -> ModelDescription:
    return with_predictor(predictor, lambda p: p.describe(choice, Deadline.after(5)))


@pytest.fixture
def triton_address(triton_server: TritonServer) -> str:
    return triton_server.grpc_address


@pytest.mark.parametrize("size", [1, 3, 16, 37])
def test_in_process_gives_what_onnx_runtime_gives(model_repository: Path, size: int) -> None:
    tensors = batch(size)
    predictor = InProcessPredictor(model_repository, MODEL)
    prediction = with_predictor(predictor, lambda p: predict(p, tensors))
    assert_equal(prediction, reference(model_repository, tensors))


@pytest.mark.parametrize("size", [1, 3, 16, 37])
def test_triton_gives_what_onnx_runtime_gives(model_repository: Path, triton_address: str, size: int) -> None:
    tensors = batch(size, seed=size)
    predictor = TritonPredictor(triton_address, MODEL)
    prediction = with_predictor(predictor, lambda p: predict(p, tensors))
    assert_equal(prediction, reference(model_repository, tensors))


def test_many_requests_at_once_get_their_own_answers(model_repository: Path, triton_address: str) -> None:
    requests = [batch(1, seed) for seed in range(24)]

    async def use(predictor: Predictor) -> list[ModelOutputs]:
        return await asyncio.gather(*(predict(predictor, tensors, 20) for tensors in requests))

    predictions = with_predictor(TritonPredictor(triton_address, MODEL), use)
    for tensors, prediction in zip(requests, predictions, strict=True):
        assert_equal(prediction, reference(model_repository, tensors))


@pytest.mark.parametrize("crop", ["face", "none"])
def test_model_says_how_frames_are_cut(tmp_path: Path, crop: str) -> None:
    predictor = InProcessPredictor(write_model(tmp_path, crop=crop), MODEL)
    assert describe(predictor).crop == crop


def test_triton_says_how_frames_are_cut(triton_address: str) -> None:
    predictor = TritonPredictor(triton_address, MODEL)
    assert describe(predictor) == ModelDescription(MODEL, None, "face", max_batch_size=16)


def test_model_for_other_tensors_is_refused(tmp_path: Path) -> None:
    repository = write_model(tmp_path, parameters=other_contract())
    with pytest.raises(ContractMismatchError, match=f"'{MODEL}' was made for another .* sample_rate is 8000"):
        describe(InProcessPredictor(repository, MODEL))


def test_model_for_other_tensors_in_triton_is_refused(tmp_path: Path) -> None:
    repository = write_model(tmp_path, parameters=other_contract())
    with serving(repository) as server, pytest.raises(ContractMismatchError, match="sample_rate is 8000"):
        describe(TritonPredictor(server.grpc_address, MODEL))


def test_model_without_a_contract_is_refused(tmp_path: Path) -> None:
    repository = write_model(tmp_path, parameters={})
    path = repository / MODEL / "1" / "model.onnx"
    path.write_bytes(path.read_bytes().replace(b"contract", b"contrast"))
    with pytest.raises(ContractMismatchError, match="carries no tensor contract"):
        describe(InProcessPredictor(repository, MODEL))


def test_unknown_crop_mode_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractMismatchError, match=r"crop mode 'oval'.*face or none"):
        describe(InProcessPredictor(write_model(tmp_path, crop="oval"), MODEL))


def test_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"no model at .*absent"):
        describe(InProcessPredictor(tmp_path, "absent"))


def test_damaged_model_is_named(tmp_path: Path) -> None:
    path = write_model(tmp_path) / MODEL / "1" / "model.onnx"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelFileError, match="cannot be loaded"):
        describe(InProcessPredictor(tmp_path, MODEL))


def test_newest_version_is_run(tmp_path: Path) -> None:
    repository = write_model(tmp_path)
    for version in ("9", "10"):
        shutil.copytree(repository / MODEL / "1", repository / MODEL / version)
    predictor = InProcessPredictor(repository, MODEL)
    prediction = with_predictor(predictor, lambda p: predict(p, batch(1)))
    assert prediction.model_version == "10"


def test_triton_that_does_not_listen_is_away_at_once() -> None:
    [port] = free_ports(1)
    predictor = TritonPredictor(f"dns:///127.0.0.1:{port}", MODEL)
    with pytest.raises(ModelUnavailableError, match="cannot be reached"):
        with_predictor(predictor, lambda p: predict(p, batch(1)))


def test_model_that_triton_lacks_is_away(triton_address: str) -> None:
    predictor = TritonPredictor(triton_address, "absent")
    with pytest.raises(ModelUnavailableError, match="no model 'absent' ready"):
        with_predictor(predictor, lambda p: predict(p, batch(1)))


def test_deadline_in_the_past_is_not_sent(triton_address: str) -> None:
    predictor = TritonPredictor(triton_address, MODEL)
    with pytest.raises(ModelUnavailableError, match="within 0 s, the limit"):
        with_predictor(predictor, lambda p: predict(p, batch(1), 0))


def test_output_that_is_no_number_is_not_an_answer() -> None:
    outputs = {spec.name: spec.zeros() for spec in OUTPUTS}
    outputs["logits"][0, 3] = np.nan
    with pytest.raises(ModelUnavailableError, match="no usable output 'logits'"):
        prediction_of(outputs, MODEL, "1")


def test_mock_depends_on_each_clip_of_a_batch_alone() -> None:
    tensors = batch(3)
    alone = {name: array[1:2] for name, array in tensors.items()}
    whole, part = (
        with_predictor(make_predictor(Settings(mock=True)), lambda p, t=t: predict(p, t))  # type: ignore[misc]
        for t in (tensors, alone)
    )
    np.testing.assert_array_equal(whole.probabilities[1:2], part.probabilities)
    np.testing.assert_allclose(whole.probabilities.sum(axis=1), 1, atol=1e-6)
    assert not np.array_equal(whole.probabilities[0], whole.probabilities[1])


def repository_of_several(folder: Path) -> Path:
    """Two servable models, one of them in two versions, and one for other tensors."""
    write_model(folder)
    for name in ("other", "foreign"):
        shutil.copytree(folder / MODEL, folder / name)
        config = folder / name / "config.pbtxt"
        config.write_text(config.read_text().replace(f'"{MODEL}"', f'"{name}"') + "version_policy { all { } }\n")
    shutil.copytree(folder / "other" / "1", folder / "other" / "7")
    foreign = folder / "foreign"
    shutil.rmtree(foreign)
    write_model(folder / "elsewhere", parameters=other_contract())
    (folder / "elsewhere" / MODEL).rename(foreign)
    (folder / "elsewhere").rmdir()
    config = foreign / "config.pbtxt"
    config.write_text(config.read_text().replace(f'"{MODEL}"', '"foreign"'))
    return folder


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return repository_of_several(tmp_path_factory.mktemp("several"))


@pytest.fixture(scope="module")
def triton_with_several(several: Path) -> Iterator[TritonPredictor]:
    with serving(several) as server:
        yield TritonPredictor(server.grpc_address, MODEL)


@pytest.fixture(params=["onnxruntime", "triton"])
def choosing(request: pytest.FixtureRequest, several: Path) -> Predictor:
    """A predictor with several models; a fixture per kind, so that Triton is started where it is asked for."""
    if request.param == "onnxruntime":
        return InProcessPredictor(several, MODEL)
    predictor: TritonPredictor = request.getfixturevalue("triton_with_several")
    return predictor


def test_models_are_those_that_fit_the_contract(choosing: Predictor) -> None:
    found = with_predictor(choosing, lambda p: p.models(Deadline.after(10)))
    assert found == [
        ServableModel("other", ("1", "7"), "face", metrics=None),
        ServableModel(MODEL, ("1",), "face", metrics=None),
    ]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (ModelChoice(), (MODEL, "1")),
        (ModelChoice(MODEL), (MODEL, "1")),
        (ModelChoice("other"), ("other", "7")),
        (ModelChoice("other", "1"), ("other", "1")),
        (ModelChoice(version="1"), (MODEL, "1")),
    ],
)
def test_chosen_model_answers(choosing: Predictor, choice: ModelChoice, expected: tuple[str, str]) -> None:
    async def use(predictor: Predictor) -> ModelOutputs:
        deadline = Deadline.after(10)
        return await predictor.predict(batch(2), await predictor.describe(choice, deadline), deadline)

    prediction = with_predictor(choosing, use)
    assert (prediction.model, prediction.model_version) == expected


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (ModelChoice("absent"), "no model 'absent'; there are 'other' with versions 1, 7; 'standin' with version 1"),
        (ModelChoice("other", "2"), "no model 'other' with version 2; there are 'other' with versions 1, 7"),
        (ModelChoice(version="3"), "no model 'standin' with version 3"),
        (ModelChoice("foreign"), "no model 'foreign'; there are"),
    ],
)
def test_choice_that_there_is_not_is_refused_with_those_that_there_are(
    choosing: Predictor, choice: ModelChoice, words: str
) -> None:
    with pytest.raises(ModelNotFoundError, match=words):
        describe(choosing, choice)


def test_chosen_model_of_a_triton_that_is_away_is_away_and_not_unknown() -> None:
    [port] = free_ports(1)
    with pytest.raises(ModelUnavailableError, match="cannot be reached"):
        describe(TritonPredictor(f"dns:///127.0.0.1:{port}", MODEL), ModelChoice("other"))


def test_version_that_was_taken_away_is_not_offered_in_process(tmp_path: Path) -> None:
    repository = write_model(tmp_path)
    shutil.copytree(repository / MODEL / "1", repository / MODEL / "2")

    async def use(predictor: Predictor) -> list[str]:
        newest = []
        for _ in range(2):
            newest.append((await predictor.describe(DEFAULT_CHOICE, Deadline.after(5))).version or "")
            shutil.rmtree(repository / MODEL / "2", ignore_errors=True)
        return newest

    assert with_predictor(InProcessPredictor(repository, MODEL), use) == ["2", "1"]
