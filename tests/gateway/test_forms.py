"""A form's files are the bytes that were sent, stay in memory, and are released with their request."""

from __future__ import annotations

import asyncio
import gc
import tempfile
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from python_multipart.multipart import MAX_BOUNDARY_LENGTH
from starlette.requests import Request
from starlette.types import Message

from gateway.deadlines import Deadline
from gateway.errors import BadFormError, UploadTooLargeError
from gateway.http.forms import FormLimits, read_form

HEAD = b'--B\r\nContent-Disposition: form-data; name="file"; filename="clip"\r\n\r\n'
END = b"\r\n--B--\r\n"


def parsed(chunks: Iterator[bytes], boundary: bytes = b"B", size: int = 2**24) -> list[tuple[str, bytes | str]]:
    """The fields of a form whose body arrives in these chunks."""

    async def receive() -> Message:
        chunk = next(chunks, None)
        return {"type": "http.request", "body": chunk or b"", "more_body": chunk is not None}

    headers = [(b"content-type", b"multipart/form-data; boundary=" + boundary)]
    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}
    request = Request(scope, receive)
    return asyncio.run(read_form(request, FormLimits("send a form", size, 10), Deadline.after(60.0)))


def cut(form: bytes, sizes: list[int]) -> Iterator[bytes]:
    """A form in chunks of these sizes, the last of which is repeated."""
    position = 0
    for size in [*sizes, *[sizes[-1]] * (len(form) // sizes[-1] + 1)]:
        if position < len(form):
            yield form[position : position + size]
            position += size


@pytest.mark.parametrize("seed", range(20))
def test_a_file_is_what_was_sent_however_it_arrives(seed: int) -> None:
    rng = np.random.default_rng(seed)
    boundary = b"B" * int(rng.choice([1, 60, MAX_BOUNDARY_LENGTH]))
    parts = [rng.bytes(int(rng.integers(0, 20_000))), b"\r\n--" + boundary[:-1], b"\r", b"\r\n--", rng.bytes(9000)]
    content = b"".join(parts[int(index)] for index in rng.integers(0, len(parts), 12))
    sizes = [int(size) for size in rng.choice([1, 7, 100, 4095, 4096, 50_000], 6)]
    form = HEAD.replace(b"--B", b"--" + boundary) + content + END.replace(b"--B", b"--" + boundary)
    assert parsed(cut(form, sizes), boundary) == [("file", content)]


def test_a_large_file_never_touches_a_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", lambda _: pytest.fail("written to a file"))
    content = np.random.default_rng(0).bytes(8 * 2**20)
    assert parsed(cut(HEAD + content + END, [2**16])) == [("file", content)]


def test_a_form_that_is_cut_off_is_rejected() -> None:
    form = HEAD + b"content" + END
    for length in range(len(form) - len(b"--\r\n")):
        with pytest.raises(BadFormError):
            parsed(cut(form[:length], [50]))


def test_a_boundary_beyond_what_the_parser_takes_is_rejected_by_name() -> None:
    with pytest.raises(BadFormError, match=f"has {MAX_BOUNDARY_LENGTH + 1} bytes; the limit is {MAX_BOUNDARY_LENGTH}"):
        parsed(iter([HEAD, b"content", END]), b"B" * (MAX_BOUNDARY_LENGTH + 1))


@pytest.mark.parametrize("ending", [END, b"", b"\r\n--B\r\nbroken"], ids=["complete", "cut off", "broken"])
def test_an_upload_is_released_without_a_garbage_collection(ending: bytes) -> None:
    content = np.random.default_rng(0).bytes(2**22)
    gc.collect()
    gc.disable()
    try:
        tracemalloc.start()
        with suppress(BadFormError):
            parsed(cut(HEAD + content + ending, [2**16]))
        assert tracemalloc.get_traced_memory()[0] < 2**20
    finally:
        tracemalloc.stop()
        gc.enable()


def test_a_form_beyond_the_limit_is_rejected_as_soon_as_that_is_known() -> None:
    def endless() -> Iterator[bytes]:
        yield HEAD
        while True:
            yield bytes(2**16)

    with pytest.raises(UploadTooLargeError, match="the limit is 1048576 bytes"):
        parsed(endless(), size=2**20)
