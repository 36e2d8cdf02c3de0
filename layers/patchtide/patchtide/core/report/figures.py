"""The numbers of a report, counted row by row, so that a hundred thousand instances take no more memory than a hundred.

Every number is counted from the rows of single instances, and none from another number. What the collectors counted as they
went is a second count of the same; where the two differ, the report says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from patchtide.core.causes import FIXES
from patchtide.core.compliance import Compliance
from patchtide.core.outcome import FINE, Cause, Outcome, Patch

Row = Mapping[str, str]

AGAINST = ("missing", "failed", "pendingReboot", "rejected", "critical", "security", "other")
EXAMPLES = 5  # instances that a cause names
SHOWN_OF_CAUSE = 100  # and that the page lists of one cause
SHOWN = 500  # and in all; the rest is in the table of instances
ORDER = (
    Outcome.COMPLIANT,
    Outcome.SCANNED,
    Outcome.PENDING_REBOOT,
    Outcome.NON_COMPLIANT,
    Outcome.FAILED,
    Outcome.UNREACHABLE,
    Outcome.UNVERIFIED,
    Outcome.NOT_STARTED,
    Outcome.GONE,
    Outcome.EXCLUDED,
)

_URGENT = (
    Outcome.FAILED,
    Outcome.UNREACHABLE,
    Outcome.UNVERIFIED,
    Outcome.NOT_STARTED,
    Outcome.NON_COMPLIANT,
    Outcome.PENDING_REBOOT,
    Outcome.GONE,
    Outcome.SCANNED,
    Outcome.COMPLIANT,
    Outcome.EXCLUDED,
)


def number(row: Row, name: str) -> int:
    """A count of a row. What is nothing is not written down."""
    return int(row.get(name, 0))


def compliant(row: Row) -> bool:
    """Whether the instance's own evidence shows nothing against it."""
    return row["outcome"] in FINE and not any(number(row, name) for name in AGAINST)


@dataclass
class Group:
    """The counts of some instances: of a run, a wave, an account."""

    expected: int = 0
    excepted: int = 0
    compliant: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    locations: int = 0
    unreachable: int = 0

    def add(self, row: Row) -> None:
        """Count one instance."""
        self.expected += 1
        self.outcomes[row["outcome"]] += 1
        self.excepted += row.get("cause") == Cause.EXCEPTED
        self.compliant += compliant(row)

    @property
    def compliance(self) -> Compliance:
        """How compliant they are."""
        return Compliance(self.expected, self.excepted, self.compliant)

    @property
    def ordered(self) -> list[tuple[str, int]]:
        """The outcomes that there are, best first."""
        return [(outcome.value, self.outcomes[outcome]) for outcome in ORDER if self.outcomes[outcome]]

    @property
    def bad(self) -> int:
        """Instances that somebody has to do something about."""
        fine = (*FINE, Outcome.PENDING_REBOOT, Outcome.EXCLUDED, Outcome.GONE)
        return self.expected - sum(self.outcomes[outcome] for outcome in fine)


@dataclass
class CauseGroup:
    """The instances and locations that one cause kept from coming out right."""

    cause: str
    instances: int = 0
    locations: int = 0
    accounts: Counter[str] = field(default_factory=Counter)
    sentences: Counter[str] = field(default_factory=Counter)
    examples: list[Row] = field(default_factory=list)

    @property
    def fix(self) -> str:
        """What to do about it."""
        return FIXES.get(Cause(self.cause), "")

    @property
    def sentence(self) -> str:
        """What it looks like, in the words of most of its instances."""
        return self.sentences.most_common(1)[0][0] if self.sentences else ""


@dataclass
class PatchGroup:
    """One patch that counts against instances: how many, and in which states."""

    title: str
    severity: str = ""
    classification: str = ""
    instances: int = 0
    states: Counter[str] = field(default_factory=Counter)


