"""What `sam build` makes: twice, to compare, and the dependencies once more for this machine, to wake the functions on them."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ship.build import BIN, SAM, build


def digests(folder: Path) -> dict[str, str]:
    """The mode and the SHA-256 of every file of every function and layer in a folder, by its path there."""
    return {
        path.relative_to(folder).as_posix(): f"{path.stat().st_mode:o} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in sorted(folder.glob("*/**/*"))
        if path.is_file()
    }


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that all workers share: whoever comes first makes it, and the others wait for that."""
    root = factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
    folder, made = root / name, root / f"{name}.made"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            made.touch()
    return folder


@pytest.fixture(scope="session")
def tool() -> None:
    """The SAM CLI is there."""
    if not SAM.exists():
        pytest.skip("needs `make setup`: the SAM CLI")


@pytest.fixture(scope="session")
def shipped(tool: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What goes to Lambda, built as `make build` builds it."""
    return once(tmp_path_factory, "shipped", build) / "build"


@pytest.fixture(scope="session")
def shipped_layer(shipped: Path) -> Path:
    """The layer of dependencies among it."""
    return shipped / "DependenciesLayer"


@pytest.fixture(scope="session")
def elsewhere(tool: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The digests of what another machine would build, as far as this one can play it.

    Its checkout is elsewhere, its Python another, and its people have other habits.
    """

    def make(into: Path) -> None:
        (into / "bin").mkdir()
        (into / "bin/uv").symlink_to(BIN / "uv")  # and no Python of ours beside it
        others = [place for place in os.environ["PATH"].split(":") if Path(place) != BIN]
        path = ":".join([str(into / "bin"), *others])
        habits = {"TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "7", "UV_COMPILE_BYTECODE": "1"}
        build(into, environment={"PATH": path, **habits}, umask=0o077)
        (into / "digests.json").write_text(json.dumps(digests(into / "build")), encoding="utf-8")
        shutil.rmtree(into / "build")

    found: dict[str, str] = json.loads((once(tmp_path_factory, "elsewhere", make) / "digests.json").read_text("utf-8"))
    return found


@pytest.fixture(scope="session")
def native(tool: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layer of dependencies, from the same lock, for this machine's processor and Python."""
    here = {
        "PATCHTIDE_LAYER_PYTHON": f"{sys.version_info.major}.{sys.version_info.minor}",
        "PATCHTIDE_LAYER_PLATFORM": f"{platform.machine()}-manylinux_2_28",
    }

    def make(into: Path) -> None:
        build(into, "DependenciesLayer", environment=here)

    return once(tmp_path_factory, "native", make) / "build/DependenciesLayer"
