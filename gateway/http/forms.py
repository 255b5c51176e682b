"""Reading uploaded forms: in memory only, with their limits checked while they arrive."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from gateway.deadlines import Deadline
from gateway.errors import (
    BadFormError,
    MissingFileError,
    TooManyFilesError,
    UnsupportedContentEncodingError,
    UnsupportedContentTypeError,
    UploadTimeoutError,
    UploadTooLargeError,
)
from gateway.http.context import RequestContext

FILE_FIELD = "file"
"""Name of the form field that holds a clip."""

FILES_FIELD = "files"
"""Name of the form field that is repeated for each clip of a batch."""

_FORM_OVERHEAD: Final = 64 * 1024
"""Bytes that boundaries, headers and text fields may take beside the files."""

_HEADERS_LIMIT: Final = 4096
"""Most bytes of a part's headers."""

_BOUNDARY_END: Final = re.compile(rb"(--)|[ \t]*\r\n")

# Long header lines may be folded (RFC 5322, 2.2.3).
_DISPOSITION: Final = re.compile(rb"\r\ncontent-disposition[ \t]*:((?:[^\r]|\r\n[ \t])*)", re.IGNORECASE)

# `filename*=`, or `filename*0*=` for a name in pieces (RFC 2231).
_EXTENDED: Final = re.compile(rb"\*[0-9]*\*?[ \t]*=")


@dataclass(frozen=True)
class FormLimits:
    """What a form may be.

    Attributes:
        expected: What to send, for messages.
        size: Most bytes of all files together.
        parts: Most files and text fields together.
    """

    expected: str
    size: int
    parts: int


async def read_clip(context: RequestContext, deadline: Deadline) -> bytes:
    """The one clip of a request.

    Raises:
        BadFormError: The form has several clips.
        EmotionError: As with `read_form` and `files_in`.
    """
    expected = f"send the clip as a file in the field '{FILE_FIELD}' of a multipart/form-data form"
    limits = FormLimits(expected, context.services.settings.upload_limit, 10)
    files = files_in(await read_form(context.request, limits, deadline), FILE_FIELD, limits)
    if len(files) > 1:
        raise BadFormError(f"The form has {len(files)} fields '{FILE_FIELD}'; the limit is 1 clip.")
    return files[0]


async def read_batch(context: RequestContext, deadline: Deadline) -> list[bytes]:
    """The clips of a request, in order.

    Raises:
        TooManyFilesError: There are more clips than the limit.
        EmotionError: As with `read_form` and `files_in`.
    """
    most = context.services.settings.batch_limit
    expected = f"send each clip as a file in a field '{FILES_FIELD}' of a multipart/form-data form"
    limits = FormLimits(expected, context.services.settings.batch_upload_limit, 2 * most + 10)
    files = files_in(await read_form(context.request, limits, deadline), FILES_FIELD, limits)
    if len(files) > most:
        raise TooManyFilesError(f"The form has {len(files)} clips; the limit of a batch is {most}.")
    return files


async def read_form(request: Request, limits: FormLimits, deadline: Deadline) -> list[tuple[str, bytes | str]]:
    """The fields of a multipart form in order: bytes for a file, a string for text.

    Args:
        request: A request whose body has not been read.
        limits: What the form may be.
        deadline: When the body must have arrived.

    Raises:
        UnsupportedContentEncodingError: The body is compressed.
        UnsupportedContentTypeError: The body is not a multipart form.
        BadFormError: The form is broken, cut off, or has too many parts.
        UploadTooLargeError: The files, or the form around them, are too large.
        UploadTimeoutError: The body did not arrive in time.
    """
    boundary = _checked_boundary(request, limits)
    largest = limits.size + _FORM_OVERHEAD
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > largest:
        raise _too_large(f"{int(declared)} bytes", limits)
    body = bytearray(b"\r\n")  # for a boundary at the very start
    try:
        async with asyncio.timeout(deadline.remaining()), aclosing(request.stream()) as stream:
            async for chunk in stream:
                if len(body) + len(chunk) > largest:
                    raise _too_large(f"more than {largest} bytes", limits)
                body += chunk
        fields = list(fields_in(body, boundary, limits))
    except TimeoutError:
        raise UploadTimeoutError(f"The upload did not arrive within {deadline.seconds:g} s, the limit.") from None
    finally:
        body.clear()  # The traceback of an error would keep it.
    size = sum(len(content) for _, content in fields if isinstance(content, bytes))
    if size > limits.size:
        raise _too_large(f"{size} bytes", limits)
    return fields


