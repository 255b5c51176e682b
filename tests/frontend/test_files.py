"""A file instead of a recording, and what is done with the results."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from avemotion.preprocessing.contract import FRAME_COUNT, LABELS
from loadtest import drawn_face
from tests.frontend.steps import DOUBTFUL, answer_as, bars, choose, estimate, expect_result, expect_state, press, send
from tests.support.clips import drawing, synthetic_clip

MADE_UP = "These numbers are made up: the server runs without a model."


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mkv"
    path.write_bytes(synthetic_clip())
    return path


def test_chosen_file_is_answered_with_bars_branches_and_attention(page: Page, clip: Path) -> None:
    send(page, clip)
    expect_result(page)
    top = bars(page).and_(page.locator(".top"))
    headline = page.locator("#result-title").inner_text().replace("\u00a0", " ")
    assert top.inner_text().split() == headline.replace("– ", "").split()
    expect(page.locator("#branches tr")).to_have_count(len(LABELS))
    expect(page.locator("#branches .number")).to_have_count(2 * len(LABELS))
    expect(page.locator("#attention-pictures li")).to_have_count(FRAME_COUNT)
    expect(page.locator("#basis")).to_have_text("Face and voice together")
    expect(page.locator("#notes li")).to_have_text([MADE_UP])
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


def test_the_box_lies_around_the_face_in_whole_pictures(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "face.webm"
    path.write_bytes(drawn_face.clip(3.0, 320, 180))
    send(page, path)
    expect_result(page)
    expect(page.locator("#attention-summary")).to_contain_text("The box marks the face.")
    frames = page.locator("#attention-pictures .framed")
    expect(frames).to_have_count(FRAME_COUNT)
    for frame in frames.all():
        picture, box = (frame.locator(part).bounding_box() for part in ("img", ".face-box"))
        assert picture is not None
        assert box is not None
        assert picture["width"] / picture["height"] == pytest.approx(320 / 180, rel=0.05)
        # The drawn face stands in the middle, and its chin and forehead are where `drawn_face` draws them.
        assert (box["x"] + box["width"] / 2 - picture["x"]) / picture["width"] == pytest.approx(0.5, abs=0.08)
        assert 0.35 < box["height"] / picture["height"] < 0.9


def test_an_answer_by_one_of_both_says_so_and_several_people_are_told(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "face.webm"
    path.write_bytes(drawn_face.clip(3.0, 320, 180))
    choose(page, path)
    answer = estimate(page)
    note = "2 people were seen: the answer is about the most prominent one."
    alone = {"modalities": {"video": True, "audio": False}, "missing": {"audio": "No voice was heard."}}
    answer_as(page, json.dumps(answer | alone | {"audio_probs": None, "faces": 2, "note": note}))
    send(page, path)
    expect(page.locator("#basis")).to_have_text("The face alone")
    expect(page.locator("#notes li")).to_have_text([MADE_UP, note, "No voice was heard."])


def test_clip_without_sound_says_so_and_shows_no_voice(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "silent.mkv"
    path.write_bytes(synthetic_clip(audio_codec=None))
    send(page, path)
    expect_result(page)
    expect(page.locator("#notes")).to_contain_text("no audio track")
    expect(page.locator("#branches-summary")).to_contain_text("There was no voice to go by.")
    expect(page.locator("#branches .absent")).to_have_count(len(LABELS))


def test_clip_without_picture_shows_no_attention(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "voice.wav"
    path.write_bytes(synthetic_clip(container="wav", video_codec=None))
    send(page, path)
    expect_result(page)
    expect(page.locator("#attention")).to_be_hidden()
    expect(page.locator("#basis")).to_have_text("The voice alone")
    expect(page.locator("#branches-summary")).to_contain_text("There was no face to go by.")


def test_dark_clip_is_told_what_to_do(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "dark.mkv"
    path.write_bytes(synthetic_clip(picture=lambda *frame: drawing(*frame) // 5))
    send(page, path)
    expect_result(page)
    expect(page.locator("#notes")).to_contain_text("too dark")


def test_uncertain_answer_is_shown_as_a_guess(page: Page, clip: Path) -> None:
    choose(page, clip)
    answer = estimate(page)
    for shown in (answer | DOUBTFUL, answer | DOUBTFUL | {"uncertain": False}):
        answer_as(page, json.dumps(shown))
        press(page, "Back to the clip")
        estimate(page)
        expect(page.get_by_text("Uncertain", exact=True)).to_be_visible(visible=shown["uncertain"])


def test_explanation_is_offered_asked_for_and_shown(page: Page, clip: Path) -> None:
    page.route("**/api/contract", lambda route: route.fulfill(json=_with_explain(route.fetch().json())))
    page.reload()
    choose(page, clip)
    answer = estimate(page)
    expect(page.locator("#explained")).to_be_hidden()
    press(page, "Back to the clip")
    page.get_by_label("Put the result in words").check()
    answer_as(page, json.dumps(answer | {"explanation": "In words."}))
    with page.expect_request(re.compile(r"/predict\?explain=true$")):
        press(page, "Estimate")
    expect_result(page)
    expect(page.locator("#explanation")).to_have_text("In words.")


def _with_explain(contract: dict[str, Any]) -> dict[str, Any]:
    return contract | {"features": contract["features"] | {"explain": True}}


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
    other.write_bytes(synthetic_clip(audio_codec=None))
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
