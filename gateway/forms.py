"""A multipart form with its files, kept in memory.

Starlette's own parser writes files to temporary ones. Here a disk is never touched: nothing of an upload remains.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MAX_BOUNDARY_LENGTH, parse_options_header

from gateway.errors import BadFormError
from gateway.uploaded_file import UploadedFile

_SMALLEST_VIEW: Final = 4096
"""Pieces of so many bytes are kept where they arrived. Smaller ones are copied together: a view takes memory, too."""


@dataclass
class FormPart:
    """One field of a form.

    Attributes:
        name: Name of the field.
        is_file: Whether the part carries a file name, as files do and text does not.
    """

    name: str
    is_file: bool
    _pieces: list[bytearray | memoryview] = field(default_factory=list)

    def add(self, data: bytes, start: int, end: int) -> None:
        """Add a range of a chunk that has arrived to the content."""
        piece = memoryview(data)[start:end]
        if len(piece) >= _SMALLEST_VIEW:
            self._pieces.append(piece)
        elif self._pieces and isinstance(self._pieces[-1], bytearray):
            self._pieces[-1] += piece
        else:
            self._pieces.append(bytearray(piece))

    def content(self) -> UploadedFile:
        """What the part holds."""
        return UploadedFile(self._pieces)


class FormReader:
    """Takes a form's bytes as they arrive, and gives its parts."""

    def __init__(self, boundary: bytes, *, most_parts: int = 10) -> None:
        """Start with nothing.

        Args:
            boundary: The boundary that the content type names.
            most_parts: Most parts that the form may have.

        Raises:
            BadFormError: The boundary is too long.
        """
        if len(boundary) > MAX_BOUNDARY_LENGTH:
            raise BadFormError(
                f"The boundary that the content type names has {len(boundary)} bytes; the limit is "
                f"{MAX_BOUNDARY_LENGTH} bytes."
            )
        self._most_parts = most_parts
        self._parts: list[FormPart] = []
        self._header_name = b""
        self._header_value = b""
        self._disposition = b""
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": self._add_header_name,
                "on_header_value": self._add_header_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._add_data,
                "on_end": self._end,
            },
        )

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            BadFormError: They are no multipart form, or one with too many parts.
        """
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise BadFormError(
                "The body is no multipart form with the boundary that its content type names."
            ) from error

    def finish(self) -> list[FormPart]:
        """The parts, once all bytes are there.

        Raises:
            BadFormError: The form is cut off.
        """
        if not self._ended:
            raise BadFormError("The form is cut off: it ends before its closing boundary.")
        return self._parts

    def close(self) -> None:
        """Let go of everything: parser and reader refer to each other, which would keep uploads until a collection."""
        self._parser.callbacks = {}
        self._parts = []

    def _begin_part(self) -> None:
        self._disposition = b""

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value
        self._header_name = self._header_value = b""

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"name" not in options:
            raise BadFormError("The form has a part without a name in its Content-Disposition.")
        if len(self._parts) == self._most_parts:
            raise BadFormError(f"The form has more than {self._most_parts} parts, the limit.")
        self._parts.append(FormPart(options[b"name"].decode("utf-8", "replace"), b"filename" in options))

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        self._parts[-1].add(data, start, end)

    def _end(self) -> None:
        self._ended = True
