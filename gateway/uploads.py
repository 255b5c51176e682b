"""Reading an uploaded clip into memory, with its limits checked while it arrives.

Starlette's parser is used with a spool that never reaches a disk: nothing of an upload is ever written to one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from gateway.errors import (
    BadFormError,
    MissingFileError,
    UnsupportedContentTypeError,
    UploadTimeoutError,
    UploadTooLargeError,
)

FILE_FIELD = "file"
"""Name of the form field that holds the clip."""

_EXPECTED = f"send the clip as a file in the field '{FILE_FIELD}' of a multipart/form-data form"

_FORM_OVERHEAD = 64 * 1024
"""Bytes that boundaries, headers and small fields may take beside the file."""


async def read_clip_upload(request: Request, *, limit: int, timeout: float) -> bytes:
    """The bytes of the one clip in a request.

    Args:
        request: A request whose body has not been read.
        limit: Largest clip, in bytes.
        timeout: Longest time for it to arrive, in seconds.

    Raises:
        UnsupportedContentTypeError: The body is no multipart form.
        BadFormError: The form is broken.
        MissingFileError: The form has no file in the expected field.
        UploadTooLargeError: The clip, or the form around it, is too large.
        UploadTimeoutError: The body did not arrive in time.
    """
    _check_content_type(request)
    try:
        async with asyncio.timeout(timeout):
            form = await _parse(request, limit)
    except TimeoutError:
        raise UploadTimeoutError(f"The upload did not arrive within {timeout:g} s, the limit.") from None
    try:
        return await _file_of(form, limit)
    finally:
        await form.close()


class _MemoryParser(MultiPartParser):
    """Keeps files in memory, and notices a form that is cut off."""

    ended = False

    def on_end(self) -> None:
        self.ended = True


async def _parse(request: Request, limit: int) -> FormData:
    parser = _MemoryParser(request.headers, _limited(request, limit), max_files=1, max_fields=10)
    parser.spool_max_size = limit + _FORM_OVERHEAD
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise BadFormError(f"The form cannot be read: {error.message.rstrip('.')}; {_EXPECTED}.") from error
    if not parser.ended:
        await form.close()
        raise BadFormError(f"The form ends before its closing boundary; {_EXPECTED}.")
    return form


async def _limited(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
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


def _check_content_type(request: Request) -> None:
    found = request.headers.get("content-type", "")
    if parse_options_header(found)[0] != b"multipart/form-data":
        name = f"'{found[:60]}'" if found else "missing"
        raise UnsupportedContentTypeError(f"The content type is {name}; {_EXPECTED}.")


async def _file_of(form: FormData, limit: int) -> bytes:
    file = form.get(FILE_FIELD)
    if isinstance(file, UploadFile):
        if file.size is not None and file.size > limit:
            raise _too_large(f"{file.size} bytes", limit)
        return await file.read()
    if file is not None:
        raise MissingFileError(f"The field '{FILE_FIELD}' holds text and no file; {_EXPECTED}.")
    names = ", ".join(f"'{name[:40]}'" for name in list(form)[:5])
    found = f"only {names}" if names else "no field at all"
    raise MissingFileError(f"The form has {found}; {_EXPECTED}.")
