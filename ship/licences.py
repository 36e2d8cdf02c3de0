"""Under which licence a distribution is, as an SPDX expression, and whether that one may ship."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from license_expression import (  # type: ignore[import-untyped]
    AND,
    OR,
    LicenseWithExceptionSymbol,
    get_spdx_licensing,
)

from ship.layer import Shipped

# Those that ask for no more than their notice, and MPL-2.0, which asks for the source of its own files alone.
ALLOWED = frozenset(
    {
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "ISC",
        "MIT",
        "MIT-0",
        "MPL-2.0",
        "PSF-2.0",
        "Unlicense",
        "Zlib",
    }
)
# What Rust libraries bring besides: the Unicode Consortium's, as short as MIT, for its tables of characters.
ALLOWED_IN_BINARIES = ALLOWED | {"Unicode-3.0", "Unicode-DFS-2016"}

# What may ship where whoever receives it can put another in its place: Python's own source, in files of its own (decision 24). It goes
# along with its licence, in NOTICES, and with the GPL-3.0 that this one adds to.
REPLACEABLE = ALLOWED | {"LGPL-3.0-or-later"}

# What the licence's text says, where the metadata is vague or wrong. Somebody has read it.
READ = {
    "aws-lambda-powertools": "MIT-0",  # its metadata says MIT as well
    "jinja2": "BSD-3-Clause",
    "python-dateutil": "BSD-3-Clause",  # it "Applies to all code, even that also covered by Apache 2.0"
    "s3transfer": "Apache-2.0",
}

_SPDX = get_spdx_licensing()


def licence(distribution: Shipped) -> str:
    """A distribution's licence.

    Raises:
        ValueError: Nothing but its text says it: read that, and say so in READ.
    """
    vague = (READ[distribution.name],) if distribution.name in READ else distribution.header("License")
    stated = distribution.header("License-Expression") or vague
    if len(stated) != 1 or _SPDX.validate(stated[0]).errors:
        raise ValueError(f"{distribution.name} names no licence that SPDX knows: read its text, and add it to READ")
    return stated[0]


def may_ship(distribution: Shipped) -> bool:
    """Whether a distribution's licence, and those of what is compiled into it, let us ship it."""
    own = permitted(licence(distribution), ALLOWED if distribution.binary else REPLACEABLE)
    return own and all(permitted(crate.licence, ALLOWED_IN_BINARIES) for crate in distribution.crates)


def permitted(expression: str, allowed: Set[str] = ALLOWED) -> bool:
    """Whether something under this licence may ship: of alternatives one is enough, of what is joined all must be."""
    return _permitted(_SPDX.parse(expression, validate=True), allowed)


def _permitted(parsed: Any, allowed: Set[str]) -> bool:
    match parsed:
        case OR():
            return any(_permitted(part, allowed) for part in parsed.args)
        case AND():
            return all(_permitted(part, allowed) for part in parsed.args)
        case LicenseWithExceptionSymbol():  # an exception only ever takes a duty away
            return parsed.license_symbol.key in allowed
        case _:
            return parsed.key in allowed
