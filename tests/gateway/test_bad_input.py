"""Bad input: always a 4xx of the one error shape, whose message names what is wrong and what is expected."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.gateway.running import running_gateway, settings_for_tests
from tests.support.clips import noise, synthetic_clip

LIMIT = 400_000


@pytest.fixture(scope="module")
def gateway() -> Iterator[httpx.Client]:
    with running_gateway(settings_for_tests(upload_limit=LIMIT, upload_timeout=3.0)) as client:
        yield client


def error_of(response: httpx.Response) -> dict[str, str]:
    """The error in a response, whose shape and request id are checked."""
    body: dict[str, Any] = response.json()
    assert list(body) == ["error"]
    error: dict[str, str] = body["error"]
    assert sorted(error) == ["code", "message", "request_id"]
    assert error["request_id"] == response.headers["X-Request-ID"]
    assert error["message"].endswith(".")
    assert "Traceback" not in response.text
    return error


def assert_refused(response: httpx.Response, status: int, code: str, *words: str) -> None:
    error = error_of(response)
    assert (response.status_code, error["code"]) == (status, code)
    for word in words:
        assert word in error["message"]


def no_tracks() -> bytes:
    """A matroska file whose only track holds subtitles' worth of nothing that can be decoded."""
    whole = synthetic_clip(audio_codec=None)
    return whole.replace(b"V_FFV1", b"V_NONE")


BAD_CLIPS = {
    "no bytes": (b"", "empty_media", "empty"),
    "a text file": (b"Dear diary, today I had no video.\n" * 100, "unsupported_media", "webm"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(500), "unsupported_media", "webm"),
    "a playlist": (b"#EXTM3U\n#EXTINF:3,\nfile:///etc/passwd\n", "unsupported_media", "webm"),
    "an mp4 cut off before its index": (
        synthetic_clip(container="mp4", video_codec="mpeg4", audio_codec="aac")[:3000],
        "damaged_media",
        "cut off",
    ),
    "only the first bytes of a webm": (synthetic_clip()[:40], None, ""),
    "an unknown codec": (no_tracks().replace(b"A_PCM/INT/LIT", b"A_NON/INT/LIT"), "no_tracks", "codec"),
}


@pytest.mark.parametrize("name", BAD_CLIPS)
def test_clip_is_refused(gateway: httpx.Client, name: str) -> None:
    data, code, word = BAD_CLIPS[name]
    response = gateway.post("/predict", files={"file": ("clip.mp4", data)})
    error = error_of(response)
    assert response.status_code == 422
    assert code in {None, error["code"]}
    assert word in error["message"]


def test_truncated_webm_is_read_as_far_as_it_goes(gateway: httpx.Client, clip: bytes) -> None:
    response = gateway.post("/predict", files={"file": ("clip.webm", clip[: len(clip) // 2])})
    assert response.status_code == 200


def test_clip_over_the_limit_is_refused_with_both_sizes(gateway: httpx.Client) -> None:
    response = gateway.post("/predict", files={"file": ("clip", bytes(LIMIT + 1))})
    assert_refused(response, 413, "upload_too_large", str(LIMIT), str(LIMIT + 1))


def test_much_larger_body_is_refused_from_its_declared_length(gateway: httpx.Client) -> None:
    response = gateway.post("/predict", files={"file": ("clip", bytes(40 * LIMIT))})
    assert_refused(response, 413, "upload_too_large", str(LIMIT))


def test_much_larger_body_of_unknown_length_is_refused_on_the_way(gateway: httpx.Client) -> None:
    def body() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="clip"\r\n\r\n'
        for _ in range(40):
            yield bytes(LIMIT // 10)

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    response = gateway.post("/predict", content=body(), headers=headers)
    assert_refused(response, 413, "upload_too_large", str(LIMIT))


def test_clip_of_exactly_the_limit_is_read(gateway: httpx.Client) -> None:
    response = gateway.post("/predict", files={"file": ("clip", bytes(LIMIT))})
    assert_refused(response, 422, "unsupported_media")


@pytest.mark.parametrize(
    "headers",
    [{}, {"Content-Type": "application/json"}, {"Content-Type": "video/mp4"}, {"Content-Type": "multipart/mixed"}],
    ids=["no content type", "JSON", "a bare video", "another multipart"],
)
def test_other_content_type_is_refused(gateway: httpx.Client, headers: dict[str, str], clip: bytes) -> None:
    response = gateway.post("/predict", content=clip, headers=headers)
    assert_refused(response, 415, "unsupported_content_type", "multipart/form-data", "'file'")


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"files": {"video": ("clip", b"data")}}, ["'video'", "'file'"]),
        ({"files": {"x": (None, "text")}}, ["'x'", "'file'"]),
        ({"files": {"file": (None, "text")}}, ["'file'", "text"]),
    ],
    ids=["a file in another field", "no file", "text in the field"],
)
def test_form_without_the_file_is_refused(gateway: httpx.Client, form: dict[str, Any], words: list[str]) -> None:
    assert_refused(gateway.post("/predict", **form), 422, "missing_file", *words)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"--x\r\n"),
        (f"multipart/form-data; boundary={'x' * 300}", b""),
        ("multipart/form-data; boundary=x", b""),
        ("multipart/form-data; boundary=x", b"{}"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\nA\r\n--x--\r\n"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nhalf a fi',
        ),
    ],
    ids=["no boundary", "a long boundary", "no body", "no form", "a field without a name", "a form cut off"],
)
def test_broken_form_is_refused(gateway: httpx.Client, content_type: str, body: bytes) -> None:
    response = gateway.post("/predict", content=body, headers={"Content-Type": content_type})
    assert_refused(response, 400, "bad_form")


def test_two_clips_are_refused(gateway: httpx.Client) -> None:
    response = gateway.post("/predict", files=[("file", ("a", b"x")), ("file", ("b", b"y"))])
    assert_refused(response, 400, "bad_form", "limit is 1 clip")


def test_large_text_field_is_refused(gateway: httpx.Client) -> None:
    response = gateway.post("/predict", files=[("note", (None, b"x" * 300_000)), ("file", ("a", b"y"))])
    assert response.status_code in {400, 422}
    error_of(response)


@pytest.mark.usefixtures("short_drain")
def test_upload_that_stalls_is_given_up_and_its_connection_closed(gateway: httpx.Client) -> None:
    address = (gateway.base_url.host, gateway.base_url.port)
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"
            b"Content-Length: 1000\r\n\r\n--x\r\n"
        )
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"upload_timeout"' in answer


def test_gateway_answers_after_all_this(gateway: httpx.Client) -> None:
    rng_clip = synthetic_clip(waveform=noise(1.0, 48_000, seed=3))
    with io.BytesIO(rng_clip) as file:
        assert gateway.post("/predict", files={"file": file}).status_code == 200
