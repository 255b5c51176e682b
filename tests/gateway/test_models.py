"""Which models there are, which one answers, and the numbers that clients go by."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import httpx
import numpy as np
import pytest

from avemotion.api.predictions import CLEAR_EVIDENCE, LOWEST_PROBABILITY, SMALLEST_LEAD, is_uncertain
from avemotion.preprocessing import contract
from avemotion.preprocessing.video import sample_times
from tests.gateway.models import MODEL, write_model
from tests.gateway.running import running_gateway, settings_for_tests, wait_ready
from tests.gateway.test_bad_input import assert_refused
from tests.support.clips import synthetic_clip


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A gateway that computes in its own process, with one model in two versions."""
    repository = write_model(tmp_path_factory.mktemp("models"))
    shutil.copytree(repository / MODEL / "1", repository / MODEL / "2")
    settings = settings_for_tests(mock=False, predictor="onnxruntime", model=MODEL, model_repository=repository)
    with running_gateway(settings) as client:
        wait_ready(client)
        yield client


@pytest.fixture(scope="module")
def mock() -> Iterator[httpx.Client]:
    with running_gateway(settings_for_tests()) as client:
        wait_ready(client)
        yield client


def test_models_are_listed_with_versions_and_what_they_want(gateway: httpx.Client) -> None:
    assert gateway.get("/models").raise_for_status().json() == {
        "models": [
            {
                "name": MODEL,
                "versions": ["1", "2"],
                "ready": True,
                "default": True,
                "contract_version": contract.CONTRACT_VERSION,
                "crop": "face",
                "metrics": None,
            }
        ]
    }


def test_model_in_the_repository_tells_what_it_was_measured_to_be() -> None:
    with running_gateway(settings_for_tests(mock=False, predictor="onnxruntime")) as gateway:
        [*_, model] = gateway.get("/models").raise_for_status().json()["models"]
        assert (model["name"], model["default"]) == ("emotion_int8", True)
        assert 0 < model["metrics"]["validation"]["both"]["accuracy"] < 1


@pytest.mark.parametrize(
    ("query", "version"),
    [("", "2"), (f"?model={MODEL}", "2"), (f"?model={MODEL}&version=1", "1"), ("?version=1", "1")],
)
@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
def test_chosen_version_answers(gateway: httpx.Client, clip: bytes, path: str, query: str, version: str) -> None:
    field = "files" if path.endswith("batch") else "file"
    answer = gateway.post(path + query, files={field: clip}).raise_for_status().json()
    prediction = answer if path == "/predict" else answer["results"][0]["prediction"]
    assert (prediction["model"], prediction["model_version"]) == (MODEL, version)


@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
def test_model_that_there_is_not_is_404_and_names_those_that_there_are(gateway: httpx.Client, path: str) -> None:
    assert_refused(gateway.post(f"{path}?model=absent"), 404, "model_not_found", "'absent'", f"'{MODEL}'", "1, 2")
    assert_refused(gateway.post(f"{path}?version=9"), 404, "model_not_found", "version 9", f"'{MODEL}'")


@pytest.mark.parametrize(
    "query", ["model=", "model=../x", "model=" + "x" * 101, "version=", "version=one", "version=-1"]
)
def test_choice_that_is_no_name_or_version_is_refused(gateway: httpx.Client, query: str) -> None:
    assert_refused(gateway.post(f"/predict?{query}"), 422, "invalid_request", query.partition("=")[0])


def test_mock_can_be_asked_for_by_name(mock: httpx.Client) -> None:
    assert [model["name"] for model in mock.get("/models").json()["models"]] == ["mock"]
    answer = mock.post("/predict?model=mock&version=1", files={"file": synthetic_clip()}).raise_for_status().json()
    assert answer["model"] == "mock"
    assert_refused(mock.post("/predict?model=emotion_int8"), 404, "model_not_found", "'mock'")


def test_contract_says_what_clients_need(mock: httpx.Client) -> None:
    answer = mock.get("/contract").raise_for_status().json()
    assert answer["labels"] == list(contract.LABELS)
    assert (answer["window_seconds"], answer["frame_count"], answer["frame_size"], answer["sample_rate"]) == (
        contract.WINDOW_SECONDS,
        contract.FRAME_COUNT,
        contract.FRAME_SIZE,
        contract.SAMPLE_RATE,
    )
    assert answer["sample_times"] == sample_times(0, contract.WINDOW_SECONDS)
    settings = settings_for_tests()
    assert answer["limits"]["upload_bytes"] == settings.upload_limit
    assert answer["limits"]["batch_clips"] == settings.batch_limit
    assert answer["features"] == {"api_key": False, "explain": False}


def test_answer_without_a_clear_first_is_uncertain() -> None:
    def row(first: float, second: float) -> np.ndarray:
        rest = (1 - first - second) / (len(contract.LABELS) - 2)
        return np.array([second, first, *[rest] * (len(contract.LABELS) - 2)], np.float32)

    assert not is_uncertain(row(0.8, 0.1), [1.0])
    assert is_uncertain(row(LOWEST_PROBABILITY - 0.01, 0.1), [1.0])
    assert not is_uncertain(row(LOWEST_PROBABILITY + 0.01, 0.1), [1.0])
    assert is_uncertain(row(0.52, 0.48 - SMALLEST_LEAD + 0.07), [1.0])
    assert is_uncertain(np.full(len(contract.LABELS), 1 / len(contract.LABELS), np.float32), [1.0])


def test_answer_about_a_doubtful_face_or_voice_is_uncertain() -> None:
    clear = [0.9, *[0.1 / (len(contract.LABELS) - 1)] * (len(contract.LABELS) - 1)]
    assert not is_uncertain(clear, [CLEAR_EVIDENCE, 1.0])
    assert is_uncertain(clear, [CLEAR_EVIDENCE - 0.01, 1.0])
    assert is_uncertain(clear, [CLEAR_EVIDENCE - 0.01])