@dataclass
class Figures:
    """All numbers of a report."""

    total: Group = field(default_factory=Group)
    waves: dict[str, Group] = field(default_factory=dict)
    accounts: dict[str, Group] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    causes: dict[str, CauseGroup] = field(default_factory=dict)
    patches: dict[str, PatchGroup] = field(default_factory=dict)
    unreachable: list[Row] = field(default_factory=list)
    joined: list[Row] = field(default_factory=list)
    exceptions: Counter[str] = field(default_factory=Counter)
    _shown: dict[str, list[Row]] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        """Count one expected instance."""
        for group in (self.total, self._wave(row), self._account(row)):
            group.add(row)
        if row["outcome"] in FINE and compliant(row):
            return
        shown = self._shown.setdefault(row.get("cause") or row["outcome"], [])
        if len(shown) < SHOWN_OF_CAUSE:
            shown.append(row)
        if cause := row.get("cause"):
            self._cause(cause).instances += 1
            self._explain(cause, row)
        if row.get("cause") == Cause.EXCEPTED:
            self.exceptions[row.get("sentence", "")] += 1

    def add_location(self, row: Row) -> None:
        """Count one expected location. One that was out of reach has a cause."""
        if name := row.get("accountName"):
            self.names[row["account"]] = name
        groups = (self.total, self._wave(row), self._account(row))
        for group in groups:
            group.locations += 1
        if not row.get("cause"):
            return
        for group in groups:
            group.unreachable += 1
        self._cause(row["cause"]).locations += 1
        self._explain(row["cause"], row)
        if len(self.unreachable) < SHOWN:
            self.unreachable.append(row)

    def add_patches(self, patches: Iterable[Patch]) -> None:
        """Count the patches that count against one instance."""
        for patch in patches:
            title = patch.title or patch.id
            group = self.patches.setdefault(title, PatchGroup(title, patch.severity, patch.classification))
            group.instances += 1
            group.states[patch.state] += 1

    def add_joined(self, row: Row) -> None:
        """Note one instance that was patched though it was not expected."""
        self.joined.append(row)

    @property
    def by_cause(self) -> list[CauseGroup]:
        """The causes, most frequent first."""
        return sorted(self.causes.values(), key=lambda one: (-one.instances - one.locations, one.cause))

    @property
    def by_account(self) -> list[tuple[str, Group]]:
        """The accounts, worst first."""
        return sorted(self.accounts.items(), key=_worst)

    @property
    def by_patch(self) -> list[PatchGroup]:
        """The patches, those that most instances lack first."""
        return sorted(self.patches.values(), key=lambda one: (-one.instances, one.title))

    @property
    def listed(self) -> Sequence[Row]:
        """The instances that the page lists: those that did not come out right, so many of each cause."""
        rows = (row for rows in self._shown.values() for row in rows)
        return sorted(rows, key=lambda row: (_URGENT.index(row["outcome"]), row.get("cause", "")))[:SHOWN]

    @property
    def unlisted(self) -> int:
        """How many more there are."""
        return self.total.expected - self.total.compliant - len(self.listed)

    def _wave(self, row: Row) -> Group:
        return self.waves.setdefault(row["wave"], Group())

    def _account(self, row: Row) -> Group:
        return self.accounts.setdefault(row["account"], Group())

    def _cause(self, cause: str) -> CauseGroup:
        return self.causes.setdefault(cause, CauseGroup(cause))

    def _explain(self, cause: str, row: Row) -> None:
        found = self._cause(cause)
        found.accounts[row["account"]] += 1
        if len(found.examples) < EXAMPLES:
            found.examples.append(row)
        if len(found.sentences) < SHOWN_OF_CAUSE or row.get("sentence", "") in found.sentences:
            found.sentences[row.get("sentence", "")] += 1


def _worst(entry: tuple[str, Group]) -> tuple[float, int, str]:
    account, group = entry
    percent = group.compliance.percent
    return (percent if percent is not None else -1.0 if group.unreachable else 101.0, -group.expected, account)


def differences(figures: Figures, counted: Mapping[str, tuple[int, Mapping[str, int]]]) -> Iterator[str]:
    """Where the rows do not add up to what was counted as they were written: for each wave, instances and outcomes."""
    for wave, (instances, outcomes) in counted.items():
        group = figures.waves.get(wave, Group())
        if group.expected != instances and any(outcomes.values()):
            yield f"wave {wave}: {group.expected} rows, {instances} expected"
        if dict(group.outcomes) != {name: count for name, count in outcomes.items() if count}:
            yield f"wave {wave}: rows say {dict(sorted(group.outcomes.items()))}, counters {dict(sorted(outcomes.items()))}"
