"""Take the pictures of the page for the README: `make page-pictures`. The face is drawn, the model is real."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import Page, expect, sync_playwright

from avemotion.preprocessing.contract import FRAME_COUNT
from loadtest import drawn_face
from tests.frontend.camera import make_fake_camera
from tests.frontend.conftest import CLOCK, PATIENCE_MILLISECONDS, UNHURRIED
from tests.frontend.steps import choose, estimate, expect_state, press, record, turn_camera_on, wait_for
from tests.frontend.tools import ROOT
from tests.stack.running import stack
from tests.support.tools import find, programs

FOLDER = ROOT / "docs" / "images"
QUALITY = 80


def main() -> int:
    """Record, predict, and write the pictures; the exit code is 2 where there is no Chromium."""
    chromium = find("chromium")
    if chromium is None:
        print(programs()["chromium"].reason, file=sys.stderr)
        return 2
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright, stack(**UNHURRIED) as running:
        folder = Path(name)
        running.wait_for("Ready (")
        camera = make_fake_camera(folder, drawn=True)
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", *camera.arguments])
        context = browser.new_context(viewport={"width": 1040, "height": 800}, permissions=["camera", "microphone"])
        context.set_default_timeout(PATIENCE_MILLISECONDS)
        context.add_init_script(path=CLOCK)
        page = context.new_page()
        page.goto(running.address)
        turn_camera_on(page)
        record(page)
        estimate(page)
        expect(page.locator("#attention-pictures img")).to_have_count(FRAME_COUNT)
        _take(page, "#result", "result")
        clip = folder / "drawn.webm"
        clip.write_bytes(drawn_face.clip(7.0))
        page.emulate_media(color_scheme="dark")
        choose(page, clip)
        press(page, "Estimate over time")
        expect_state(page, "timeline")
        wait_for(page, "document.getElementById('timeline-player').readyState > 2")
        _take(page, "section:has(#chart)", "timeline")
        browser.close()
        running.interrupt()
    return 0


def _take(page: Page, part: str, name: str) -> None:
    """Write a picture of a part of the page, as WebP."""
    shot = np.frombuffer(page.locator(part).screenshot(), np.uint8)
    picture = cv2.imdecode(shot, cv2.IMREAD_COLOR)
    assert picture is not None
    path = FOLDER / f"{name}.webp"
    cv2.imwrite(str(path), picture, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
    height, width = picture.shape[:2]
    print(f"{path.relative_to(ROOT)}: {width} x {height}, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    sys.exit(main())
