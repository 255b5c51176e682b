"""What a person does on the page, in a few words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, Route, expect

from avemotion.preprocessing.contract import LABELS
from tests.gateway.running import wait_until

HEADLINE = re.compile(rf"^({'|'.join(label.capitalize() for label in LABELS)}) – \d+\.\d\s%$")

PREDICT = re.compile(r"/api/predict(/\w+)?(\?.*)?$")
"""Addresses of everything that is sent."""

DOUBTFUL: dict[str, Any] = {
    "uncertain": True,
    "probs": [14.2, 12.1, 9.8, 11.0, 20.5, 12.9, 8.3, 11.2],
    "top1": {"label": "angry", "prob": 20.5},
}
"""What an answer says where every emotion is about as likely as the others."""

OPEN = "Agree and turn on the camera"


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def expect_state(page: Page, state: str) -> None:
    expect(page.locator("body")).to_have_attribute("data-state", state)


def wait_for(page: Page, condition: str) -> None:
    """Wait for a JavaScript condition; Playwright's own way evaluates strings in the page, which its policy forbids."""
    wait_until(lambda: bool(page.evaluate(condition)), condition)


def turn_camera_on(page: Page) -> None:
    press(page, OPEN)
    expect_state(page, "ready")


def move_clock(page: Page, seconds: float) -> None:
    """Let a countdown of the page pass without waiting for it."""
    page.evaluate("seconds => window.testClock.move(seconds)", seconds)


def record(page: Page) -> None:
    """From the open camera to the recording that can be sent; the countdown is skipped, the recording is not."""
    press(page, "Record")
    expect_state(page, "countdown")
    move_clock(page, 3)
    expect_state(page, "recording")
    expect_state(page, "review")


def choose(page: Page, clip: Path) -> None:
    page.get_by_label("Choose a clip").set_input_files(clip)
    expect_state(page, "review")


def send(page: Page, clip: Path) -> None:
    choose(page, clip)
    press(page, "Estimate")


def estimate(page: Page) -> dict[str, Any]:
    """Send what is under review, and what the server answers."""
    with page.expect_response(PREDICT) as response:
        press(page, "Estimate")
    expect_result(page)
    answer: dict[str, Any] = response.value.json()
    return answer


def bars(page: Page) -> Locator:
    return page.get_by_role("list", name="Probability of each emotion").get_by_role("listitem")


def expect_result(page: Page) -> None:
    expect_state(page, "result")
    expect(page.locator("#result-title")).to_have_text(HEADLINE)
    expect(page.locator("#result-title")).to_be_focused()
    expect(bars(page)).to_have_count(len(LABELS))


def answer_with(page: Page, status: int, code: str, message: str, **headers: str) -> None:
    """Let the next requests fail as the gateway would."""
    body = {"error": {"code": code, "message": message, "request_id": "1"}}
    _route(
        page,
        lambda route: route.fulfill(
            status=status, headers=headers, content_type="application/json", body=json.dumps(body)
        ),
    )


def answer_as(page: Page, body: str, content_type: str = "application/json") -> None:
    """Let the next requests be answered so."""
    _route(page, lambda route: route.fulfill(body=body, content_type=content_type))


def never_answer(page: Page) -> None:
    """Let the next requests hang."""
    _route(page, lambda _: None)


def answer_again(page: Page) -> None:
    """Let requests through to the gateway."""
    page.unroute(PREDICT)


def _route(page: Page, handler: Callable[[Route], Any]) -> None:
    page.unroute(PREDICT)
    page.route(PREDICT, handler)
