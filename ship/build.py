"""`sam build` in a folder of its own, from a copy of what ships, so that nothing of it meets what `make build` may be making."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from ship.layer import ROOT

BIN = ROOT / ".venv/bin"
SAM = ROOT / ".tools/sam/bin/sam"
PATIENCE = 300  # seconds


def build(
    into: Path, *resources: str, environment: Mapping[str, str] = MappingProxyType({}), umask: int = 0o022
) -> None:
    """Build the resources, all if none are named, into a folder's `build`, from a checkout that has been used.

    Raises RuntimeError with what SAM said.
    """
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
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
