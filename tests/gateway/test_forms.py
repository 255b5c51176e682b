"""A form's files are the bytes that were sent, however the form is spelt; they stay in memory, and are released."""

from __future__ import annotations

import asyncio
import gc
import tempfile
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from email.mime.application import MIMEApplication
from email.mime.multipart import MIMEMultipart
from typing import Any

import numpy as np
import pytest
from starlette.requests import Request
from starlette.types import Message

from gateway.deadlines import Deadline
from gateway.errors import BadFormError, UploadTooLargeError
from gateway.http.forms import FormLimits, fields_in, read_form

LONG_BOUNDARY = 256
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
    boundary = b"B" * int(rng.choice([1, 60, LONG_BOUNDARY]))
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
    for length in range(len(form) - len(b"\r\n")):
        with pytest.raises(BadFormError):
            parsed(cut(form[:length], [50]))


def test_a_form_without_its_boundary_is_rejected_with_the_boundary() -> None:
    with pytest.raises(BadFormError, match="'--elsewhere--'"):
        parsed(iter([HEAD, b"content", END]), b"elsewhere")


CONTENT = b"\x1a\x45\r\n--Bx\r\n--\r\n \r\n\r\n--B-\r\n"
"""What a file may hold: lines' ends, blanks, and lines that begin like a boundary."""

PLAIN = b'Content-Disposition: form-data; name="file"; filename="clip"'


def form(disposition: bytes = PLAIN, before: bytes = b"", blanks: bytes = b"", after: bytes = b"\r\n") -> bytes:
    """A form with one part."""
    lines = [before + b"--B" + blanks, disposition, b"Content-Type: video/webm", b"", CONTENT, b"--B--" + after]
    return b"\r\n".join(lines)


SPELLINGS = {
    "no line's end after it": form(after=b""),
    "blanks after the last boundary": form(after=b" \t\r\n"),
    "an epilogue": form(after=b"\r\nGoodbye.\r\n" + form()),
    "an empty line before it": form(before=b"\r\n"),
    "a preamble": form(before=b"This is a multi-part message in MIME format.\r\n"),
    "a preamble with a boundary in a line": form(before=b"It has --B\r\n--By\r\n\r\n"),
    "blanks after the first boundary": form(blanks=b" \t "),
    "a header folded by a blank": form(PLAIN.replace(b"; ", b";\r\n ")),
    "a header folded by a tab": form(PLAIN.replace(b"; ", b";\r\n\t")),
    "a header folded after its name": form(PLAIN.replace(b": ", b":\r\n  ")),
    "another header before it, folded": form(b"X-Note: form-data;\r\n Content-Disposition: a; name=b\r\n" + PLAIN),
    "another case": form(PLAIN.lower().replace(b"form-data", b"Form-Data").replace(b"filename", b"FileName")),
    "no blank after the colon": form(PLAIN.replace(b": ", b":")),
    "no quotes": form(PLAIN.replace(b'"', b"")),
    "an empty name": form(PLAIN.replace(b"clip", b"")),
    "a name of Latin-1": form(PLAIN.replace(b"clip", "f\u00eate".encode("latin-1"))),
    "a name of UTF-8": form(PLAIN.replace(b"clip", "\u20ac; name=x".encode())),
    "an extended name": form(PLAIN.replace(b'filename="clip"', b"filename*=UTF-8''%e2%82%ac.mp4")),
    "an extended name first": form(PLAIN.replace(b"name", b"filename*=UTF-8''a; name", 1).partition(b"; filename=")[0]),
    "both names": form(PLAIN + b"; filename*=utf-8'en'%e2%82%ac.mp4"),
    "an extended name in capitals, with blanks": form(PLAIN.replace(b'filename="clip"', b"FILENAME* = iso-8859-1''f")),
    "an extended name in pieces": form(PLAIN.replace(b'filename="clip"', b"filename*0*=UTF-8''a; filename*1=b")),
}


@pytest.mark.parametrize("name", SPELLINGS)
@pytest.mark.parametrize("size", [1, 10_000])
def test_a_form_is_read_in_every_spelling(name: str, size: int) -> None:
    assert parsed(cut(SPELLINGS[name], [size])) == [("file", CONTENT)]


def test_blanks_between_parts_belong_to_no_file() -> None:
    two = form(blanks=b"\t").removesuffix(b"--\r\n") + b"  \r\n" + form().partition(b"\r\n")[2]
    assert parsed(iter([two])) == [("file", CONTENT)] * 2


def test_what_the_standard_library_writes_is_read() -> None:
    message = MIMEMultipart("form-data", boundary="B")
    message.preamble, message.epilogue = "If you can read this, your program is old.", "The end."
    for number in range(3):
        part = MIMEApplication(f"content {number}", _encoder=lambda _: None)
        part.add_header(
            "Content-Disposition", "form-data", name="files", filename=("utf-8", "", f"{number}\u20ac" * 20)
        )
        message.attach(part)
    body = message.as_bytes(policy=message.policy.clone(linesep="\r\n", max_line_length=40)).partition(b"\r\n\r\n")[2]
    assert b"\r\n\t" in body or b"\r\n " in body
    assert parsed(iter([body])) == [("files", f"content {number}".encode()) for number in range(3)]


@pytest.mark.parametrize("name", ["times", "filename*=x", "filename"])
def test_a_field_without_a_file_name_is_text(name: str) -> None:
    text = form(b'Content-Disposition: form-data; name="%s"' % name.encode())
    assert parsed(iter([text])) == [(name, CONTENT.decode("utf-8", "replace"))]


BROKEN = {
    "a part without a name": (form(b"Content-Disposition: form-data"), "name"),
    "a part without a disposition": (form(b"X-Nothing: here"), "Content-Disposition"),
    "headers that do not end": (HEAD.rstrip() + END, "4096 bytes"),
    "long headers": (form(PLAIN + b"a" * 4096), "4096 bytes"),
    "many parts": (form().partition(b"--B--")[0] * 11 + END, "more than 10 parts"),
    "no parts, and no end": (b"--B\r\n" * 11, "headers"),
    "only line feeds": (form().replace(b"\r\n", b"\n"), "cut off"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_form_is_rejected_with_the_reason(name: str) -> None:
    body, words = BROKEN[name]
    with pytest.raises(BadFormError, match=words):
        parsed(iter([body]))


def test_random_forms_are_read_or_rejected() -> None:
    rng = np.random.default_rng(0)
    pieces = [
        b"--B",
        b"\r\n",
        b"--",
        b" ",
        b"\t",
        PLAIN,
        b";",
        b'"',
        b"*0*=",
        b"filename",
        b"=",
        b":",
        b"\r",
        b"x",
        b"''",
    ]
    for _ in range(3000):
        noise = b"".join(pieces[int(index)] for index in rng.integers(0, len(pieces), 30))
        body = bytearray(b"\r\n--B\r\n" + PLAIN + noise + b"\r\n\r\n" + noise + END)
        with suppress(BadFormError):
            assert all(isinstance(name, str) for name, _ in fields_in(body, b"B", FormLimits("send a form", 2**20, 10)))


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
