"""What OpenAPI says is what the running gateway does: asked by a program that knows nothing but the description."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.auth.keys import hash_key, make_key
from gateway.errors import POLICIES
from tests.gateway.running import running_gateway, settings_for_tests, wait_ready

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "5")
"""Requests of each kind for each endpoint; `make fuzz-api` sends more."""

KEY = make_key()
METHODS = ["get", "post"]


@pytest.fixture(scope="module")
def gateway() -> Iterator[httpx.Client]:
    with running_gateway(settings_for_tests(api_keys=[f"tests:{hash_key(KEY)}"])) as client:
        wait_ready(client)
        yield client


@pytest.fixture(scope="module")
def description(gateway: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = gateway.get("/openapi.json").raise_for_status().json()
    return found


def operations(description: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    }


@pytest.mark.timeout(4 * 3600)
def test_nothing_happens_that_is_not_documented(gateway: httpx.Client, tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("schemathesis")
    done = subprocess.run(
        [
            program,
            "--config-file",
            CONFIGURATION,
            "--no-color",
            "run",
            f"{gateway.base_url}/openapi.json".replace("//openapi", "/openapi"),
            "--header",
            f"X-API-Key: {KEY}",
            "--phases",
            "examples,coverage,fuzzing",
            "--max-examples",
            EXAMPLES,
            "--continue-on-failure",
        ],
        cwd=tmp_path,  # it writes notes for its next run
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "9 selected / 9 total" in done.stdout


def test_every_endpoint_is_described(description: dict[str, Any]) -> None:
    assert set(operations(description)) == {
        "POST /predict",
        "POST /predict/batch",
        "POST /predict/sampled",
        "POST /predict/timeline",
        "GET /models",
        "GET /contract",
        "GET /health",
        "GET /health/ready",
        "GET /metrics",
    }


def test_every_answer_has_a_meaning_and_every_error_an_example(description: dict[str, Any]) -> None:
    for name, operation in operations(description).items():
        assert operation["summary"], name
        assert operation["description"], name
        for status, response in operation["responses"].items():
            assert response["description"], (name, status)
            if status == "200":
                continue
            content = response["content"]["application/json"]
            assert content["schema"]["$ref"].endswith("/ErrorResponse"), (name, status)
            for code, example in content["examples"].items():
                assert POLICIES[code].status == int(status)
                assert example["value"]["error"]["code"] == code


def test_every_field_of_an_answer_says_what_it_is(description: dict[str, Any]) -> None:
    for name, schema in description["components"]["schemas"].items():
        for field, found in schema.get("properties", {}).items():
            described = {"description", "$ref", "items", "const", "allOf", "anyOf"}
            assert described & set(found), f"{name}.{field}"


def test_predictions_answer_all_that_can_go_wrong(description: dict[str, Any]) -> None:
    for path in ("/predict", "/predict/batch", "/predict/sampled", "/predict/timeline"):
        operation = description["paths"][path]["post"]
        expected = {"200", "400", "401", "404", "408", "413", "415", "422", "429", "500", "503"}
        assert set(operation["responses"]) == expected
        assert "multipart/form-data" in operation["requestBody"]["content"]
        parameters = {parameter["name"] for parameter in operation["parameters"]}
        assert {"model", "version", "X-Deadline-Seconds"} <= parameters


def test_the_description_says_what_the_result_is_not(description: dict[str, Any]) -> None:
    text = description["info"]["description"]
    assert "does not read what a person feels" in text
    assert "Art. 5(1)(f)" in text
    for path in ("/predict", "/predict/timeline"):
        assert "not of what" in description["paths"][path]["post"]["description"]
