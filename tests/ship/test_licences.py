"""Under which licences we ship what others wrote, and that their notices go along."""

from pathlib import Path

import pytest

from ship.layer import SOURCE, locked, shipped
from ship.licences import READ, licence, may_ship, permitted
from ship.notices import PATH, notices

LOCKED = [one.name for one in locked((SOURCE / "requirements.txt").read_text(encoding="utf-8"))]


@pytest.mark.parametrize("name", LOCKED)
def test_a_distribution_has_a_licence_under_which_it_may_ship(name: str, shipped_layer: Path) -> None:
    own = shipped(shipped_layer)[name]
    assert may_ship(own), [licence(own), *(crate.licence for crate in own.crates)]


@pytest.mark.parametrize(("files", "may"), [("own.py", True), ("own.abi3.so", False)])
def test_the_lgpl_may_ship_only_where_anybody_can_replace_what_is_under_it(
    files: str, may: bool, tmp_path: Path
) -> None:
    folder = tmp_path / "python/own-1.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(
        "Metadata-Version: 2.4\nName: own\nVersion: 1\nLicense-Expression: LGPL-3.0-or-later\n"
    )
    (folder / "RECORD").write_text(f"{files},,\n", "utf-8")
    assert may_ship(shipped(tmp_path)["own"]) is may


def test_the_gpl_goes_along_with_what_adds_to_it(shipped_layer: Path) -> None:
    text = (shipped_layer / "GPL-3.0").read_text("utf-8")
    assert "Version 3, 29 June 2007" in text
    assert "END OF TERMS AND CONDITIONS" in text


@pytest.mark.parametrize(
    ("expression", "may"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("GPL-3.0-only OR MIT", True),
        ("MIT AND (GPL-3.0-only OR LGPL-2.1-or-later)", False),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("GPL-2.0-only WITH Classpath-exception-2.0", False),
    ],
)
def test_of_alternatives_one_is_enough_and_of_what_is_joined_all_must_be(expression: str, may: bool) -> None:
    assert permitted(expression) is may


def test_a_distribution_that_does_not_say_its_licence_is_not_guessed_at(tmp_path: Path) -> None:
    folder = tmp_path / "python/mystery-1.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: mystery\nVersion: 1\nLicense: see file\n", "utf-8")
    with pytest.raises(ValueError, match="mystery names no licence that SPDX knows"):
        licence(shipped(tmp_path)["mystery"])


def test_nobody_had_to_read_a_licence_that_its_distribution_names(shipped_layer: Path) -> None:
    found = shipped(shipped_layer)
    assert not [name for name in READ if found[name].header("License-Expression")]


def test_the_notices_are_those_of_what_is_built_and_go_along_with_it(shipped_layer: Path) -> None:
    told = PATH.read_text(encoding="utf-8")
    assert told == notices(shipped_layer), "run `make notices`"
    assert told == (shipped_layer / "NOTICES").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", LOCKED)
def test_every_word_that_a_distribution_wants_told_is_told(name: str, shipped_layer: Path) -> None:
    """Found by the names of the files, since the metadata may forget one."""
    told = "".join(PATH.read_text(encoding="utf-8").split())
    own = shipped(shipped_layer)[name]
    wanted = [
        path
        for path in own.folder.rglob("*")
        if path.is_file() and path.name.upper().startswith(("LICEN", "NOTICE", "COPYING"))
    ]
    assert wanted
    assert f"{own.name} {own.version}: {licence(own)}\n" in PATH.read_text(encoding="utf-8")
    assert not [path.name for path in wanted if "".join(path.read_text(encoding="utf-8").split()) not in told]
