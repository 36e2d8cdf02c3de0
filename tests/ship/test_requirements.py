"""What is installed: one version of each, known by its hash, wherever one's packages come from."""

import re
from pathlib import Path

import pytest

from ship.layer import SOURCE, direct, locked, shipped
from simulator.template import ROOT

LOCKS = sorted([*(ROOT / "requirements").glob("*.txt"), SOURCE / "requirements.txt"])
FILES = sorted([*LOCKS, *(ROOT / "requirements").glob("*.in"), SOURCE / "requirements.in"])
LOCK = (SOURCE / "requirements.txt").read_text(encoding="utf-8")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", LOCKS, ids=name)
def test_everything_in_a_lock_has_one_version_and_a_hash(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    pins = [line for line in lines if line.strip() and not line.strip().startswith("#")]
    assert pins
    wrong = [
        pin
        for pin in pins
        if not re.fullmatch(r"[\w.\[\],-]+==[^\s*]+( ;[^#]*?)?( +--hash=sha256:[0-9a-f]{64})+ *", pin)
    ]
    assert not wrong


@pytest.mark.parametrize("path", FILES, ids=name)
def test_no_file_says_where_packages_come_from(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"://|^\s*(-i|-f|--(extra-)?index-url|--find-links|--trusted-host)\b", text, re.MULTILINE)


def test_the_layers_lock_holds_what_we_ask_for() -> None:
    asked = (SOURCE / "requirements.in").read_text(encoding="utf-8")
    assert direct(asked) <= {one.name for one in locked(LOCK)}
    pinned = {f"{one.name}=={one.version}" for one in locked(LOCK)}
    assert {line for line in asked.splitlines() if line and not line.startswith("#")} <= pinned


def test_the_layer_holds_what_is_locked_and_nothing_else(shipped_layer: Path) -> None:
    assert {one.name: one.version for one in locked(LOCK)} == {
        name: one.version for name, one in shipped(shipped_layer).items()
    }


def test_a_lock_is_read_for_lambda_whatever_machine_this_is() -> None:
    text = f'a==1 \\\n    --hash=sha256:{"0" * 64} \\\n    --hash=sha256:{"1" * 64}\n    # via b\nb==2 ; sys_platform == "win32" \\\n    --hash=sha256:{"2" * 64}\n'
    (only,) = locked(text)
    assert (only.name, only.version, only.hashes) == ("a", "1", ("0" * 64, "1" * 64))
