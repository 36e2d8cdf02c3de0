"""One thing wrong with what a person wrote."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a document: where, a code for programs, the value as written, what and how to mend it."""

    path: str
    code: str
    message: str
    hint: str = ""
    value: object = None

    def __str__(self) -> str:
        said = f"{self.path}: {self.message}" if self.path else self.message
        return f"{said}. {self.hint}" if self.hint else said
