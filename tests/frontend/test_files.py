"""A file instead of a recording, and what is done with the results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from preprocessing.contract import FRAME_COUNT, LABELS
from tests.frontend.steps import bars, choose, expect_result, expect_state, press, send
from tests.support.clips import draw


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mkv"
    path.write_bytes(draw())
    return path


def test_chosen_file_is_answered_with_bars_branches_and_attention(page: Page, clip: Path) -> None:
    send(page, clip)
    expect_result(page)
    top = bars(page).and_(page.locator(".top"))
    headline = page.locator("#result-title").inner_text().replace("\u00a0", " ")
    assert top.inner_text().split() == headline.replace("– ", "").split()
    expect(page.locator("#branches tr")).to_have_count(len(LABELS))
    expect(page.locator("#branches .number")).to_have_count(2 * len(LABELS))
    expect(page.locator("#attention-columns li")).to_have_count(FRAME_COUNT)
    expect(page.locator("#notes")).to_contain_text("No face was found")
    expect(page.locator("#result-clip")).to_have_text("clip.mkv")


def test_lengths_of_the_bars_are_the_numbers_beside_them(page: Page, clip: Path) -> None:
    send(page, clip)
    expect_result(page)
    for row in bars(page).all():
        number = float(row.locator(".number").inner_text().removesuffix("\u00a0%"))
        share = row.locator(".bar").evaluate(
            "bar => 100 * parseFloat(getComputedStyle(bar, '::before').width) / bar.getBoundingClientRect().width"
        )
        assert share == pytest.approx(number, abs=0.5)


def test_clip_without_sound_says_so_and_shows_no_voice(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "silent.mkv"
    path.write_bytes(draw(audio_codec=None))
    send(page, path)
    expect_result(page)
    expect(page.locator("#notes")).to_contain_text("no audio track")
    expect(page.locator("#branches-summary")).to_contain_text("There was no voice to go by.")
    expect(page.locator("#branches .absent")).to_have_count(len(LABELS))


def test_clip_without_picture_shows_no_attention(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "voice.wav"
    path.write_bytes(draw(container="wav", video_codec=None))
    send(page, path)
    expect_result(page)
    expect(page.locator("#attention")).to_be_hidden()
    expect(page.locator("#branches-summary")).to_contain_text("There was no face to go by.")


def test_dropped_file_is_taken_and_the_page_stays(page: Page, clip: Path) -> None:
    transfer = page.evaluate_handle(
        """bytes => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(bytes)], "dropped.mkv"));
          return transfer;
        }""",
        list(clip.read_bytes()[:4096]),
    )
    page.dispatch_event("body", "dragover", {"dataTransfer": transfer})
    expect(page.locator("#drop")).to_contain_class("over")
    page.dispatch_event("body", "drop", {"dataTransfer": transfer})
    expect_state(page, "review")
    expect(page.locator("#clip-name")).to_contain_text("dropped.mkv")
    expect(page.locator("#drop")).not_to_contain_class("over")


def test_discarded_file_is_forgotten_and_can_be_chosen_again(page: Page, clip: Path) -> None:
    choose(page, clip)
    press(page, "Discard")
    expect_state(page, "idle")
    choose(page, clip)


def test_results_are_listed_reopened_exported_and_forgotten(page: Page, clip: Path, tmp_path: Path) -> None:
    expect(page.locator("#history")).to_be_hidden()
    other = tmp_path / "other.mkv"
    other.write_bytes(draw(audio_codec=None))
    send(page, clip)
    expect_result(page)
    first = page.locator("#result-title").inner_text()
    send(page, other)
    expect_result(page)
    expect(page.locator(".entry")).to_have_count(2)
    page.locator(".entry", has_text="clip.mkv").click()
    expect(page.locator("#result-title")).to_have_text(first)
    with page.expect_download() as download:
        press(page, "Export as JSON")
    exported = json.loads(download.value.path().read_text())
    assert [entry["clip"] for entry in exported] == ["other.mkv", "clip.mkv"]
    assert exported[0]["answer"]["audio_probs"] is None
    press(page, "Forget all")
    expect(page.locator("#history")).to_be_hidden()
    page.reload()
    expect(page.locator("#history")).to_be_hidden()
