"""Reading uploaded forms: in memory only, with their limits checked while they arrive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from python_multipart.multipart import MAX_BOUNDARY_LENGTH, parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from gateway.deadlines import Deadline
from gateway.errors import (
    BadFormError,
    MissingFileError,
    TooManyFilesError,
    UnsupportedContentTypeError,
    UploadTimeoutError,
    UploadTooLargeError,
)
from gateway.http.context import RequestContext

FILE_FIELD = "file"
"""Name of the form field that holds a clip."""

FILES_FIELD = "files"
"""Name of the form field that is repeated for each clip of a batch."""

_FORM_OVERHEAD = 64 * 1024
"""Bytes that boundaries, headers and text fields may take beside the files."""


@dataclass(frozen=True)
class FormLimits:
    """What a form may be.

    Attributes:
        expected: What to send, for messages.
        size: Most bytes of all files together.
        parts: Most files, and most text fields.
    """

    expected: str
    size: int
    parts: int


class MemoryFormParser(MultiPartParser):
    """Starlette's parser, which never writes a file to disk and rejects a form that is cut off."""

    spool_max_size = 0  # `SpooledTemporaryFile` then stays in memory whatever its size
    _is_complete = False

    def on_end(self) -> None:
        """The closing boundary was parsed."""
        self._is_complete = True

    async def parse(self) -> FormData:
        """The form.

        Raises:
            MultiPartException: The form is broken or cut off.
        """
        async with aclosing(self._checked(self.stream)) as self.stream:
            return await super().parse()

    async def _checked(self, body: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """The body; if it ends too early, the error is raised where the parser closes its files."""
        async for chunk in body:
            yield chunk
        if not self._is_complete:
            raise MultiPartException("It ends before its closing boundary.")


async def read_clip(context: RequestContext, deadline: Deadline) -> bytes:
    """The one clip of a request.

    Raises:
        UnsupportedContentTypeError: The body is not a multipart form.
        BadFormError: The form is broken.
        MissingFileError: The form has no file in the expected field.
        UploadTooLargeError: The clip, or the form around it, is too large.
        UploadTimeoutError: The body did not arrive in time.
    """
    expected = f"send the clip as a file in the field '{FILE_FIELD}' of a multipart/form-data form"
    limits = FormLimits(expected, context.services.settings.upload_limit, 10)
    files = files_in(await read_form(context.request, limits, deadline), FILE_FIELD, limits)
    if len(files) > 1:
        raise BadFormError(f"The form has {len(files)} fields '{FILE_FIELD}'; the limit is 1 clip.")
    check_size(files, limits)
    return files[0]


async def read_batch(context: RequestContext, deadline: Deadline) -> list[bytes]:
    """The clips of a request, in order.

    Raises:
        TooManyFilesError: There are more clips than the limit.
        EmotionError: As with `read_clip`.
    """
    most = context.services.settings.batch_limit
    expected = f"send each clip as a file in a field '{FILES_FIELD}' of a multipart/form-data form"
    limits = FormLimits(expected, context.services.settings.batch_upload_limit, 2 * most + 10)
    files = files_in(await read_form(context.request, limits, deadline), FILES_FIELD, limits)
    if len(files) > most:
        raise TooManyFilesError(f"The form has {len(files)} clips; the limit of a batch is {most}.")
    check_size(files, limits)
    return files


async def read_form(request: Request, limits: FormLimits, deadline: Deadline) -> list[tuple[str, bytes | str]]:
    """The fields of a multipart form in order: bytes for a file, a string for text.

    Args:
        request: A request whose body has not been read.
        limits: What the form may be. Its files may be a little larger: boundaries are not counted apart.
        deadline: When the body must have arrived.

    Raises:
        UnsupportedContentTypeError: The body is not a multipart form.
        BadFormError: The form is broken, cut off, or has too many parts.
        UploadTooLargeError: The form is too large.
        UploadTimeoutError: The body did not arrive in time.
    """
    _check_content_type(request, limits)
    try:
        async with asyncio.timeout(deadline.remaining()), aclosing(_limited_stream(request, limits)) as stream:
            parser = MemoryFormParser(
                request.headers,
                stream,
                max_files=limits.parts,
                max_fields=limits.parts,
                max_part_size=_FORM_OVERHEAD,
            )
            form = await parser.parse()
    except TimeoutError:
        raise UploadTimeoutError(f"The upload did not arrive within {deadline.seconds:g} s, the limit.") from None
    except MultiPartException as error:
        raise BadFormError(f"The body is not a valid multipart form: {error.message.rstrip('.')}.") from error
    try:
        return [
            (name, await field.read() if isinstance(field, UploadFile) else field) for name, field in form.multi_items()
        ]
    finally:
        await form.close()


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


def check_size(files: Sequence[bytes], limits: FormLimits) -> None:
    """Reject files that are too large together.

    Raises:
        UploadTooLargeError: They are.
    """
    size = sum(map(len, files))
    if size > limits.size:
        raise _too_large(f"{size} bytes", limits)


def _check_content_type(request: Request, limits: FormLimits) -> None:
    found = request.headers.get("content-type", "")
    kind, options = parse_options_header(found)
    if kind != b"multipart/form-data":
        name = f"'{found[:60]}'" if found else "missing"
        raise UnsupportedContentTypeError(f"The content type is {name}; {limits.expected}.")
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise BadFormError(f"The content type names no boundary; {limits.expected}.")
    if len(boundary) > MAX_BOUNDARY_LENGTH:
        raise BadFormError(
            f"The boundary in the content type has {len(boundary)} bytes; the limit is {MAX_BOUNDARY_LENGTH} bytes."
        )


async def _limited_stream(request: Request, limits: FormLimits) -> AsyncGenerator[bytes, None]:
    """The body, as long as it is not larger than a form with the largest files can be."""
    largest = limits.size + _FORM_OVERHEAD
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > largest:
        raise _too_large(f"{int(declared)} bytes", limits)
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > largest:
            raise _too_large(f"more than {largest} bytes", limits)
        yield chunk


def _too_large(size: str, limits: FormLimits) -> UploadTooLargeError:
    """The error for an upload of so many bytes."""
    return UploadTooLargeError(f"The upload has {size}; the limit is {limits.size} bytes.")
