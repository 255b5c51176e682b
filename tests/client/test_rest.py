"""The synchronous and the asynchronous client against a gateway that really listens."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avemotion import AsyncEmotionClient, EmotionClient, PredictResponse, RefusedError, TimelineHead, UnreachableError
from avemotion.api.predictions import Modalities
from avemotion.client.errors import UnexpectedAnswerError
from avemotion.client.sampling import Sampling, sample_clip
from avemotion.preprocessing.clip import read_clip
from avemotion.preprocessing.contract import LABELS
from avemotion.preprocessing.sampled import read_sampled
from avemotion.preprocessing.video import sample_times
from tests.support.clips import shown_index, synthetic_clip
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
    assert isinstance(from_bytes, PredictResponse)
    assert from_bytes.labels == list(LABELS)
    assert from_bytes.top1.prob == max(from_bytes.probs)
    assert sum(from_bytes.probs) == pytest.approx(100, abs=0.01)
    assert from_bytes.probs == from_path.probs
    assert from_bytes.modalities == Modalities(video=True, audio=True)


@both_clients
def test_a_clip_sampled_here_is_predicted_like_the_clip_itself(ask: Callable[..., Any], address: str) -> None:
    clip = synthetic_clip(audio_codec="flac", width=640, height=480)
    whole = ask(address, lambda gateway: gateway.predict(clip))
    sampled = ask(address, lambda gateway: gateway.predict_sampled(clip))
    assert sampled.modalities == whole.modalities == Modalities(video=True, audio=True)
    # JPEG moves the box a little.
    assert sampled.face is not None
    assert list(vars(sampled.face).values()) == pytest.approx(list(vars(whole.face).values()), abs=0.01)


def test_samples_are_the_pictures_and_the_sound_that_a_clip_is_read_for() -> None:
    clip = synthetic_clip(frame_times=range(0, 4000, 50), audio_seconds=4.0)
    taken = sample_clip(clip, Sampling(longest_side=96, jpeg_quality=0.9))
    found, expected = read_sampled(taken.frames, taken.audio, crop="none"), read_clip(clip, crop="none")
    assert [shown_index(picture) for picture in found.frames] == [shown_index(frame) for frame in expected.frames]
    np.testing.assert_allclose(found.waveform, expected.waveform, atol=2**-15)
    assert taken.times == pytest.approx(sample_times(0.0, 3.0), abs=1e-5)


@both_clients
def test_each_clip_of_a_batch_succeeds_or_fails_alone(ask: Callable[..., Any], address: str, clip: bytes) -> None:
    good, bad = ask(address, lambda gateway: gateway.predict_batch([clip, b"no media at all"]))
    assert good.prediction.probs == ask(address, lambda gateway: gateway.predict(clip)).probs
    assert good.error is None
    assert (bad.index, bad.prediction, bad.error.code) == (1, None, "unsupported_media")


@both_clients
def test_a_timeline_has_a_row_for_every_window(ask: Callable[..., Any], address: str) -> None:
    clip = synthetic_clip(frame_times=range(0, 5000, 100), audio_seconds=5.0)
    timeline = ask(address, lambda gateway: gateway.timeline(clip, step=1.0))
    assert timeline.step == 1.0
    assert timeline.window_seconds == 3.0
    assert [row.start for row in timeline.rows] == pytest.approx([0.0, 1.0, 2.0], abs=0.1)
    assert all(row.top1.prob == max(row.probs) for row in timeline.rows)


def test_a_streamed_timeline_brings_the_same_rows_one_by_one(address: str) -> None:
    clip = synthetic_clip(frame_times=range(0, 5000, 100), audio_seconds=5.0)

    async def stream() -> list[Any]:
        async with AsyncEmotionClient(address) as gateway:
            return [event async for event in gateway.stream_timeline(clip, step=1.0)]

    with EmotionClient(address) as gateway:
        start, *rows = gateway.stream_timeline(clip, step=1.0)
        whole = gateway.timeline(clip, step=1.0)
    assert isinstance(start, TimelineHead)
    assert start.labels == list(LABELS)
    assert [row.model_dump(exclude={"type"}) for row in rows] == [row.model_dump() for row in whole.rows]
    assert [event.model_dump(exclude={"request_id"}) for event in asyncio.run(stream())] == [
        event.model_dump(exclude={"request_id"}) for event in (start, *rows)
    ]


def test_a_streamed_timeline_of_a_bad_clip_is_refused_like_any_other(address: str) -> None:
    with EmotionClient(address) as gateway, pytest.raises(RefusedError) as refusal:
        list(gateway.stream_timeline(b"no media at all"))
    assert refusal.value.code == "unsupported_media"


@both_clients
def test_models_and_health_are_told(ask: Callable[..., Any], address: str) -> None:
    [model] = ask(address, lambda gateway: gateway.models())
    assert (model.name, model.default) == ("mock", True)
    assert ask(address, lambda gateway: gateway.health()).status == "ok"
    assert ask(address, lambda gateway: gateway.ready()).status == "ready"


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
        _answering([_ok(b"{}")]) as address,
        pytest.raises(UnexpectedAnswerError, match="did not answer as the gateway does"),
    ):
        ask(address, lambda gateway: gateway.predict(clip))


@both_clients
def test_fields_of_a_newer_gateway_are_kept_at_every_depth(ask: Callable[..., Any], address: str, clip: bytes) -> None:
    body = ask(address, lambda gateway: gateway.predict(clip)).model_dump()
    body |= {"arousal": 0.25, "quality": body["quality"] | {"sharpness": 0.5}}
    with _answering([_ok(json.dumps(body).encode())]) as newer:
        found = ask(newer, lambda gateway: gateway.predict(clip))
    assert (found.arousal, found.quality.sharpness) == (0.25, 0.5)
    assert found.model_dump() == body


@both_clients
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"probs": [12.0] * 8}, "probabilities sum to 96.00 %"),
        ({"top1": {"label": "calm", "prob": 0.0}}, "top1 has 0.0 %"),
        ({"quality": None}, "quality: "),
    ],
)
def test_an_answer_that_contradicts_itself_is_not_taken(
    ask: Callable[..., Any], address: str, clip: bytes, changes: dict[str, Any], said: str
) -> None:
    body = ask(address, lambda gateway: gateway.predict(clip)).model_dump() | changes
    with (
        _answering([_ok(json.dumps(body).encode())]) as server,
        pytest.raises(UnexpectedAnswerError, match=said),
    ):
        ask(server, lambda gateway: gateway.predict(clip))


@both_clients
def test_a_busy_gateway_is_waited_for_only_when_asked_and_as_long_as_it_says(ask: Callable[..., Any]) -> None:
    body = b'{"error": {"code": "overloaded", "message": "Too many.", "request_id": "r1"}}'
    busy = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (
        len(body),
        body,
    )
    good = _ok(b'{"models": []}')
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
    good = _ok(b'{"models": []}')
    with _answering([good], heads) as address:
        ask(address, lambda gateway: gateway.models(), api_key="secret")
    assert b"x-api-key: secret" in heads[0].lower()


def _ok(body: bytes) -> bytes:
    """A response with a body."""
    return b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


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
