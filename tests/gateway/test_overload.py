"""Too much, too slow, too late: each is refused by itself, in time, and holds nothing afterwards."""

from __future__ import annotations

import select
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
from fastapi import FastAPI

from gateway.app import create_app
from tests.gateway import faults, raw
from tests.gateway.running import running_app, running_gateway, services_of, settings_for_tests, wait_until

KIBIBYTE = 2**10
MEMORY = 1024 * KIBIBYTE


def predict(gateway: httpx.Client, data: bytes, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return gateway.post("/predict", files={"file": ("clip", data)}, headers=named)


@pytest.fixture(scope="module")
def hanging() -> Iterator[httpx.Client]:
    """A gateway whose worker hangs when told to."""
    with running_gateway(settings_for_tests(request_deadline=3.0), faults.misbehave) as client:
        yield client


def test_deadline_of_the_client_ends_the_work(hanging: httpx.Client, clip: bytes) -> None:
    response = predict(hanging, faults.HANG, X_Deadline_Seconds="0.7")
    assert (response.status_code, response.json()["error"]["code"]) == (503, "deadline_exceeded")
    assert "0.7 s" in response.json()["error"]["message"]
    assert predict(hanging, clip, X_Deadline_Seconds="30").status_code == 200


def test_deadline_of_the_client_lengthens_nothing(hanging: httpx.Client) -> None:
    response = predict(hanging, faults.HANG, X_Deadline_Seconds="600")
    assert (response.status_code, response.json()["error"]["code"]) == (503, "deadline_exceeded")
    assert "3 s" in response.json()["error"]["message"]


@pytest.mark.usefixtures("short_drain")
def test_deadline_of_the_client_holds_for_the_upload(hanging: httpx.Client) -> None:
    with raw.connection(hanging) as opened:
        opened.sendall(raw.head(1000, "/predict", "X-Deadline-Seconds: 0.3") + raw.PART_HEAD)
        status, body = raw.parsed(raw.everything(opened))
    assert (status, body["error"]["code"]) == (408, "upload_timeout")
    assert "0.3 s" in body["error"]["message"]


@pytest.mark.parametrize("value", ["soon", "0", "-1", "inf", "nan", "1,5"])
def test_deadline_that_is_no_time_is_refused_by_name_and_value(hanging: httpx.Client, clip: bytes, value: str) -> None:
    response = predict(hanging, clip, X_Deadline_Seconds=value)
    assert (response.status_code, response.json()["error"]["code"]) == (422, "invalid_request")
    assert "X-Deadline-Seconds" in response.json()["error"]["message"]
    assert value in response.json()["error"]["message"]


@pytest.fixture(scope="module")
def small_app() -> FastAPI:
    return create_app(settings_for_tests(upload_memory=MEMORY, upload_limit=MEMORY, head_timeout=2.0))


@pytest.fixture(scope="module")
def small(small_app: FastAPI) -> Iterator[httpx.Client]:
    """A gateway with little memory and little patience."""
    with running_app(small_app) as client:
        yield client


def test_uploads_beyond_the_memory_for_all_are_refused_until_others_go(
    small: httpx.Client, small_app: FastAPI, clip: bytes
) -> None:
    memory = services_of(small_app).upload_memory
    half = 400 * KIBIBYTE
    with ExitStack() as stack:
        for _ in range(2):
            opened = stack.enter_context(raw.connection(small))
            opened.sendall(raw.head(half + 100 * KIBIBYTE) + raw.PART_HEAD + bytes(half))
        wait_until(lambda: memory.held >= 2 * half, "both halves are held")
        refused = predict(small, bytes(250 * KIBIBYTE))
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "uploads_full")
        assert str(MEMORY) in refused.json()["error"]["message"]
        assert int(refused.headers["Retry-After"]) >= 1
        with raw.connection(small) as growing:  # of unknown length, so that only its bytes tell
            request = raw.head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked\r\nConnection: close")
            chunk = bytes(80 * KIBIBYTE)
            growing.sendall(request + b"%x\r\n%s\r\n" % (len(raw.PART_HEAD), raw.PART_HEAD))
            growing.sendall((b"%x\r\n%s\r\n" % (len(chunk), chunk)) * 4 + b"0\r\n\r\n")
            assert raw.parsed(raw.everything(growing))[1]["error"]["code"] == "uploads_full"
        assert predict(small, clip[: 20 * KIBIBYTE]).status_code in {200, 422}
    wait_until(lambda: memory.held == 0, "what clients that went had sent is let go of")
    assert predict(small, clip).status_code == 200
    wait_until(lambda: memory.held == 0, "nothing is held after the answer")


