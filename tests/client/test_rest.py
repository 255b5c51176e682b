"""The synchronous and the asynchronous client against a gateway that really listens."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from client import AsyncEmotionClient, EmotionClient, Prediction, RefusedError, UnreachableError
from client.errors import UnexpectedAnswerError
from preprocessing.contract import LABELS
from tests.support.triton import free_ports


def _ask_synchronously(address: str, question: Callable[[EmotionClient], Any], **options: Any) -> Any:
    with EmotionClient(address, **options) as gateway:
        return question(gateway)


def _ask_asynchronously(address: str, question: Callable[[AsyncEmotionClient], Awaitable[Any]], **options: Any) -> Any:
    async def ask() -> Any:
        async with AsyncEmotionClient(address, **options) as gateway:
            return await question(gateway)

    return asyncio.run(ask())


both_clients = pytest.mark.parametrize("ask", [_ask_synchronously, _ask_asynchronously], ids=["sync", "async"])


@both_clients
def test_a_clip_is_predicted_from_its_bytes_and_from_its_path(
    ask: Callable[..., Any], address: str, clip: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "clip.mkv"
    path.write_bytes(clip)
    from_bytes = ask(address, lambda gateway: gateway.predict(clip))
    from_path = ask(address, lambda gateway: gateway.predict(path))
    assert isinstance(from_bytes, Prediction)
    assert from_bytes.labels == list(LABELS)
    assert from_bytes.top1.prob == max(from_bytes.probs)
    assert sum(from_bytes.probs) == pytest.approx(100, abs=0.01)
    assert from_bytes.probs == from_path.probs
    assert from_bytes.modalities == {"video": True, "audio": True}


@both_clients
def test_a_refusal_carries_code_message_status_and_request_id(ask: Callable[..., Any], address: str) -> None:
    with pytest.raises(RefusedError, match="expected mp4") as refusal:
        ask(address, lambda gateway: gateway.predict(b"no media at all"))
    assert refusal.value.code == "unsupported_media"
    assert refusal.value.status == 422
    assert refusal.value.request_id


@both_clients
def test_nobody_there_is_said_in_one_sentence(ask: Callable[..., Any], clip: bytes) -> None:
    [port] = free_ports(1)
    with pytest.raises(UnreachableError, match=f"127.0.0.1:{port}/predict cannot be reached"):
        ask(f"http://127.0.0.1:{port}", lambda gateway: gateway.predict(clip))


@both_clients
def test_a_stranger_that_answers_is_not_taken_for_a_gateway(ask: Callable[..., Any], clip: bytes) -> None:
    with (
        _answering([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"]) as address,
        pytest.raises(UnexpectedAnswerError, match="did not answer as the gateway does"),
    ):
        ask(address, lambda gateway: gateway.predict(clip))


@both_clients
def test_a_busy_gateway_is_waited_for_only_when_asked_and_as_long_as_it_says(ask: Callable[..., Any]) -> None:
    body = b'{"error": {"code": "overloaded", "message": "Too many.", "request_id": "r1"}}'
    busy = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (
        len(body),
        body,
    )
    found = b'{"models": []}'
    good = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(found), found)
    with _answering([busy, busy, good]) as address:
        with pytest.raises(RefusedError) as refusal:
            ask(address, lambda gateway: gateway.models())
        assert refusal.value.retry_after == 1
        begin = time.monotonic()
        assert ask(address, lambda gateway: gateway.models(), wait_when_busy=5) == []
        assert time.monotonic() - begin >= 1


@both_clients
def test_the_key_is_sent_where_there_is_one(ask: Callable[..., Any]) -> None:
    heads: list[bytes] = []
    found = b'{"models": []}'
    good = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(found), found)
    with _answering([good], heads) as address:
        ask(address, lambda gateway: gateway.models(), api_key="secret")
    assert b"x-api-key: secret" in heads[0].lower()


@contextlib.contextmanager
def _answering(answers: list[bytes], heads: list[bytes] | None = None) -> Iterator[str]:
    """A server that gives one connection after the other the next of these answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)

        def serve() -> None:
            for answer in answers:
                with contextlib.suppress(OSError):
                    connection, _ = listener.accept()
                    with connection:
                        received = b""
                        while not _is_complete(received):
                            received += connection.recv(65536)
                        if heads is not None:
                            heads.append(received)
                        connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def _is_complete(received: bytes) -> bool:
    head, end, body = received.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(end) and len(body) >= (int(lengths[0]) if lengths else 0)
