"""One thing that the linter has to say of a runbook."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from enum import StrEnum

from patchtide.core.frozen import frozen
from patchtide.core.problem import Problem

LONGEST_WORD = 64  # a guess takes its time, and nobody misspells more


class Severity(StrEnum):
    """How much it weighs: an error is refused by AWS or harms servers, a warning may be meant."""

    ERROR = "error"
    WARNING = "warning"


@frozen
class Finding(Problem):
    """A problem of a runbook, and how much it weighs."""

    severity: Severity = Severity.ERROR


def error(path: str, code: str, message: str, hint: str) -> Finding:
    """What AWS documents as refused, what cannot work as written, or what harms servers."""
    return Finding(path, code, _printable(message), _printable(hint))


def warning(path: str, code: str, message: str, hint: str) -> Finding:
    """What may be meant, or what AWS says nothing about."""
    return Finding(path, code, _printable(message), _printable(hint), severity=Severity.WARNING)


def _printable(text: str) -> str:
    """The text on one line, whatever names somebody has made up."""
    return text if text.isprintable() else "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def meant(word: object, known: Iterable[str], otherwise: str) -> str:
    """The known word that somebody may have meant, as a hint; else the other hint."""
    near = nearest(word, known)
    return f"Did you mean {near!r}?" if near else otherwise


def nearest(word: object, known: Iterable[str]) -> str | None:
    """The known word that is nearest to what somebody wrote, if one is near at all."""
    if not isinstance(word, str) or len(word) > LONGEST_WORD:
        return None
    # What differs only in its case is nearest of all.
    folded = {one.casefold(): one for one in known}
    near = get_close_matches(word.casefold(), folded, 1, cutoff=0.7)
    return folded[near[0]] if near else None
