"""A form's bytes are those that were sent, take no more memory than they are, and go when nobody needs them."""

from __future__ import annotations

import gc
import tracemalloc
import weakref

import numpy as np
import pytest
from python_multipart.multipart import MAX_BOUNDARY_LENGTH

from gateway.errors import BadFormError
from gateway.forms import FormReader

PARTS = [b'--B\r\nContent-Disposition: form-data; name="file"; filename="clip"\r\n\r\n', b"bytes", b"\r\n--B--\r\n"]


def read_in_chunks(content: bytes, boundary: bytes, sizes: list[int]) -> bytes:
    """What a reader makes of a file that arrives in chunks of these sizes, the last of which is repeated."""
    reader = FormReader(boundary)
    head, _, end = (part.replace(b"--B", b"--" + boundary) for part in PARTS)
    form = head + content + end
    position = 0
    for size in [*sizes, *[sizes[-1]] * (len(form) // sizes[-1] + 1)]:
        if position < len(form):
            reader.feed(form[position : position + size])
            position += size
    (part,) = reader.finish()
    reader.close()
    return bytes(part.content())


@pytest.mark.parametrize("seed", range(20))
def test_a_file_is_what_was_sent_however_it_arrives(seed: int) -> None:
    rng = np.random.default_rng(seed)
    boundary = b"B" * int(rng.choice([1, 60, MAX_BOUNDARY_LENGTH]))
    parts = [rng.bytes(int(rng.integers(0, 20_000))), b"\r\n--" + boundary[:-1], b"\r", b"\r\n--", rng.bytes(9000)]
    content = b"".join(parts[int(index)] for index in rng.integers(0, len(parts), 12))
    sizes = [int(size) for size in rng.choice([1, 7, 100, 4095, 4096, 50_000], 6)]
    assert read_in_chunks(content, boundary, sizes) == content


def test_a_file_in_tiny_chunks_takes_no_more_memory_than_in_large_ones() -> None:
    content = np.random.default_rng(0).bytes(2**19)
    peaks = []
    for size in (2**16, 7):
        tracemalloc.start()
        assert read_in_chunks(content, b"B", [size]) == content
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_a_boundary_beyond_what_the_parser_takes_is_refused_by_name() -> None:
    FormReader(b"B" * MAX_BOUNDARY_LENGTH).close()
    with pytest.raises(BadFormError, match=f"has {MAX_BOUNDARY_LENGTH + 1} bytes; the limit is {MAX_BOUNDARY_LENGTH}"):
        FormReader(b"B" * (MAX_BOUNDARY_LENGTH + 1))


@pytest.mark.parametrize("received", [2, 3], ids=["cut off", "complete"])
def test_upload_is_released_at_once(received: int) -> None:
    gc.disable()
    try:
        reader = FormReader(b"B")
        for part in PARTS[:received]:
            reader.feed(part)
        kept = weakref.ref(reader)
        reader.close()
        del reader
        assert kept() is None
    finally:
        gc.enable()
