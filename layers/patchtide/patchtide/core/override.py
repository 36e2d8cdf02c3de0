"""A list of patches that is installed instead of what a baseline approves, kept in the stack's bucket under its own digest.

Whoever may change such a list decides what is installed as root. So its name says what is in it, and whoever is about to use
it works that out again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

FOLDER = "overrides/"
LARGEST = 1_000_000  # bytes of a list: one of a thousand patches has a hundred thousand
_URL = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/overrides/([0-9a-f]{64})\.yaml")


@dataclass(frozen=True)
class Override:
    """One list: the bucket that has it, and the SHA-256 of its content."""

    bucket: str
    digest: str

    @property
    def key(self) -> str:
        """Its key in the bucket."""
        return f"{FOLDER}{self.digest}.yaml"

    @property
    def url(self) -> str:
        """As a campaign names it."""
        return f"s3://{self.bucket}/{self.key}"


def named(url: str | None) -> Override | None:
    """The list of that URL; None where the URL does not say what is in it."""
    found = _URL.fullmatch(url or "")
    return Override(found[1], found[2]) if found else None
