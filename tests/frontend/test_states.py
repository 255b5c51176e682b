"""Every state of the page, wide and light, narrow and dark: axe finds nothing, nothing sticks out, pictures are kept.

The pictures lie in test-artifacts/frontend, for people to look at.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from avemotion.preprocessing.contract import FRAME_COUNT
from tests.frontend.conftest import opened
from tests.frontend.steps import (
    DOUBTFUL,
    OPEN,
    answer_again,
    answer_as,
    answer_with,
    choose,
    estimate,
    expect_result,
    expect_state,
    move_clock,
    never_answer,
    press,
    wait_for,
)
from tests.frontend.tools import ROOT, tool
from tests.support.clips import synthetic_clip

PICTURES = ROOT / "test-artifacts" / "frontend"
LOOKS = {"wide-light": (1280, 800), "narrow-dark": (320, 640)}
"""Colours differ between schemes, and what there is between widths: two looks show both."""


class Looker:
    """Looks at the page in the state it is in."""

    def __init__(self, page: Page, axe: Path) -> None:
        self._page = page
        page.evaluate(axe.read_text() + "; null")

    def look(self, name: str) -> None:
        for look, (width, height) in LOOKS.items():
            self._page.set_viewport_size({"width": width, "height": height})
            self._page.emulate_media(color_scheme="dark" if look.endswith("dark") else "light")
            assert self._page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} sticks out"
            self._page.screenshot(path=PICTURES / f"{name}-{look}.png", full_page=True)
            self._expect_no_violations(f"{name}, {look}")

    def _expect_no_violations(self, where: str) -> None:
        found = self._page.evaluate(
            """async () => (await axe.run({resultTypes: ["violations"]})).violations.flatMap(
              (violation) => violation.nodes.map((node) => `${violation.id}: ${node.html} ${node.failureSummary}`))"""
        )
        assert found == [], where


@pytest.fixture
def page(browser: Browser, gateway: httpx.Client) -> Iterator[Page]:
    with opened(browser, str(gateway.base_url), reduced_motion="reduce") as page:
        yield page


def test_every_state_is_accessible_and_fits_every_window(page: Page) -> None:
    looker = Looker(page, tool("axe-core/axe.min.js"))
    looker.look("idle")

    page.evaluate(
        """() => {
          const media = navigator.mediaDevices;
          const open = media.getUserMedia.bind(media);
          media.getUserMedia = (wish) => new Promise((resolve) => {
            window.allow = () => { media.getUserMedia = open; resolve(open(wish)); };
          });
        }"""
    )
    press(page, OPEN)
    expect_state(page, "permission")
    looker.look("permission")
    page.evaluate("allow()")
    expect_state(page, "ready")
    wait_for(page, "document.getElementById('preview').videoWidth > 0")
    looker.look("ready")

    page.evaluate("testClock.stop()")
    press(page, "Record")
    expect_state(page, "countdown")
    move_clock(page, 1.5)
    expect(page.locator("#number")).to_have_text("2")
    looker.look("countdown")
    move_clock(page, 1.5)
    expect_state(page, "recording")
    expect(page.locator("#seconds")).to_have_text("3.0 s")
    move_clock(page, 2)
    expect(page.locator("#seconds")).to_have_text("1.0 s")
    looker.look("recording")
    # The page records a little longer than it says, and its drawings need real time.
    page.evaluate("testClock.run()")
    move_clock(page, 1)
    expect_state(page, "review")
    wait_for(page, "document.getElementById('playback').readyState > 1")
    looker.look("review")

    never_answer(page)
    press(page, "Estimate")
    expect_state(page, "uploading")
    looker.look("uploading")
    press(page, "Cancel")

    answer_with(page, 429, "rate_limited", "The limit of 60 requests per minute is reached.", **{"Retry-After": "20"})
    press(page, "Estimate")
    expect_state(page, "error")
    looker.look("error-pause")
    move_clock(page, 20)
    answer_with(page, 401, "unauthorized", "This server asks for an API key in the header X-API-Key.")
    press(page, "Send again")
    expect(page.get_by_label("API key", exact=True)).to_be_visible()
    looker.look("error-key")

    answer_again(page)
    page.get_by_label("API key", exact=True).fill("any")
    press(page, "Send with this key")
    expect_result(page)
    page.get_by_text("Timings and model").click()
    looker.look("result")


def test_every_state_of_a_file_is_accessible_and_fits_every_window(page: Page, long_clip: Path, tmp_path: Path) -> None:
    looker = Looker(page, tool("axe-core/axe.min.js"))
    page.route("**/api/models", lambda route: route.fulfill(json=_with_another_model(route.fetch().json())))
    choose(page, long_clip)
    expect(page.get_by_role("button", name="Estimate over time")).to_be_visible()
    looker.look("file")

    answer = estimate(page)
    answer_as(page, json.dumps(answer | DOUBTFUL | {"explanation": "The face and the voice differ."}))
    press(page, "Back to the clip")
    estimate(page)
    expect(page.locator("#attention-pictures img")).to_have_count(FRAME_COUNT)
    looker.look("result-uncertain")

    press(page, "Back to the clip")
    never_answer(page)
    press(page, "Estimate over time")
    expect_state(page, "tracking")
    looker.look("tracking")
    press(page, "Cancel")

    answer_again(page)
    press(page, "Estimate over time")
    expect_state(page, "timeline")
    page.get_by_text("All numbers as a table").click()
    looker.look("timeline")

    voice = tmp_path / "voice.wav"
    voice.write_bytes(synthetic_clip(container="wav", video_codec=None))
    choose(page, voice)
    estimate(page)
    looker.look("result-voice")


def _with_another_model(answer: dict[str, Any]) -> dict[str, Any]:
    [model] = answer["models"]
    return {"models": [model, model | {"name": "another", "default": False}]}
