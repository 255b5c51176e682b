"""A form's bytes go when nobody needs them, and not when the garbage collector comes by."""

from __future__ import annotations

import gc
import weakref

import pytest

from gateway.forms import FormReader

PARTS = [b'--B\r\nContent-Disposition: form-data; name="file"; filename="clip"\r\n\r\n', b"bytes", b"\r\n--B--\r\n"]


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