def test_client_that_announces_much_and_sends_nothing_takes_nothing(
    small: httpx.Client, small_app: FastAPI, clip: bytes
) -> None:
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(raw.connection(small)).sendall(raw.head(MEMORY))
        assert predict(small, clip).status_code == 200
    wait_until(lambda: services_of(small_app).upload_memory.held == 0, "nothing is held after the answers")


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"POST /predict HTTP/1.1\r\nHost: x\r\nX-Slow: ", 408, "upload_timeout"),
        (b"GET /health HTTP/1.1\r\nX-Long: " + b"a" * 70_000, 431, "head_too_large"),
        (b"Good morning, gateway.\r\n\r\n", 400, "bad_http"),
    ],
    ids=["a head that does not end", "a head that grows", "no HTTP"],
)
def test_head_of_a_request_is_refused(small: httpx.Client, sent: bytes, status: int, code: str) -> None:
    with raw.connection(small) as opened:
        opened.sendall(sent)
        found, body = raw.parsed(raw.everything(opened))
    assert (found, body["error"]["code"]) == (status, code)
    assert sorted(body["error"]) == ["code", "message", "request_id"]


@pytest.mark.parametrize("sent", [b"", b"\r\n"], ids=["nothing", "an empty line"])
def test_connection_without_a_request_is_closed(small: httpx.Client, sent: bytes) -> None:
    with raw.connection(small) as opened:
        opened.sendall(sent)
        answer = raw.everything(opened)
    assert (answer == b"") == (sent == b"")


@pytest.mark.usefixtures("short_drain")
def test_client_that_is_refused_and_keeps_sending_is_closed(small: httpx.Client) -> None:
    with raw.connection(small) as opened:
        opened.sendall(raw.head(10**9).replace(b"multipart/form-data", b"video/webm") + b"a" * 100)
        status, body = raw.parsed(raw.everything(opened))
    assert status in {413, 415}
    assert body["error"]["code"] in {"upload_too_large", "unsupported_content_type"}


def test_second_request_of_a_connection_has_the_same_limits(small: httpx.Client) -> None:
    with raw.connection(small) as opened:
        opened.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert opened.recv(65_536).startswith(b"HTTP/1.1 200")
        opened.sendall(b"GET /health HTTP/1.1\r\nX-Slow: ")
        assert raw.parsed(raw.everything(opened))[1]["error"]["code"] == "upload_timeout"


def test_answer_that_comes_before_the_body_is_not_lost(small: httpx.Client) -> None:
    """As behind nginx, which sends `Connection: close`, and a whole body before it reads."""
    body = raw.PART_HEAD + bytes(900 * KIBIBYTE)
    with raw.connection(small) as opened:
        opened.sendall(raw.head(len(body), "/predict", "Connection: close", "X-Deadline-Seconds: soon"))
        wait_until(lambda: select.select([opened], [], [], 0)[0] != [], "the answer")
        opened.sendall(body)
        status, answer = raw.parsed(raw.everything(opened))
    assert (status, answer["error"]["code"]) == (422, "invalid_request")


def test_head_that_is_too_large_is_refused_although_its_body_follows(small: httpx.Client) -> None:
    body = raw.PART_HEAD + bytes(200 * KIBIBYTE)
    with raw.connection(small) as opened:
        opened.sendall(raw.head(len(body), "/predict", f"X-Long: {'a' * 70_000}") + body)
        status, answer = raw.parsed(raw.everything(opened))
    assert (status, answer["error"]["code"]) == (431, "head_too_large")
