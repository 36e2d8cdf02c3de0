"""What `sam build` makes: twice, to compare, and the dependencies once more for this machine, to wake the functions on them.

It is made from copies in temporary folders, so nothing of it meets what `make build` may be making in the checkout.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from simulator.template import ROOT

BIN = ROOT / ".venv/bin"
SAM = ROOT / ".tools/sam/bin/sam"
PATIENCE = 300  # seconds


def build(
    into: Path, *resources: str, environment: Mapping[str, str] = MappingProxyType({}), umask: int = 0o022
) -> None:
    """Build the resources, all if none are named, into a folder's `build`, from a checkout that has been used."""
    source = into / "source"
    for folder in ("functions", "layers"):
        shutil.copytree(ROOT / folder, source / folder)
    shutil.copy(ROOT / "template.yaml", source)
    for used in ("functions/intake", "layers/dependencies", "layers/patchtide/patchtide/core"):
        (source / used / "__pycache__").mkdir(exist_ok=True)
        (source / used / "__pycache__/left.cpython-311.pyc").touch()
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "MAKE", "MFLAGS", "PATCHTIDE_LAYER_"))
    }
    own = {"PATH": f"{BIN}:{os.environ['PATH']}", "UV_PYTHON_DOWNLOADS": "never", "UV_SYSTEM_CERTS": "1"}
    done = subprocess.run(  # noqa: S603 - our own tool, our own words
        [SAM, "build", *resources, "--build-dir", into / "build", "--no-cached"],
        cwd=source,
        env={**inherited, **own, "SAM_CLI_TELEMETRY": "0", **environment},
        umask=umask,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr


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
