"""The report's page: complete in one file, the same for whoever looks, listens or prints, and no larger than it must be."""

from __future__ import annotations

import html
import io
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from patchtide.core.causes import FIXES
from patchtide.core.outcome import Outcome
from patchtide.core.report import page
from patchtide.core.report.page import DEFINITIONS, WORDS
from tests.report.browser import opened
from tests.report.pages import BAD, HOSTILE, NAMES, START, figures, run, spec, trend, written

MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(written(154), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(written(100_000, accounts=300), encoding="utf-8")
    return path


# --- without a browser ----------------------------------------------------------------------------------------------


def test_every_cause_is_there_with_its_fix_and_every_outcome_in_words() -> None:
    text = html.unescape(written(154))
    for outcome, cause, _ in BAD:
        assert cause in text
        assert FIXES[cause] in text
        assert WORDS[outcome] in text
    for name, meaning in DEFINITIONS:
        assert f"<dt>{name}</dt>" in text
        assert meaning in text
    assert set(WORDS) == {outcome.value for outcome in Outcome}


def test_nothing_that_an_instance_calls_itself_is_markup() -> None:
    text = written(154)
    assert HOSTILE not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;{{ 7*7 }}" in text
    assert "<script" not in text


def test_the_page_asks_for_nothing() -> None:
    text = written(154)
    assert "default-src 'none'" in text
    assert not re.findall(r"(?:src|href|url)\s*[=(]", text)


def test_the_page_of_two_thousand_instances_is_under_a_mebibyte_though_all_failed() -> None:
    assert len(written(2_000, bad=1.0, accounts=300).encode()) <= MEBIBYTE


def test_the_page_of_a_hundred_thousand_is_hardly_larger_and_says_where_the_rest_is(large: Path) -> None:
    text = large.read_text(encoding="utf-8")
    assert len(text.encode()) <= 1.1 * len(written(2_000, bad=1.0, accounts=300).encode())
    assert "every instance is in instances.csv" in text
    assert "report.json" in text


def test_an_account_is_called_by_its_name_and_its_number() -> None:
    text = written(154)
    account = next(iter(NAMES))
    assert f'{NAMES[account]} <span class="soft">{account}</span>' in text


def test_what_is_not_there_has_no_section() -> None:
    into = io.StringIO()
    nothing = figures(0, accounts=0)
    nothing.joined.clear()
    page.write(into, page.of_run(run(), spec(), nothing, (), (), START))
    text = into.getvalue()
    for title in (
        "Why, and what to do",
        "By account",
        "Not reached",
        "Late joiners",
        "Instances to look at",
        "Compliance over",
    ):
        assert title not in text
    assert "n/a" in text


def test_a_gap_in_the_trend_is_a_gap() -> None:
    text = written(154)
    assert text.count("<polyline") == 2  # the run in June that had nothing to patch parts them
    assert "2026-06-10: n/a" in text


def test_a_period_counts_each_account_by_its_last_run() -> None:
    points = trend()
    first, second = points[0], points[1]
    accounts = [
        first.__class__(**{**first.__dict__, "account": "1" * 12}),
        second.__class__(**{**second.__dict__, "account": "1" * 12}),
    ]
    made = page.of_period("All campaigns", START, START, points[:2], accounts, datetime(2027, 1, 1, tzinfo=UTC))
    assert made.figures.total.compliance == second.compliance
    into = io.StringIO()
    page.write(into, made)
    assert "Runs" in into.getvalue()
    assert second.run in into.getvalue()


# --- in a browser ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_page_fits_says_everything_and_complains_of_nothing(small: Path, width: int, dark: bool) -> None:
    with opened(small, width, dark) as it:
        assert it.overflow == 0
        assert it.unnamed_charts == []
        assert it.serious == []
        assert it.errors == []


def test_the_page_of_a_hundred_thousand_instances_opens(large: Path) -> None:
    with opened(large, 1440) as it:
        assert it.overflow == 0
        assert it.errors == []
        assert it.page.locator("h1").inner_text().startswith("prod-linux-monthly")
        assert it.page.locator("#definitions").is_visible()


def test_the_page_prints_on_a_few_sheets(small: Path) -> None:
    with opened(small, 1200) as it:
        assert 1 < it.print_pdf_pages < 25
