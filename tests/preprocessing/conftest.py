"""Where a test is about decoding, detection must not decide what is cropped."""

from __future__ import annotations

import pytest

from avemotion.preprocessing.face import Person
from avemotion.preprocessing.face_detector import FaceBox


@pytest.fixture
def face_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A face as large as the frame is found in every window, so that the square at the centre is cropped."""
    monkeypatch.setattr("avemotion.preprocessing.face.find_people", lambda *_: [Person({4: FaceBox(0, 0, 1, 1)})])
