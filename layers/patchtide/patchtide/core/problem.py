"""One thing wrong with what a person wrote, and how a sentence quotes what they wrote."""

from __future__ import annotations

from reprlib import Repr

from patchtide.core.frozen import frozen

LONGEST = 80  # characters of a value or a name that a sentence quotes


@frozen
class Problem:
    """One thing wrong with a document: where, a code for programs, the value as written, what and how to mend it.

    `line` is where it stands in the file, when it came from one and the place is known.
    """

    path: str
    code: str
    message: str
    hint: str = ""
    value: object = None
    line: int | None = None

    @property
    def said(self) -> str:
        """Where and what, in one line that names its place once."""
        named = not self.path or self.message.startswith(f"{self.path} ")
        return self.message if named else f"{self.path}: {self.message}"

    def __str__(self) -> str:
        return f"{self.said}. {self.hint}" if self.hint else self.said


class _Brief(Repr):
    """Python's own words for values, cut short, but for the words that YAML and DynamoDB have too."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = self.maxlong = LONGEST
        self.maxlevel = 3

    def repr_bool(self, value: bool, level: int) -> str:
        """True or false, as people write it."""
        del level
        return str(value).lower()

    def repr_NoneType(self, value: None, level: int) -> str:  # noqa: N802 - reprlib calls it by the type's name
        """Null, as people write it."""
        del value, level
        return "null"


_BRIEF = _Brief()


def shown(value: object) -> str:
    """The value as a sentence quotes it: on one line, in printable characters, and cut where it is long."""
    text = _BRIEF.repr(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def part(name: str) -> str:
    """A name as a path has it: never empty, printable, and cut where it is long."""
    text = name if name and name.isprintable() else repr(name)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
