"""Reading uploaded forms, with their limits checked while they arrive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from gateway.deadline import Deadline
from gateway.errors import (
    BadFormError,
    MissingFileError,
    TooManyFilesError,
    UnsupportedContentTypeError,
    UploadTimeoutError,
    UploadTooLargeError,
)
from gateway.forms import FormPart, FormReader
from gateway.settings import Settings
from gateway.uploaded_file import UploadedFile

FILE_FIELD = "file"
"""Name of the form field that holds a clip."""

FILES_FIELD = "files"
"""Name of the form field that is repeated for each clip of a batch."""

_FORM_OVERHEAD = 64 * 1024
"""Bytes that boundaries, headers and small fields may take beside the files."""


@dataclass(frozen=True)
class FormLimits:
    """What a form may be.

    Attributes:
        expected: What to send, for messages.
        size: Most bytes of all files together.
        parts: Most parts.
        deadline: When it must be there.
    """

    expected: str
    size: int
    parts: int
    deadline: Deadline


async def read_clip(request: Request, settings: Settings, deadline: Deadline) -> UploadedFile:
    """The one clip in a request.

    Args:
        request: A request whose body has not been read.
        settings: The limits of size.
        deadline: When it must be there.

    Raises:
        UnsupportedContentTypeError: The body is no multipart form.
        BadFormError: The form is broken.
        MissingFileError: The form has no file in the expected field.
        UploadTooLargeError: The clip, or the form around it, is too large.
        UploadTimeoutError: The body did not arrive in time.
    """
    expected = f"send the clip as a file in the field '{FILE_FIELD}' of a multipart/form-data form"
    limits = FormLimits(expected, settings.upload_limit, 10, deadline)
    parts = await read_form(request, limits)
    files = files_in(parts, FILE_FIELD, limits)
    if len(files) > 1:
        raise BadFormError(f"The form has {len(files)} fields '{FILE_FIELD}'; the limit is 1 clip.")
    if len(files[0]) > limits.size:
        raise too_large(f"{len(files[0])} bytes", limits)
    return files[0]


async def read_batch(request: Request, settings: Settings, deadline: Deadline) -> list[UploadedFile]:
    """Each clip in a request, in order.

    Args:
        request: A request whose body has not been read.
        settings: The limits of size.
        deadline: When it must be there.

    Raises:
        TooManyFilesError: There are more clips than the limit.
        EmotionError: As with `read_clip`.
    """
    most = settings.batch_limit
    expected = f"send each clip as a file in a field '{FILES_FIELD}' of a multipart/form-data form"
    limits = FormLimits(expected, settings.batch_upload_limit, 2 * most + 10, deadline)
    files = files_in(await read_form(request, limits), FILES_FIELD, limits)
    if len(files) > most:
        raise TooManyFilesError(f"The form has {len(files)} clips; the limit of a batch is {most}.")
    size = sum(map(len, files))
    if size > limits.size:
        raise too_large(f"{size} bytes", limits)
    return files


async def read_form(request: Request, limits: FormLimits) -> list[FormPart]:
    """The parts of a multipart form.

    Args:
        request: A request whose body has not been read.
        limits: What the form may be. Its files may still be a little larger: boundaries are not counted apart.

    Raises:
        UnsupportedContentTypeError: The body is no multipart form.
        BadFormError: The form is broken, or has too many parts.
        UploadTooLargeError: The form is too large.
        UploadTimeoutError: The body did not arrive in time.
    """
    reader = FormReader(_boundary(request, limits), most_parts=limits.parts)
    try:
        async with asyncio.timeout(limits.deadline.remaining()):
            async for chunk in _limited(request, limits):
                reader.feed(chunk)
        return reader.finish()
    except TimeoutError:
        raise UploadTimeoutError(
            f"The upload did not arrive within {limits.deadline.seconds:g} s, the limit."
        ) from None
    finally:
        reader.close()


def files_in(parts: list[FormPart], field: str, limits: FormLimits) -> list[UploadedFile]:
    """The files in a field of a form, at least one.

    Args:
        parts: The parts of the form.
        field: Name of the field.
        limits: What was expected.

    Raises:
        MissingFileError: There is none.
    """
    found = [part for part in parts if part.name == field]
    if not found:
        names = ", ".join(f"'{part.name[:40]}'" for part in parts[:5])
        listed = f"only {names}" if names else "no field at all"
        raise MissingFileError(f"The form has {listed}; {limits.expected}.")
    if not all(part.is_file for part in found):
        raise MissingFileError(f"The field '{field}' holds text and no file; {limits.expected}.")
    return [part.content() for part in found]


def _boundary(request: Request, limits: FormLimits) -> bytes:
    found = request.headers.get("content-type", "")
    kind, options = parse_options_header(found)
    if kind != b"multipart/form-data":
        name = f"'{found[:60]}'" if found else "missing"
        raise UnsupportedContentTypeError(f"The content type is {name}; {limits.expected}.")
    if not options.get(b"boundary"):
        raise BadFormError(f"The content type names no boundary; {limits.expected}.")
    return options[b"boundary"]


async def _limited(request: Request, limits: FormLimits) -> AsyncIterator[bytes]:
    """The body, as long as it is not larger than a form with the largest files can be."""
    largest = limits.size + _FORM_OVERHEAD
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > largest:
        raise too_large(f"{int(declared)} bytes", limits)
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > largest:
            raise too_large(f"more than {largest} bytes", limits)
        yield chunk


def too_large(size: str, limits: FormLimits) -> UploadTooLargeError:
    """The error for an upload of so many bytes."""
    return UploadTooLargeError(f"The upload has {size}; the limit is {limits.size} bytes.")
