"""Lambda's own contract on loopback: the emulator that SAM brings, AWS's runtime client, and a built function between them.

Neither Docker nor AWS takes part. What the function calls is up to its environment.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from simulator.ministack import free_port
from simulator.template import ROOT

PYTHON = ROOT / ".tools/runtime/bin/python"
MACHINE = {"x86_64": "x86_64", "aarch64": "arm64"}.get(platform.machine(), "none")
EMULATORS = list((ROOT / ".tools/sam").glob(f"lib/*/site-packages/samcli/local/rapid/aws-lambda-rie-{MACHINE}"))
MISSING = not (PYTHON.exists() and EMULATORS and platform.system() == "Linux")
PATIENCE = 60  # seconds

Wake = Callable[[bytes], Any]
"""What a function answers to an event, be it an error."""


@contextmanager
def awake(code: Path, layers: list[Path], environment: Mapping[str, str], log: Path) -> Iterator[Wake]:
    """A built function, deployed as far as it can tell. Its first event loads it; what it says of itself goes into the log."""
    port, inner = free_port(), free_port()
    given = {
        "PATH": os.environ["PATH"],
        "LAMBDA_TASK_ROOT": str(code),
        "PYTHONPATH": ":".join(map(str, [code, *(layer / "python" for layer in layers)])),
        "PYTHONDONTWRITEBYTECODE": "1",  # nor could it in Lambda
        "_HANDLER": "app.handler",
        "AWS_LAMBDA_FUNCTION_NAME": code.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(PATIENCE),
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        **environment,
    }
    command: list[str | Path] = [
        EMULATORS[0],
        *("--runtime-interface-emulator-address", f"127.0.0.1:{port}"),
        *("--runtime-api-address", f"127.0.0.1:{inner}"),
        *(str(PYTHON), "-m", "awslambdaric", "app.handler"),
    ]
    with (
        log.open("wb") as said,
        subprocess.Popen(  # noqa: S603 - our own tools
            command, cwd=code, env=given, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT
        ) as emulator,
    ):
        try:
            _wait(emulator, port)
            yield partial(_wake, port)
        finally:
            emulator.terminate()  # it takes the runtime with it
            try:
                emulator.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                emulator.kill()  # and a runtime without its emulator ends


def _wake(port: int, event: bytes) -> Any:
    with closing(HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        connection.request("POST", "/2015-03-31/functions/function/invocations", event)
        return json.loads(connection.getresponse().read())


def _wait(emulator: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and emulator.poll() is None:
        with socket.socket() as probe:
            if not probe.connect_ex(("127.0.0.1", port)):
                return
        time.sleep(0.02)
    raise RuntimeError(f"the emulator does not listen on port {port}")
