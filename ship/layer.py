"""The layer of dependencies: what is locked for Lambda, and what a built layer carries."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "layers/dependencies"
BUILT = ROOT / ".aws-sam/build/DependenciesLayer"

# What markers are asked about: Lambda, whatever machine this is.
LAMBDA = {
    "extra": "",
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "aarch64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.13.0",
    "python_version": "3.13",
    "sys_platform": "linux",
}


@dataclass(frozen=True)
class Locked:
    """A distribution as the lock has it. Each SHA-256 is that of a file that the installer would take."""

    name: str
    version: str
    hashes: tuple[str, ...]


def locked(text: str) -> tuple[Locked, ...]:
    """What a lock holds for Lambda."""
    lines = (
        line for line in text.replace("\\\n", " ").splitlines() if line.strip() and not line.strip().startswith("#")
    )
    return tuple(found for line in lines if (found := _locked(line)))


def _locked(line: str) -> Locked | None:
    words, *hashes = line.split("--hash=sha256:")
    requirement = Requirement(words)
    if requirement.marker and not requirement.marker.evaluate(LAMBDA):
        return None
    (pin,) = requirement.specifier
    return Locked(canonicalize_name(requirement.name), pin.version, tuple(one.strip() for one in hashes))


def direct(text: str) -> frozenset[str]:
    """The distributions that we ask for by name."""
    return frozenset(
        canonicalize_name(Requirement(line).name) for line in text.splitlines() if line and not line.startswith("#")
    )


@dataclass(frozen=True)
class Crate:
    """A Rust library inside a distribution's binary."""

    name: str
    version: str
    licence: str
    purl: str
    hashes: tuple[str, ...]


@dataclass(frozen=True)
class Shipped:
    """A distribution in a built layer, by what it says of itself."""

    folder: Path

    @cached_property
    def _says(self) -> Distribution:
        return Distribution.at(self.folder)

    @property
    def name(self) -> str:
        """Its name, as the lock writes it."""
        return canonicalize_name(self._says.name)

    @property
    def version(self) -> str:
        """Its version."""
        return self._says.version

    def header(self, name: str) -> tuple[str, ...]:
        """What its metadata has under a name."""
        return tuple(self._says.metadata.get_all(name) or ())

    @property
    def needs(self) -> frozenset[str]:
        """The distributions that it needs on Lambda."""
        requirements = (Requirement(line) for line in self._says.requires or ())
        return frozenset(
            canonicalize_name(one.name) for one in requirements if not one.marker or one.marker.evaluate(LAMBDA)
        )

    @property
    def files(self) -> frozenset[str]:
        """The files that it brings, by its own RECORD."""
        return frozenset(path.as_posix() for path in self._says.files or ())

    @property
    def modules(self) -> frozenset[str]:
        """The top-level modules and packages that it brings."""
        files = (path for path in self._says.files or () if path.suffix in (".py", ".so"))
        return frozenset(path.parts[0].partition(".")[0] for path in files)

    @property
    def binary(self) -> bool:
        """Whether anything in it is compiled."""
        return any(path.suffix == ".so" for path in self._says.files or ())

    @property
    def crates(self) -> tuple[Crate, ...]:
        """The Rust libraries compiled into it, where it brings a bill of them (PEP 770)."""
        return tuple(crate for path in sorted(self.folder.glob("sboms/*.json")) for crate in _crates(path))


def shipped(layer: Path) -> Mapping[str, Shipped]:
    """The distributions in a built layer, by name."""
    found = (Shipped(folder) for folder in layer.glob("python/*.dist-info"))
    return {one.name: one for one in sorted(found, key=lambda one: one.name)}


def _crates(path: Path) -> Iterator[Crate]:
    bill: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for one in sorted(bill["components"], key=lambda one: (one["name"], one["version"])):
        if one["scope"] != "excluded":  # that is what only its build used
            (licence,) = one["licenses"]
            hashes = tuple(entry["content"] for entry in one["hashes"] if entry["alg"] == "SHA-256")
            yield Crate(one["name"], one["version"], licence["expression"], one["purl"], hashes)
