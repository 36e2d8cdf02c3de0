"""A list of patches that is installed instead of what a baseline approves, kept in the stack's bucket under its own digest.

Whoever may change such a list decides what is installed as root. So its name says what is in it, and whoever is about to use
it works that out again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from patchtide.core.frozen import frozen
from patchtide.core.problem import Problem, shown

FOLDER = "overrides/"
LARGEST = 1_000_000  # bytes of a list: one of a thousand patches has a hundred thousand
LONGEST = 256  # characters of a name of a package or of its version
EXAMPLES = {"id": "kernel.x86_64 or KB5034441", "title": "4.14.243*"}
_URL = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/overrides/([0-9a-f]{64})\.yaml")


@frozen
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


def mistakes(document: Mapping[str, object]) -> Iterator[Problem]:
    """What is wrong with the content of a list. AWS reads `id` and `title` of each patch, and leaves all else alone."""
    patches = document.get("patches")
    if not isinstance(patches, list) or not patches:
        hint = "Write patches:, and below it an entry with an id for each"
        yield Problem("patches", "list", f"{shown(patches)} is no list of patches", hint)
        return
    for number, patch in enumerate(patches):
        at = f"patches[{number}]"
        if not isinstance(patch, Mapping):
            yield Problem(
                at, "map", f"{shown(patch)} has no fields", "Write its id, e.g. id: kernel.x86_64 or id: KB5034441"
            )
            continue
        for field in ("id", "title"):
            value = patch.get(field)
            if value is None and field == "title":
                continue
            if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > LONGEST:
                hint = f"Write 1 to {LONGEST} printable characters, e.g. {EXAMPLES[field]}; quote it if it is a number"
                yield Problem(f"{at}.{field}", "text", f"{shown(value)} names no patch", hint, value)


def named(url: str | None) -> Override | None:
    """The list of that URL; None where the URL does not say what is in it."""
    found = _URL.fullmatch(url or "")
    return Override(found[1], found[2]) if found else None
