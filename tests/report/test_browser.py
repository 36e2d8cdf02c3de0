"""Every check of the browser finds what it is for, and finds nothing where there is nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.report.browser import ABSENT, opened

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
DOT = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
CLEAN = f"""
<h1>Compliance</h1>
<p>59 of 62.</p>
<svg width="9" height="9" role="img" aria-labelledby="t"><title id="t">59 of 62</title><svg><rect width="8" height="9"/></svg></svg>
<svg width="9" height="9" aria-hidden="true"><rect width="9" height="9"/></svg>
<img src="{DOT}" alt="A dot">
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return tmp_path / "report.html"


def write(page: Path, body: str = "", policy: str = POLICY) -> Path:
    page.write_text(
        f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Report</title>
        <meta http-equiv="Content-Security-Policy" content="{policy}">
        <meta name="viewport" content="width=device-width, initial-scale=1"></head>
        <body><main>{CLEAN}{body}</main></body></html>""",
        encoding="utf-8",
    )
    return page


def test_a_clean_page_passes_every_check_and_the_checks_leave_no_error_behind(page: Path) -> None:
    with opened(write(page), 390) as it:
        assert (it.overflow, it.unnamed_charts, it.serious, it.print_pdf_pages) == (0, [], [], 1)
        assert it.errors == []


def test_what_is_wider_than_the_screen_overflows_by_as_much(page: Path) -> None:
    wide = '<div style="position: absolute; left: 0; width: 450px">wide</div>'
    with opened(write(page, wide), 390) as it:
        assert it.overflow == 60
    with opened(page, 450) as it:
        assert it.overflow == 0


def test_a_script_is_blocked_by_the_pages_own_policy_and_reported(page: Path) -> None:
    with opened(write(page, "<script>document.title = 'run'</script>"), 390) as it:
        (error,) = it.errors
        assert "Executing inline script violates" in error
        assert it.page.title() == "Report"


def test_without_a_policy_a_script_that_breaks_is_reported(page: Path) -> None:
    with opened(write(page, "<script>console.error('oh'); missing()</script>", policy=""), 390) as it:
        assert it.errors == ["oh", "missing is not defined"]


def test_files_beside_the_page_are_reported_though_they_load(page: Path) -> None:
    beside = {
        "style.css": '<link rel="stylesheet" href="style.css">',
        "frame.html": '<iframe src="frame.html"></iframe>',
    }
    for name in beside:
        (page.parent / name).touch()
    with opened(write(page, "".join(beside.values()), policy=""), 390) as it:
        asks = [f"the page is not all there is: it asks for {(page.parent / name).as_uri()}" for name in beside]
        assert it.errors == asks


def test_nothing_is_fetched_from_a_network(page: Path) -> None:
    with opened(write(page, '<img src="http://192.0.2.1/dot.gif" alt="A dot">', policy=""), 390) as it:
        asks, failed = it.errors
        assert asks.endswith("it asks for http://192.0.2.1/dot.gif")
        assert "ERR_INTERNET_DISCONNECTED" in failed


def test_a_chart_that_cannot_be_read_aloud_is_found(page: Path) -> None:
    charts = [
        "<svg></svg>",
        '<svg role="img"></svg>',
        '<svg role="img" aria-label=" "></svg>',
        '<svg role="img" aria-labelledby="nowhere"></svg>',
        '<svg aria-label="not said to be a picture"></svg>',
    ]
    with opened(write(page, "".join(charts)), 390) as it:
        assert it.unnamed_charts == charts


def test_a_button_without_a_name_is_found_by_axe(page: Path) -> None:
    with opened(write(page, "<button></button>"), 390) as it:
        (finding,) = it.serious
        assert finding.startswith("<button></button> button-name: ")


def test_dark_is_dark_and_poor_contrast_is_found_in_it(page: Path) -> None:
    style = "<style>@media (prefers-color-scheme: dark) { body { background: #111 } h1, p { color: #eee } em { color: #333 } }</style>"
    with opened(write(page, f"{style}<p><em>dim</em></p>"), 1200) as it:
        assert it.serious == []
    with opened(page, 1200, dark=True) as it:
        (finding,) = it.serious
        assert finding.startswith("<em>dim</em> color-contrast: ")


def test_paper_and_pictures(page: Path) -> None:
    with opened(write(page, '<p style="break-before: page">On the second sheet.</p>'), 390) as it:
        assert it.print_pdf_pages == 2
        it.screenshot(page.with_suffix(".png"))
    assert page.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_where_there_is_no_browser_it_is_said_aloud_before_the_last_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-n", "1", "-p", "no:cacheprovider", __file__, "-k", "clean_page"]
    told = subprocess.run(command, env=os.environ | {"PATH": str(tmp_path)}, capture_output=True, text=True, check=True)  # noqa: S603
    *_, line, last = told.stdout.splitlines()
    assert line == ABSENT
    assert "1 skipped" in last
