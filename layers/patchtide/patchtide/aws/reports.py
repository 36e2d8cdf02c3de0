"""Reports: the queue that asks for them, and the bucket that they are written into."""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TextIO

from patchtide.aws.faults import asking

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_sqs import SQSClient

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
    ".ndjson": "application/x-ndjson",
}
BLOCK = 1 << 20


class ReportQueue:
    """The reporter's queue: a message is a run's id."""

    def __init__(self, client: SQSClient, url: str) -> None:
        self.client, self.url = client, url

    def send(self, run: str) -> None:
        """Have the run's report written."""
        with asking(f"ask for the report of {run}"):
            self.client.send_message(QueueUrl=self.url, MessageBody=run)


@dataclass
class Draft:
    """A file that is being written."""

    text: TextIO
    digest: str = field(default="")


class Archive:
    """The report bucket. A file is written to disk and sent when it is complete, so that its size is no question of memory."""

    def __init__(self, client: Callable[[], S3Client], bucket: str) -> None:
        self.client, self.bucket = client, bucket

    @contextmanager
    def file(self, key: str) -> Iterator[Draft]:
        """A file to write, gzipped when its key ends in .gz: it is in the bucket once it was written to its end, and not at all
        when that failed."""
        with TemporaryDirectory() as room:
            path = Path(room) / "file"
            with written(path, packed=key.endswith(".gz")) as text:
                draft = Draft(text)
                yield draft
            draft.digest = digest_of(path)
            kind = TYPES.get(Path(key).suffix, "application/gzip" if key.endswith(".gz") else "text/plain")
            with asking(f"write {key}"), path.open("rb") as body:
                self.client().put_object(Bucket=self.bucket, Key=key, Body=body, ContentType=kind)


class Folder:
    """A folder of this machine in the bucket's place, for who wants the files at hand."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextmanager
    def file(self, key: str) -> Iterator[Draft]:
        """A file to write below the folder, under its own name."""
        path = self.root / Path(key).name
        path.parent.mkdir(parents=True, exist_ok=True)
        with written(path, packed=key.endswith(".gz")) as text:
            draft = Draft(text)
            yield draft
        draft.digest = digest_of(path)


@contextmanager
def written(path: Path, *, packed: bool) -> Iterator[TextIO]:
    """A text file to write, with the line ends that are written into it."""
    with path.open("wb") as raw:
        # No time and no name inside: the same lines are the same file.
        whole = gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) if packed else raw
        with io.TextIOWrapper(whole, encoding="utf-8", newline="") as text:
            yield text


def digest_of(path: Path) -> str:
    """The SHA-256 of a file, read a block at a time."""
    found = hashlib.sha256()
    with path.open("rb") as body:
        while block := body.read(BLOCK):
            found.update(block)
    return found.hexdigest()
