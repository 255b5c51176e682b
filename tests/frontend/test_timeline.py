"""A longer clip over time: a chart that grows, a table with the same numbers, and a clip that plays beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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
    expect(page.locator("#timeline-face")).to_be_visible()
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


def test_doubtful_and_empty_stretches_are_marked_in_headline_sentence_and_curves(page: Page, long_clip: Path) -> None:
    model = {"model": "some", "model_version": "1"}
    head = {"type": "start", "labels": ["calm", "happy"], "duration": 5, "step": 0.5, **model}
    common = {"type": "row", "face": None, "uncertain": True}
    rows: list[dict[str, Any]] = [
        common | {"start": number / 2, "end": number / 2 + 3, "probs": None, "top1": None} for number in range(5)
    ]
    for number in (0, 1):
        rows[number] |= {"probs": [55, 45], "top1": {"label": "calm", "prob": 55}}
    lines = [head, *rows, {"type": "end", "rows": 5, "timings_ms": {}}]
    answer_as(page, "".join(f"{json.dumps(line)}\n" for line in lines), "application/x-ndjson")
    choose(page, long_clip)
    press(page, "Estimate over time")
    expect_state(page, "timeline")
    expect(page.locator("#timeline-title")).to_have_text("Mostly nobody, otherwise calm")
    expect(page.locator("#timeline-summary")).to_contain_text("perhaps calm from 0.0 to 2.3\u00a0s")
    expect(page.locator("#timeline-summary")).to_contain_text("Nobody was seen or heard from 2.3 to 5.0\u00a0s.")
    expect(page.locator("#chart .curve .doubt")).to_have_count(2)
    for line in page.locator("#chart .curve .line").all():
        assert float(str(line.get_attribute("d")).split()[-2]) == pytest.approx(2.25)
    expect(page.locator("#timeline-face")).to_be_hidden()
