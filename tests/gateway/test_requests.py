"""What clients and what stands between may add to a request is read, ignored or refused by name, never misread."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import httpx
import pytest

from tests.gateway import raw
from tests.gateway.running import running_gateway, settings_for_tests, wait_ready
from tests.gateway.test_bad_input import assert_refused

PATHS = ["/predict", "/predict/batch", "/predict/sampled", "/predict/timeline"]
H2C = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"
WEBSOCKET = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13"


@pytest.fixture(scope="module")
def gateway() -> Iterator[httpx.Client]:
    with running_gateway(settings_for_tests()) as client:
        wait_ready(client)
        yield client


@pytest.mark.parametrize("upgrade", [H2C, WEBSOCKET, "Connection: upgrade\r\nUpgrade: TLS/1.0, h2c"])
def test_an_upgrade_is_ignored(
    gateway: httpx.Client, upgrade: str, clip: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    body = raw.PART_HEAD + clip + b"\r\n--x--\r\n"
    chunked = raw.head(0, "/predict", upgrade).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    requests = [
        f"GET /health HTTP/1.1\r\nHost: x\r\n{upgrade}\r\n\r\n".encode(),
        raw.head(len(body), "/predict", upgrade) + body,
        chunked + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body),
    ]
    with caplog.at_level(logging.WARNING):
        for request in requests:
            with raw.connection(gateway) as opened:
                opened.sendall(request)
                # Read from the same connection, which the first answer must leave usable.
                opened.sendall(b"GET /models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                answers = raw.everything(opened)
            assert answers.count(b"HTTP/1.1 200 OK") == 2, answers
            assert (b'"probs"' in answers) == request.startswith(b"POST")
    assert caplog.records == []


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("encoding", ["gzip", "BR", "deflate", "zstd", "identity, gzip", "x-private"])
def test_a_compressed_body_is_refused_by_its_encoding(gateway: httpx.Client, path: str, encoding: str) -> None:
    response = gateway.post(path, files={"file": b"x"}, headers={"Content-Encoding": encoding})
    assert_refused(response, 415, "unsupported_content_encoding", f"'{encoding}'", "without Content-Encoding")
    assert response.headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("encoding", ["identity", "Identity, identity", ""])
def test_a_body_that_is_said_to_be_as_it_is_is_read(gateway: httpx.Client, encoding: str, clip: bytes) -> None:
    response = gateway.post("/predict", files={"file": clip}, headers={"Content-Encoding": encoding})
    assert response.status_code == 200


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_nothing_is_redirected(gateway: httpx.Client, prefix: str) -> None:
    for path in ("/predict/", "/predict/batch/", "/health/", "/health/ready/", "/models/", "/openapi.json/", "/assets"):
        for method in ("GET", "POST", "HEAD"):
            response = gateway.request(method, prefix + path)
            assert response.status_code == 404, (method, path)
            assert "Location" not in response.headers
    assert gateway.get("/api").status_code == 404


@pytest.mark.parametrize("prefix", ["", "/api"])
def test_what_answers_get_answers_head_without_a_body(gateway: httpx.Client, prefix: str) -> None:
    for path in ("/health", "/health/ready", "/models", "/contract", "/metrics", "/openapi.json", "/"):
        # Metrics and the age of the last inference change between two requests.
        known = len(gateway.get(prefix + path).content) if path in {"/health", "/models", "/contract", "/"} else None
        request = f"HEAD {prefix + path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        with raw.connection(gateway) as opened:
            opened.sendall(request.encode())
            head, end, body = raw.everything(opened).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK"), path
        assert (end, body) == (b"\r\n\r\n", b""), path
        assert known is None or b"\r\ncontent-length: %d\r\n" % known in head.lower(), path
    assert 'method="HEAD",route="/health"' in gateway.get("/metrics").text


def test_head_is_refused_where_get_is_and_allowed_where_get_is(gateway: httpx.Client) -> None:
    response = gateway.head("/predict")
    assert (response.status_code, response.headers["Allow"], response.content) == (405, "POST", b"")
    assert gateway.head("/nothing").status_code == 404
    assert gateway.post("/health").headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    ("request_line", "words"),
    [
        ("POST /predict?modle=x", ["'modle'", "did you mean 'model'?", "explain, model, version"]),
        ("POST /predict?model=mock&MODEL=x", ["'MODEL'", "did you mean 'model'?"]),
        ("POST /predict?step=0.5", ["'step'", "/predict accepts explain, model, version"]),
        ("POST /api/predict?q", ["'q'", "/predict accepts"]),
        ("POST /predict?=x", ["''"]),
        ("POST /predict/batch?explain=true", ["'explain'", "/predict/batch accepts model, version"]),
        ("POST /predict/sampled?verson=1", ["'verson'", "did you mean 'version'?"]),
        ("POST /predict/timeline?stpe=1", ["'stpe'", "did you mean 'step'?"]),
        ("GET /models?model=x", ["'model'", "/models accepts none"]),
        ("GET /contract?x=1", ["'x'", "accepts none"]),
        ("GET /health?x=1", ["'x'", "accepts none"]),
        ("GET /health/ready?x=1", ["'x'", "accepts none"]),
        ("GET /metrics?name=x", ["'name'", "accepts none"]),
        ("POST /predict?model=mock&model=mock", ["'model'", "2 times", "one value"]),
        ("POST /predict?explain=1&version=1&explain=0&explain=1", ["'explain'", "3 times", "one value"]),
        ("POST /predict?" + "x" * 1000, [f"'{'x' * 40}'"]),
    ],
)
def test_an_unknown_or_repeated_parameter_is_refused_by_name(
    gateway: httpx.Client, request_line: str, words: list[str]
) -> None:
    method, path = request_line.split()
    assert_refused(gateway.request(method, path), 422, "invalid_request", *words)


def test_known_parameters_are_read(gateway: httpx.Client, clip: bytes) -> None:
    for path in ("/predict?model=mock&version=1&explain=false", "/predict/timeline?step=1&model=mock", "/predict?"):
        assert gateway.post(path, files={"file": clip}).status_code == 200, path


@pytest.mark.parametrize(
    ("seconds", "limit"),
    [
        ("1e-300", "0.001"),
        ("0.000999", "0.001"),
        ("0", "0.001"),
        ("-0.0", "0.001"),
        ("-5", "0.001"),
        ("-inf", "0.001"),
        ("1e300", "86400"),
        ("1e400", "86400"),
        ("86400.5", "86400"),
        ("inf", "86400"),
        ("nan", "86400"),
        ("5 s", "a valid number"),
        ("5s", "a valid number"),
        ("5,0", "a valid number"),
        ("0x5", "a valid number"),
        ("", "a valid number"),
    ],
)
def test_a_deadline_out_of_range_is_refused_with_the_limit(gateway: httpx.Client, seconds: str, limit: str) -> None:
    response = gateway.post("/predict", files={"file": b"x"}, headers={"X-Deadline-Seconds": seconds})
    assert_refused(response, 422, "invalid_request", "X-Deadline-Seconds", f"'{seconds}'", limit)


@pytest.mark.parametrize("seconds", ["60", "6e1", "+60", "86400"])
def test_a_deadline_in_range_is_read(gateway: httpx.Client, seconds: str, clip: bytes) -> None:
    response = gateway.post("/predict", files={"file": clip}, headers={"X-Deadline-Seconds": seconds})
    assert response.status_code == 200
