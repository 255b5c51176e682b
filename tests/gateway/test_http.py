"""What holds for every request: its id, the shape of errors, headers, and who may call."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI

from gateway.app import create_app
from tests.gateway.running import running_app, running_gateway, settings_for_tests, wait_ready

ORIGIN = "https://recorder.example"


@pytest.fixture(scope="module")
def gateway() -> Iterator[httpx.Client]:
    with running_gateway(settings_for_tests(cors_origins=[ORIGIN])) as client:
        yield client


def test_health_is_ok(gateway: httpx.Client) -> None:
    assert gateway.get("/health").raise_for_status().json()["status"] == "ok"


def test_ready_names_the_model(gateway: httpx.Client) -> None:
    wait_ready(gateway)
    answer = gateway.get("/health/ready").json()
    assert (answer["status"], answer["predictor"], answer["model"]) == ("ready", "mock", "mock")


def test_sane_request_id_is_kept(gateway: httpx.Client) -> None:
    response = gateway.get("/nothing", headers={"X-Request-ID": "a-b_c.42"})
    assert response.headers["X-Request-ID"] == "a-b_c.42"
    assert response.json()["error"]["request_id"] == "a-b_c.42"


@pytest.mark.parametrize("given", ["", "two words", "x" * 65, '{"a":1}', "caf\u00e9"])
def test_other_request_id_is_replaced(gateway: httpx.Client, given: str) -> None:
    first, second = (gateway.get("/health", headers={b"X-Request-ID": given.encode()}) for _ in range(2))
    assert len(first.headers["X-Request-ID"]) == 32
    assert first.headers["X-Request-ID"] != second.headers["X-Request-ID"]


def test_answer_without_a_body_is_written(gateway: httpx.Client) -> None:
    response = gateway.head("/")
    assert (response.status_code, response.content) == (200, b"")


def test_unknown_path_is_404(gateway: httpx.Client) -> None:
    response = gateway.get("/predictions")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found")
    assert "/predictions" in response.json()["error"]["message"]


def test_wrong_method_is_405_and_says_what_is_allowed(gateway: httpx.Client) -> None:
    response = gateway.get("/predict")
    assert (response.status_code, response.json()["error"]["code"]) == (405, "method_not_allowed")
    assert response.headers["Allow"] == "POST"


def test_every_answer_has_security_headers(gateway: httpx.Client) -> None:
    for path in ("/health", "/", "/nothing"):
        headers = gateway.get(path).headers
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_page_of_an_allowed_origin_may_call(gateway: httpx.Client) -> None:
    preflight = gateway.options("/predict", headers={"Origin": ORIGIN, "Access-Control-Request-Method": "POST"})
    assert preflight.headers["Access-Control-Allow-Origin"] == ORIGIN
    answer = gateway.post("/predict", headers={"Origin": ORIGIN})
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]


def test_page_of_another_origin_may_not(gateway: httpx.Client) -> None:
    answer = gateway.get("/health", headers={"Origin": "https://elsewhere.example"})
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.fixture
def faulty_app() -> FastAPI:
    app = create_app(settings_for_tests(cors_origins=[ORIGIN]))

    @app.get("/fault")
    async def fault(number: int) -> None:
        raise RuntimeError(f"secret {number}")

    return app


def test_unforeseen_error_is_500_and_tells_nothing(faulty_app: FastAPI, caplog: pytest.LogCaptureFixture) -> None:
    with running_app(faulty_app) as gateway:
        response = gateway.get("/fault", params={"number": 1}, headers={"Origin": ORIGIN})
    assert (response.status_code, response.json()["error"]["code"]) == (500, "internal_error")
    assert response.json()["error"]["request_id"] == response.headers["X-Request-ID"]
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "secret" not in response.text
    assert "secret 1" in caplog.text


def test_wrong_parameter_is_422_of_the_same_shape(faulty_app: FastAPI) -> None:
    with running_app(faulty_app) as gateway:
        response = gateway.get("/fault", params={"number": "many"})
    assert (response.status_code, response.json()["error"]["code"]) == (422, "invalid_request")
    assert "number" in response.json()["error"]["message"]
