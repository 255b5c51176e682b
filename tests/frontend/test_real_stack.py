"""What takes more than one prediction, by the committed model in the real Triton."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.frontend.conftest import RealStack, opened
from tests.frontend.steps import choose, estimate, expect_state, press
from tests.gateway.running import PATIENCE


def test_timeline_shows_what_the_model_says_of_each_window(browser: Browser, real: RealStack, long_clip: Path) -> None:
    files, step = {"file": long_clip.read_bytes()}, {"step": 0.5}
    answer = httpx.post(f"{real.address}/predict/timeline", params=step, files=files, timeout=PATIENCE)
    expected = answer.raise_for_status().json()
    with opened(browser, real.address) as page:
        choose(page, long_clip)
        press(page, "Estimate over time")
        expect_state(page, "timeline")
        page.get_by_text("All numbers as a table").click()
        expect(page.locator("#timeline-model")).to_contain_text("emotion_int8")
        rows = page.locator("#timeline-rows tr")
        expect(rows).to_have_count(len(expected["rows"]))
        for row, wanted in zip(rows.all(), expected["rows"], strict=True):
            shown = [float(text.removesuffix("\u00a0%")) for text in row.locator("td").all_inner_texts()[1:]]
            assert shown == pytest.approx(wanted["probs"], abs=0.051)


def test_companion_puts_the_result_in_words_where_that_is_asked_for(
    browser: Browser, real: RealStack, long_clip: Path
) -> None:
    real.companion.requests.clear()
    with opened(browser, real.address) as page:
        choose(page, long_clip)
        unexplained = estimate(page)
        assert unexplained["explanation"] is None
        assert real.companion.requests == []
        label = unexplained["top1"]["label"]
        real.companion.text = f"{label.capitalize()} comes first; this is an estimate of what is expressed."
        press(page, "Back to the clip")
        page.get_by_label("Put the result in words").check()
        answer = estimate(page)
        expect(page.locator("#explanation")).to_have_text(real.companion.text)
        [asked] = real.companion.requests
        told = " ".join(message["content"] for message in asked["messages"])
        assert answer["top1"]["label"] in told

        # A companion that fails costs the words and nothing else.
        real.companion.status = 500
        press(page, "Back to the clip")
        assert estimate(page)["probs"] == pytest.approx(answer["probs"], abs=1e-3)
        expect(page.locator("#explained")).to_be_hidden()
        real.companion.status = 200
