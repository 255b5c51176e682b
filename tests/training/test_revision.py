"""Files name the commit of their code, and can be written without git."""

from __future__ import annotations

import re

import pytest

from training.revision import checked_out_commit


def test_a_checkout_has_a_commit() -> None:
    assert re.fullmatch("[0-9a-f]{40}", checked_out_commit())


def test_a_container_without_git_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert checked_out_commit() == "unknown"
