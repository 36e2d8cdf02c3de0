"""ministack, the AWS emulator behind `patchtide local up`: started on loopback, given the real template, stopped again.

It is young, so it is pinned by hash in an environment of its own and touched in this file alone. What it leaves out of
CloudFormation (time to live, point-in-time recovery) the local world can do without.

Run as a script by ministack's own interpreter, this file starts the server with a shorter minute, so that nobody waits
sixty real seconds for each tick.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

VERSION = "1.5.33"
ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / ".tools/ministack/bin/python"
MINUTE = "PATCHTIDE_LOCAL_MINUTE"  # seconds that a minute of a rate() schedule takes
BUCKET = "local-artifacts"
DROPPED = "AWS::SSM::Document"  # ministack has no documents; they go to the world's SSM


class Ministack:
    """A running server. Everything it writes goes into one temporary folder, which goes with it."""

    def __init__(self, port: int, account: str, region: str, minute: float) -> None:
        if not PYTHON.exists():
            raise FileNotFoundError(f"{PYTHON.relative_to(ROOT)} is missing: run `make .tools/ministack` first")
        self.account, self.region = account, region
        self.url = f"http://127.0.0.1:{port}"
        self._folder = Path(tempfile.mkdtemp(prefix="patchtide-local-"))
        self._log = (self._folder / "server.log").open("w", encoding="utf-8")
        # A clean environment: functions inherit all of it.
        environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(self._folder),
            "TMPDIR": str(self._folder),
            "TZ": "UTC",
            "AUTH": "false",
            "BIND_HOST": "127.0.0.1",
            "IOT_MTLS_ENABLED": "0",
            "GATEWAY_PORT": str(port),
            "MINISTACK_REGION": region,
            "MINISTACK_ACCOUNT_ID": account,
            "LOG_LEVEL": "WARNING",
            "STATE_DIR": str(self._folder / "state"),
            "S3_DATA_DIR": str(self._folder / "s3"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "PYTHONDONTWRITEBYTECODE": "1",
            MINUTE: str(minute),
        }
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and this very file
            [str(PYTHON), "-P", str(Path(__file__).resolve())],
            env=environment,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def _wait(self) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"the local AWS did not start:\n{self.log()[-2000:]}")
            try:
                with urllib.request.urlopen(f"{self.url}/_ministack/health", timeout=1):  # noqa: S310 - loopback
                    return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"the local AWS did not answer within 30 s:\n{self.log()[-2000:]}")

    def log(self) -> str:
        """What the server has written so far."""
        return (self._folder / "server.log").read_text(encoding="utf-8")

    def client(self, service: str) -> Any:
        """A client of the hub account's root."""
        import boto3

        return boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=self.url,
            region_name=self.region,
            aws_access_key_id=self.account,
            aws_secret_access_key="local",  # noqa: S106 - it checks none
        )

    def deploy(self, name: str, template: Mapping[str, Any], parameters: Mapping[str, str], root: Path) -> None:
        """The raw template as a stack, with its code zipped as `sam package` would."""
        document = json.loads(json.dumps(template))
        _strip(document)
        bucket = self.client("s3")
        bucket.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": self.region})
        for body in document["Resources"].values():
            for property_ in ("CodeUri", "ContentUri"):
                if property_ in body.get("Properties", {}):
                    body["Properties"][property_] = self._upload(bucket, root / body["Properties"][property_])
        bucket.put_object(Bucket=BUCKET, Key="template.json", Body=json.dumps(document).encode())
        formation = self.client("cloudformation")
        formation.create_stack(
            StackName=name,
            TemplateURL=f"{self.url}/{BUCKET}/template.json",
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            Capabilities=["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
        deadline = time.monotonic() + 60
        while (stack := formation.describe_stacks(StackName=name)["Stacks"][0])["StackStatus"].endswith("IN_PROGRESS"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the stack is still {stack['StackStatus']} after a minute")
            time.sleep(0.05)
        if stack["StackStatus"] != "CREATE_COMPLETE":
            events = formation.describe_stack_events(StackName=name)["StackEvents"]
            failed = [one for one in events if one["ResourceStatus"].endswith("FAILED")]
            said = "; ".join(f"{one['LogicalResourceId']}: {one.get('ResourceStatusReason', '')}" for one in failed)
            raise RuntimeError(f"the stack is {stack['StackStatus']}: {said}\n{self.log()[-2000:]}")

    def _upload(self, bucket: Any, folder: Path) -> str:
        content = _zip(folder)
        key = f"{hashlib.sha256(content).hexdigest()}.zip"
        bucket.put_object(Bucket=BUCKET, Key=key, Body=content)
        return f"s3://{BUCKET}/{key}"

    def stop(self) -> None:
        """The server and its workers end; its folder goes."""
        if self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # its function workers, in the same session
        self._process.wait()
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def free_port() -> int:
    """A port of the loopback interface that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _strip(document: dict[str, Any]) -> None:
    """Without the documents, and without the outputs that name them."""
    resources = document["Resources"]
    gone = {name for name, body in resources.items() if body["Type"] == DROPPED}
    document["Resources"] = {name: body for name, body in resources.items() if name not in gone}
    outputs = document.get("Outputs", {})
    document["Outputs"] = {name: body for name, body in outputs.items() if not gone & set(_names(body))}


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for entry in value.values():
            yield from _names(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _names(entry)
    elif isinstance(value, str):
        yield value
        yield from value.replace("${", " ").replace("}", " ").replace(".", " ").split()


def _zip(folder: Path) -> bytes:
    """The folder's files, each with the same old date so that the same content is the same archive.

    A layer's source is laid out as `sam build` would lay it out: its package below `python/`. Dependencies are not packed:
    the functions find them in ministack's own environment, where they are for this machine's processor.
    """
    layer = "layers" in folder.parts
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                name = path.relative_to(folder).as_posix()
                entry = zipfile.ZipInfo(f"python/{name}" if layer else name, (1980, 1, 1, 0, 0, 0))
                entry.external_attr = 0o100644 << 16
                archive.writestr(entry, path.read_bytes())
        if not archive.namelist():
            archive.writestr(zipfile.ZipInfo("python/empty.txt", (1980, 1, 1, 0, 0, 0)), b"")
    return packed.getvalue()


def _main() -> None:
    """Start the server with a shorter minute. These are private names of exactly this version."""
    import importlib.metadata

    if importlib.metadata.version("ministack") != VERSION:
        raise SystemExit(f"ministack {VERSION} is wanted: run `make .tools/ministack`")
    from ministack.app import main  # type: ignore[import-not-found,unused-ignore]
    from ministack.services import eventbridge, scheduler  # type: ignore[import-not-found,unused-ignore]

    minute = float(os.environ.pop(MINUTE))
    theirs = eventbridge._parse_rate_seconds

    def scaled(expression: str) -> float | None:
        seconds = theirs(expression)
        return None if seconds is None else seconds * minute / 60

    eventbridge._parse_rate_seconds = scaled
    scheduler._SCHEDULE_TICK_INTERVAL = min(1.0, minute / 3)
    sys.argv = ["ministack"]
    main()


if __name__ == "__main__":
    _main()
