"""Reading an uploaded clip, with its limits checked while it arrives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from gateway.deadline import Deadline
from gateway.errors import (
    BadFormError,
    MissingFileError,
    UnsupportedContentTypeError,
    UploadTimeoutError,
    UploadTooLargeError,
)
from gateway.forms import FormPart, FormReader

FILE_FIELD = "file"
"""Name of the form field that holds the clip."""

_EXPECTED = f"send the clip as a file in the field '{FILE_FIELD}' of a multipart/form-data form"

_FORM_OVERHEAD = 64 * 1024
"""Bytes that boundaries, headers and small fields may take beside the file."""


async def read_clip_upload(request: Request, *, limit: int, deadline: Deadline) -> bytes:
    """The bytes of the one clip in a request.

    Args:
        request: A request whose body has not been read.
        limit: Largest clip, in bytes.
        deadline: When it must be there.

    Raises:
        UnsupportedContentTypeError: The body is no multipart form.
        BadFormError: The form is broken.
        MissingFileError: The form has no file in the expected field.
        UploadTooLargeError: The clip, or the form around it, is too large.
        UploadTimeoutError: The body did not arrive in time.
    """
    reader = FormReader(_boundary(request))
    try:
        async with asyncio.timeout(deadline.remaining()):
            async for chunk in _limited(request, limit):
                reader.feed(chunk)
        data = _file_of(reader.finish())
    except TimeoutError:
        raise UploadTimeoutError(f"The upload did not arrive within {deadline.seconds:g} s, the limit.") from None
    finally:
        reader.close()
    if len(data) > limit:
        raise _too_large(f"{len(data)} bytes", limit)
    return data


def _boundary(request: Request) -> bytes:
    found = request.headers.get("content-type", "")
    kind, options = parse_options_header(found)
    if kind != b"multipart/form-data":
        name = f"'{found[:60]}'" if found else "missing"
        raise UnsupportedContentTypeError(f"The content type is {name}; {_EXPECTED}.")
    if not options.get(b"boundary"):
        raise BadFormError(f"The content type names no boundary; {_EXPECTED}.")
    return options[b"boundary"]


async def _limited(request: Request, limit: int) -> AsyncIterator[bytes]:
    """The body, as long as it is not larger than a form with the largest clip can be."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit + _FORM_OVERHEAD:
        raise _too_large(f"{int(declared)} bytes", limit)
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > limit + _FORM_OVERHEAD:
            raise _too_large(f"more than {limit + _FORM_OVERHEAD} bytes", limit)
        yield chunk


def _too_large(size: str, limit: int) -> UploadTooLargeError:
    return UploadTooLargeError(f"The upload has {size}; the limit for a clip is {limit} bytes.")


def _file_of(parts: list[FormPart]) -> bytes:
    files = [part for part in parts if part.name == FILE_FIELD]
    if len(files) > 1:
        raise BadFormError(f"The form has {len(files)} fields '{FILE_FIELD}'; the limit is 1 clip.")
    if not files:
        names = ", ".join(f"'{part.name[:40]}'" for part in parts[:5])
        found = f"only {names}" if names else "no field at all"
        raise MissingFileError(f"The form has {found}; {_EXPECTED}.")
    if not files[0].is_file:
        raise MissingFileError(f"The field '{FILE_FIELD}' holds text and no file; {_EXPECTED}.")
    return bytes(files[0].data)
