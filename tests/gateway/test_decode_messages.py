"""What the gateway tells a worker arrives as it was sent, whole files in one piece."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Sequence

import numpy as np
import pytest

from gateway.decode_messages import packed_work, receive_work
from gateway.uploaded_file import UploadedFile

PATIENCE = 10.0
"""A socket with a timeout gives what there is, as one does whose process is stopped in the middle."""


def received(sent: Sequence[bytes | bytearray | memoryview]) -> object:
    """What a worker makes of pieces that are sent one after the other, and then no more."""
    ours, theirs = socket.socketpair()

    def send() -> None:
        with ours:
            for piece in sent:
                ours.sendall(piece)

    with theirs:
        theirs.settimeout(PATIENCE)
        sender = threading.Thread(target=send)
        sender.start()
        try:
            return receive_work(theirs)
        finally:
            theirs.close()
            sender.join(PATIENCE)


@pytest.mark.parametrize("seed", range(5))
def test_files_arrive_in_order_and_whole_however_they_are_cut(seed: int) -> None:
    rng = np.random.default_rng(seed)
    contents = [rng.bytes(int(size)) for size in (0, 1, 5000, 300_000, int(rng.integers(1, 2_000_000)))]
    files = []
    for content in contents:
        cuts = [0, *sorted(rng.integers(0, len(content) + 1, 4).tolist()), len(content)]
        pieces = [memoryview(content)[start:end] for start, end in itertools.pairwise(cuts)]
        files.append(UploadedFile([bytearray(pieces[0]), *pieces[1:]]))
    assert [len(file) for file in files] == [len(content) for content in contents]
    assert [bytes(file) for file in files] == contents
    work = len, ([*files, b"plain bytes"], files[0], "face", 1.5), 2
    sent = b"".join(packed_work(work))
    step = int(rng.choice([7000, 100_000, len(sent)]))
    pieces = [memoryview(sent)[start : start + step] for start in range(0, len(sent), step)]
    assert received(pieces) == (len, ([*contents, b"plain bytes"], contents[0], "face", 1.5), 2)


def test_work_that_is_cut_off_is_no_work() -> None:
    sent = b"".join(packed_work(((UploadedFile([b"four"]),), 1)))
    assert received([sent]) == ((b"four",), 1)
    for length in range(len(sent)):
        with pytest.raises(EOFError):
            received([sent[:length]])
