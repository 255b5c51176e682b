"""Measure the page by Lighthouse, as nginx serves it before a gateway: `make lighthouse`.

Slow, and its performance score depends on the machine, so it is no test of CI. Reports:
test-artifacts/lighthouse.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.frontend.tools import ROOT, ToolMissingError, installed
from tests.gateway.running import running_gateway, settings_for_tests, wait_ready
from tests.support.nginx import serving_recorder
from tests.support.tools import find, programs

LOWEST_SCORE = 95
LONGEST_LOAD_MILLISECONDS = 1000
LARGEST_LOAD_BYTES = 100_000

REPORTS = ROOT / "test-artifacts" / "lighthouse"
FORMS = {
    # Lighthouse's own default: a phone of the middle class on a slow mobile network, simulated.
    "mobile": [],
    "desktop": ["--preset=desktop"],
}


def main() -> int:
    """Print the figures of each form; the exit code says whether all reach their limits."""
    chromium = find("chromium")
    if chromium is None:
        print(programs()["chromium"].reason, file=sys.stderr)
        return 2
    try:
        lighthouse = installed("lighthouse", Path(__file__).with_name("lighthouse.json")) / "lighthouse/cli/index.js"
    except ToolMissingError as error:
        print(error, file=sys.stderr)
        return 2
    REPORTS.mkdir(parents=True, exist_ok=True)
    good = True
    with running_gateway(settings_for_tests()) as gateway:
        wait_ready(gateway)
        assert gateway.base_url.port is not None
        with serving_recorder(gateway.base_url.port) as recorder:
            for form, options in FORMS.items():
                good &= _measure(form, [str(lighthouse), str(recorder.base_url), *options], chromium)
    return 0 if good else 1


def _measure(form: str, command: list[str], chromium: str) -> bool:
    path = REPORTS / form
    subprocess.run(
        [
            "node",
            *command,
            "--quiet",
            "--chrome-flags=--headless=new --no-sandbox",
            "--output=json",
            "--output=html",
            f"--output-path={path}",
        ],
        env=os.environ | {"CHROME_PATH": chromium},
        timeout=300,
        check=True,
    )
    report: dict[str, Any] = json.loads(path.with_suffix(".report.json").read_text())
    scores = {name: round(100 * category["score"]) for name, category in report["categories"].items()}
    audits = report["audits"]
    bytes_loaded = audits["total-byte-weight"]["numericValue"]
    seen = {
        name: audits[name]["numericValue"]
        for name in ("first-contentful-paint", "largest-contentful-paint", "interactive")
    }
    print(f"{form}: {scores}; {bytes_loaded / 1000:.1f} kB; {', '.join(f'{n} {v:.0f} ms' for n, v in seen.items())}")
    for name, category in report["categories"].items():
        for reference in category["auditRefs"]:
            audit = audits[reference["id"]]
            if reference["weight"] and audit["score"] is not None and audit["score"] < 1:
                print(f"  {name}: {audit['title']} ({round(100 * audit['score'])})")
    # Times of the desktop form are those of a page load; those of the other are of a simulated network, and scatter.
    fast = form != "desktop" or seen["largest-contentful-paint"] < LONGEST_LOAD_MILLISECONDS
    return min(scores.values()) >= LOWEST_SCORE and bytes_loaded < LARGEST_LOAD_BYTES and fast


if __name__ == "__main__":
    sys.exit(main())
