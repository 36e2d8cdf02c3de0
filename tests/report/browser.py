"""A page as a browser shows it: what the browser complains of, what does not fit, what cannot be read aloud."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import ConsoleMessage, Page, Request, sync_playwright

ABSENT = "chromium is not installed: the report was not opened in a browser (Debian: apt-get install chromium)"
FLAGS = (
    "--no-sandbox",  # root cannot have one, and the pages are our own
    "--no-first-run",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # in spite of the three above it asks for two names at each start
)
HEIGHT = 800

# Charts that are read aloud, and have nothing to say. What is inside a chart or a picture belongs to it.
UNNAMED = """() => [...document.querySelectorAll("svg")]
    .filter(svg => !svg.closest("[aria-hidden=true]") && !svg.matches("[role=none], [role=presentation]"))
    .filter(svg => !svg.parentElement.closest("svg, [role=img]"))
    .filter(svg => {
        const labels = (svg.getAttribute("aria-labelledby") ?? "").split(" ").map(id => document.getElementById(id));
        const names = [...labels, svg.querySelector(":scope > title")].map(element => element?.textContent);
        const named = [svg.getAttribute("aria-label"), ...names].some(name => name?.trim());
        return !named || svg.getAttribute("role") !== "img";
    })
    .map(svg => svg.cloneNode().outerHTML)"""


@dataclass
class Opened:
    """A page that is open at some width, and what the browser complained of so far."""

    page: Page
    address: str
    errors: list[str] = field(default_factory=list)

    def said(self, message: ConsoleMessage) -> None:
        """Keep an error of the console, such as what the page's security policy blocked."""
        if message.type == "error":
            self.errors.append(message.text)

    def asked(self, request: Request) -> None:
        """Keep what the page asks for besides itself, whether it gets it or not."""
        if request.url != self.address and not request.url.startswith("data:"):
            self.errors.append(f"the page is not all there is: it asks for {request.url}")

    @property
    def overflow(self) -> int:
        """The pixels by which the page can be scrolled sideways."""
        pixels: int = self.page.evaluate(
            "() => document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"
        )
        return pixels

    @property
    def unnamed_charts(self) -> list[str]:
        """The start tag of each chart that is no picture with a name to who cannot see it."""
        tags: list[str] = self.page.evaluate(UNNAMED)
        return tags

    @property
    def serious(self) -> list[str]:
        """What axe-core calls serious or critical, a sentence for each element."""
        self.page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
        violations: list[dict[str, Any]] = self.page.evaluate(
            "() => axe.run({resultTypes: ['violations'], preload: false}).then(results => results.violations)"
        )
        return [
            f"{node['html']} {rule['id']}: {(node['any'] + node['all'] + node['none'])[0]['message']}"
            for rule in violations
            if rule["impact"] in ("serious", "critical")
            for node in rule["nodes"]
        ]

    @property
    def print_pdf_pages(self) -> int:
        """The sheets of A4 that it takes to print the page."""
        return len(re.findall(rb"/Type\s*/Page\b", self.page.pdf(format="A4")))

    def screenshot(self, path: Path) -> None:
        """Keep a picture of the whole page, not only of what is in sight."""
        self.page.screenshot(path=path, full_page=True)


@contextmanager
def opened(path: Path, width: int, dark: bool = False) -> Iterator[Opened]:
    """A page of ours in a browser that has no network; the test is skipped where there is no browser.

    The page's own security policy stays in force: what the checks run comes in through the debugger, past any policy.
    """
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip(ABSENT)
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=chromium, args=FLAGS) as browser:
        page = browser.new_page(
            viewport={"width": width, "height": HEIGHT}, color_scheme="dark" if dark else "light", offline=True
        )
        it = Opened(page, path.resolve().as_uri())
        page.on("console", it.said)
        page.on("pageerror", lambda error: it.errors.append(str(error)))
        page.on("request", it.asked)
        page.goto(it.address)
        # What is fetched only when it is drawn, such as a font, is asked for by the second frame.
        page.evaluate("() => new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
        yield it
