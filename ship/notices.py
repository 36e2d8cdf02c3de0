"""The notices of what others wrote and we ship: who, under which licence, and the licence's own words.

Run it by `make notices` after `make lock`; a test fails when the notices are stale.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from ship.layer import BUILT, SOURCE, Shipped, shipped
from ship.licences import licence

PATH = SOURCE / "NOTICES"
RULE = "-" * 100

HEAD = """Patchtide's layer of dependencies is made of the software below, which others wrote and gave to everybody.
Each is under the licence named beside it; the licences' own words follow, each once.
The GNU General Public License, to which the LGPL adds, lies beside this file.
"""


def notices(layer: Path) -> str:
    """The notices of everything in a built layer."""
    distributions = shipped(layer).values()
    parts = [HEAD, *_table(distributions), *_inside(distributions), *_texts(distributions)]
    return "\n".join(parts) + "\n"


def _table(distributions: Iterable[Shipped]) -> Iterator[str]:
    for one in distributions:
        yield f"{one.name} {one.version}: {licence(one)}"


def _inside(distributions: Iterable[Shipped]) -> Iterator[str]:
    for one in distributions:
        if one.crates:
            yield f"\nCompiled into {one.name}, as it says itself:\n"
            yield from (f"{crate.name} {crate.version}: {crate.licence}" for crate in one.crates)


def _texts(distributions: Iterable[Shipped]) -> Iterator[str]:
    owners: dict[str, list[str]] = {}
    for one in distributions:
        for text in texts(one):
            owners.setdefault(text, []).append(one.name)
    for text, names in owners.items():
        yield f"\n{RULE}\n{', '.join(names)}\n{RULE}\n\n{text}"


def texts(distribution: Shipped) -> Iterator[str]:
    """The licences and notices that a distribution brings along, in their own words."""
    for name in distribution.header("License-File"):
        # Where the metadata is of a version before 2.4, its files lie beside it.
        places = (distribution.folder / "licenses" / name, distribution.folder / name)
        text = next(place for place in places if place.exists()).read_text(encoding="utf-8")
        yield "\n".join(line.rstrip() for line in text.strip("\n").splitlines())


if __name__ == "__main__":
    PATH.write_text(notices(BUILT), encoding="utf-8")
