"""A longer clip over time: a chart that grows, a table with the same numbers, and a clip that plays beside them."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from avemotion.preprocessing.contract import LABELS
from tests.frontend.steps import PREDICT, answer_again, answer_as, answer_with, choose, expect_state, press, wait_for
from tests.support.clips import synthetic_clip


def test_long_clip_is_answered_over_time_with_a_chart_and_a_table(page: Page, long_clip: Path) -> None:
    choose(page, long_clip)
    with page.expect_response(PREDICT) as response:
        press(page, "Estimate over time")
    expect_state(page, "timeline")
    assert response.value.headers["content-type"].startswith("application/x-ndjson")
    expect(page.locator("#timeline-title")).to_be_focused()
    expect(page.locator("#timeline-title")).to_contain_text("Mostly ")
    expect(page.get_by_role("img", name="Most expressed, by this estimate")).to_be_visible()
    expect(page.locator("#chart .curve")).to_have_count(len(LABELS))
    # Windows of three seconds begin every half second of five.
    page.get_by_text("All numbers as a table").click()
    rows = page.locator("#timeline-rows tr")
    expect(rows).to_have_count(5)
    for row in rows.all():
        numbers = [float(text.removesuffix("\u00a0%")) for text in row.locator("td").all_inner_texts()[1:]]
        assert sum(numbers) == pytest.approx(100, abs=0.5)
    page.evaluate("document.getElementById('timeline-player').currentTime = 2.5")
    wait_for(page, "Math.abs(document.getElementById('chart').style.getPropertyValue('--moment') - 0.5) < 0.02")
    expect(page.locator(".entry")).to_contain_text("Over time: mostly")
    press(page, "Back to the clip")
    expect_state(page, "review")


def test_short_clip_and_recordings_are_not_offered_over_time(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "short.webm"
    path.write_bytes(synthetic_clip(container="webm", video_codec="libvpx", audio_codec="libopus"))
    choose(page, path)
    wait_for(page, "document.getElementById('playback').readyState > 0")
    expect(page.get_by_role("button", name="Estimate over time")).to_be_hidden()


def test_timeline_that_fails_is_tried_again_as_one(page: Page, long_clip: Path) -> None:
    choose(page, long_clip)
    answer_with(page, 503, "model_unavailable", "Words of the server.")
    press(page, "Estimate over time")
    expect_state(page, "error")
    answer_again(page)
    press(page, "Send again")
    expect_state(page, "timeline")


def test_timeline_that_breaks_off_is_an_error(page: Page, long_clip: Path) -> None:
    choose(page, long_clip)
    start = '{"type": "start", "labels": [], "duration": 5, "step": 0.5}'
    error = '{"type": "error", "error": {"code": "model_unavailable", "message": "No model answers."}}'
    for body, title in (
        (f"{start}\n", "The server cannot be reached"),
        (f"{start}\n{error}\n", "The server is not ready"),
    ):
        answer_as(page, body, "application/x-ndjson")
        press(page, "Estimate over time")
        expect(page.locator("#error-title")).to_have_text(title)
        press(page, "Back to the clip")
