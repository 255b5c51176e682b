"""Every error has an answer, and the documentation lists them all."""

from __future__ import annotations

import re
from pathlib import Path

import gateway.errors
from avemotion.preprocessing.errors import EmotionError, MediaError
from gateway.errors import POLICIES, InsecureSettingsError, policy_of

DOCUMENT = Path(__file__).parents[2] / "docs" / "API.md"


def subclasses(base: type[EmotionError]) -> set[type[EmotionError]]:
    found = set(base.__subclasses__())
    return found.union(*(subclasses(each) for each in found))


def test_every_error_of_gateway_and_media_has_its_own_answer() -> None:
    ours = {error for error in subclasses(EmotionError) if error.__module__ == gateway.errors.__name__}
    ours.remove(InsecureSettingsError)  # ends the start: no client ever gets it
    for error in ours | subclasses(MediaError):
        assert error.code in POLICIES, error


def test_new_media_error_is_answered_like_its_base() -> None:
    class NovelError(MediaError):
        code = "novel"

    assert policy_of(NovelError("x")).status == 422


def test_error_of_elsewhere_is_internal() -> None:
    class ElsewhereError(EmotionError):
        code = "elsewhere"

    assert policy_of(ElsewhereError("x")).status == 500


def test_document_lists_every_error_with_its_status() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (.*?) \|$", DOCUMENT.read_text(), re.MULTILINE)
    assert rows == [(code, str(policy.status), policy.meaning) for code, policy in POLICIES.items()]