def fields_in(body: bytearray, boundary: bytes, limits: FormLimits) -> Iterator[tuple[str, bytes | str]]:
    """The fields of a multipart form, in every spelling that RFC 2046 allows.

    Starlette's parser rejects a preamble, blanks after the first boundary and folded headers, and takes a file whose
    only name is `filename*` for text.

    Args:
        body: A line end, then the form.
        boundary: The separator of its parts.
        limits: What the form may be.

    Raises:
        BadFormError: The form is broken, cut off, or has too many parts.
    """
    delimiter = b"\r\n--" + boundary
    parts, start, at = 0, 0, -1
    while (at := body.find(delimiter, at + 1)) >= 0:
        line = _BOUNDARY_END.match(body, at + len(delimiter))
        if line is None:
            continue
        if parts:
            yield _field_in(body, start, at)
        if line[1]:
            return
        if parts == limits.parts:
            raise BadFormError(f"The form has more than {parts} parts, the limit; {limits.expected}.")
        parts, start = parts + 1, line.end() - 2
    raise BadFormError(f"The form is cut off: it lacks its last line, '--{boundary[:70].decode('latin-1')}--'.")


def _field_in(body: bytearray, start: int, end: int) -> tuple[str, bytes | str]:
    """The field in one part of a form, from the end of its boundary's line on."""
    headers_end = body.find(b"\r\n\r\n", start, min(end, start + _HEADERS_LIMIT))
    if headers_end < 0:
        raise BadFormError(f"The headers of a part of the form do not end within {_HEADERS_LIMIT} bytes, the limit.")
    found = _DISPOSITION.search(body, start, headers_end)
    disposition = found[1].replace(b"\r\n", b"") if found else b""
    name = parse_options_header(disposition)[1].get(b"name")
    if name is None:
        raise BadFormError("A part of the form has no Content-Disposition header with a name.")
    content = bytes(memoryview(body)[headers_end + 4 : end])
    is_file = b"filename" in parse_options_header(_EXTENDED.sub(b"=", disposition))[1]
    return name.decode(errors="replace"), content if is_file else content.decode(errors="replace")


def files_in(fields: Sequence[tuple[str, bytes | str]], name: str, limits: FormLimits) -> list[bytes]:
    """The files in the fields of one name, at least one.

    Raises:
        MissingFileError: There is none.
    """
    found = [content for field, content in fields if field == name]
    if not found:
        names = ", ".join(f"'{field[:40]}'" for field, _ in fields[:5])
        listed = f"only {names}" if names else "no field at all"
        raise MissingFileError(f"The form has {listed}; {limits.expected}.")
    files = [content for content in found if isinstance(content, bytes)]
    if len(files) < len(found):
        raise MissingFileError(f"The field '{name}' holds text, not a file; {limits.expected}.")
    return files


def _checked_boundary(request: Request, limits: FormLimits) -> bytes:
    """The boundary of a form, whose headers must say that it is one and not compressed."""
    encoding = ", ".join(request.headers.getlist("content-encoding"))
    if not set(re.split(r"[,\s]+", encoding.lower())) <= {"", "identity"}:
        raise UnsupportedContentEncodingError(
            f"The content encoding is '{encoding[:60]}'; send the body as it is, without Content-Encoding."
        )
    found = request.headers.get("content-type", "")
    kind, options = parse_options_header(found)
    if kind != b"multipart/form-data":
        name = f"'{found[:60]}'" if found else "missing"
        raise UnsupportedContentTypeError(f"The content type is {name}; {limits.expected}.")
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise BadFormError(f"The content type names no boundary; {limits.expected}.")
    return boundary


def _too_large(size: str, limits: FormLimits) -> UploadTooLargeError:
    """The error for an upload of so many bytes."""
    return UploadTooLargeError(f"The upload has {size}; the limit is {limits.size} bytes.")
