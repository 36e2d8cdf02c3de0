"""Takes the picture of a report that the docs show, from the demo's own: `make pictures`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from simulator.demo import play
from tests.report.browser import ABSENT, opened

PICTURE = Path(__file__).parents[2] / "docs/report.png"
WIDTH, HEIGHT = 1160, 1080


def main() -> None:
    """The picture, where there is a browser to take it with."""
    if shutil.which("chromium") is None:
        sys.exit(ABSENT)
    with TemporaryDirectory() as room:
        play(Path(room), 7, Console(quiet=True))
        (report,) = Path(room).glob("bucket/runs/prod-monthly/*/report.html")
        with opened(report, WIDTH) as it:
            top = {"x": 0, "y": 0, "width": WIDTH, "height": HEIGHT}
            it.page.screenshot(path=PICTURE, clip=top, full_page=True)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
