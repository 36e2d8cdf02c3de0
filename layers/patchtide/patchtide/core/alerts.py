"""What people are told, in words.

Each text answers in its first five lines: what is the matter, what to do by when, what else can change, the top cause, one
command. No line is over 72 columns, and the whole is under 32 KB however much went wrong. A text is worked out from the run
when it is published; since what it needs no longer changes, publishing twice says the same twice.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from textwrap import wrap
from typing import Literal
from zoneinfo import ZoneInfo

from patchtide.core.causes import FIXES
from patchtide.core.outcome import Cause, Outcome
from patchtide.core.problem import Problem
from patchtide.core.run import AlertKind, Run, Tally

Severity = Literal["INFO", "WARNING", "CRITICAL"]
WIDTH = 72
MAX_BODY = 32_000
EXAMPLES = 3
MAX_CAUSES = 12


@dataclass(frozen=True)
class Alert:
    """One message: `id` is the same for a repeat, so that a repeat is known as one."""

    id: str
    event: str
    severity: Severity
    campaign: str
    run: str
    subject: str
    body: str


@dataclass(frozen=True)
class Briefing:
    """What a text about a run is made of. `examples` has a few rows for each cause; `unreachable` some of the locations."""

    run: Run
    timezone: str
    examples: Mapping[str, tuple[Mapping[str, str], ...]] = field(default_factory=dict)
    unreachable: tuple[Mapping[str, str], ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def tallies(self) -> tuple[Tally, ...]:
        """The counts of each wave."""
        return tuple(wave.tally for wave in self.run.waves)

    @property
    def expected(self) -> int:
        """Instances that were expected."""
        return sum(tally.instances for tally in self.tallies)

    @property
    def locations(self) -> int:
        """Locations that were expected."""
        return sum(wave.locations for wave in self.run.waves)

    @property
    def out_of_reach(self) -> int:
        """Locations that could not be asked."""
        return sum(tally.unreachable for tally in self.tallies)

    def count(self, *outcomes: Outcome) -> int:
        """Instances with one of these outcomes."""
        return sum(tally.count(*outcomes) for tally in self.tallies)

    def causes(self) -> list[tuple[str, int]]:
        """The causes with their counts, most frequent first."""
        total: dict[str, int] = {}
        for tally in self.tallies:
            for cause, count in tally.causes.items():
                total[cause] = total.get(cause, 0) + count
        return sorted(total.items(), key=lambda entry: (-entry[1], entry[0]))

    def local(self, moment: datetime) -> str:
        """A moment as people in the campaign's zone read it, and in UTC."""
        there = moment.astimezone(ZoneInfo(self.timezone))
        return f"{there:%a %d %b %H:%M} {there:%Z} ({moment:%H:%M}Z)"


_BAD = (
    Outcome.FAILED,
    Outcome.UNREACHABLE,
    Outcome.UNVERIFIED,
    Outcome.NON_COMPLIANT,
    Outcome.NOT_STARTED,
    Outcome.GONE,
)
_WORDS: tuple[tuple[Outcome, str], ...] = (
    (Outcome.COMPLIANT, "patched"),
    (Outcome.SCANNED, "scanned"),
    (Outcome.PENDING_REBOOT, "need a reboot"),
    (Outcome.NON_COMPLIANT, "not compliant"),
    (Outcome.FAILED, "failed"),
    (Outcome.UNREACHABLE, "unreachable"),
    (Outcome.UNVERIFIED, "unverified"),
    (Outcome.NOT_STARTED, "not started"),
    (Outcome.GONE, "gone"),
    (Outcome.EXCLUDED, "excluded"),
)


def compose(kind: AlertKind, briefing: Briefing) -> Alert:
    """The message of that kind about a run."""
    severity, subject, lines = {
        "started": _started,
        "succeeded": _succeeded,
        "incomplete": _incomplete,
        "failed": _failed,
        "no-targets": _no_targets,
        "missed": _missed,
    }[kind](briefing)
    run = briefing.run
    return Alert(
        id=f"{run.id}/{kind}",
        event=f"run.{kind}",
        severity=severity,
        campaign=run.campaign,
        run=run.id,
        subject=_subject(subject),
        body=_body(lines, f"Why this mail: severity={severity}, event=run.{kind}, run={run.id}"),
    )


def invalid(
    campaign: str, problems: Iterable[Problem], in_force: int, next_at: datetime | None, fingerprint: str
) -> Alert:
    """The message that an item was not taken."""
    problems = tuple(problems)
    stands = f"Version {in_force} (valid) stays in force." if in_force else "No version is in force: nothing will run."
    when = f"before next run {next_at:%a %d %b %H:%M}Z" if next_at else "no run is waiting for it"
    lines = [
        f"The item was NOT taken. {stands}",
        f"ACTION: owner, {when}.",
        *(f"Error {number}: {problem}" for number, problem in enumerate(problems[:20], 1)),
        *([f"... and {len(problems) - 20} more errors"] if len(problems) > 20 else []),
        "Check offline: patchtide validate FILE",
    ]
    first = problems[0]
    return Alert(
        id=f"{campaign}/invalid/{fingerprint}",
        event="campaign.invalid",
        severity="WARNING",
        campaign=campaign,
        run="",
        subject=_subject(f"[patch] INVALID campaign {campaign}: {first.path} {first.message}"),
        body=_text([*lines, "", f"Why this mail: severity=WARNING, event=campaign.invalid, item {fingerprint}"]),
    )


_Text = tuple[Severity, str, list[str]]


# Each text is its head, five lines long (what, action, what else, top cause, command), and what follows it.


def _started(at: Briefing) -> _Text:
    run = at.run
    action = "look at what could not be reached, below" if at.out_of_reach else "none"
    lines = [
        f"Started {at.local(run.started_at or run.scheduled_at)}; window ends {run.window.end:%H:%M}Z.",
        f"ACTION: {action}.",
        f"{at.expected} instances in {_locations(at)}; nothing starts after {run.window.last_start:%H:%M}Z.",
        _top_cause(at),
        f"Watch: patchtide run watch {run.id}",
        *_unreachable(at),
        *(f"NOTE: {warning}" for warning in at.warnings),
    ]
    severity: Severity = "WARNING" if at.out_of_reach else "INFO"
    ends = at.local(run.window.end)
    return severity, f"[patch] STARTED {run.campaign}: {at.expected} instances, until {ends}", lines


def _succeeded(at: Briefing) -> _Text:
    run = at.run
    done = at.count(Outcome.COMPLIANT, Outcome.SCANNED)
    verb = "scanned" if at.count(Outcome.SCANNED) else "patched"
    lines = [
        f"All done: {_counts(at)}, of {at.expected}.",
        "ACTION: none.",
        f"Nothing is still changing. {_locations(at)}, each with evidence.",
        f"Took {_took(run)}, ended {at.local(run.ended_at or run.scheduled_at)}.",
        f"Details: patchtide run show {run.id}",
    ]
    return "INFO", f"[patch] OK {run.campaign}: {done}/{at.expected} {verb}", lines


def _incomplete(at: Briefing) -> _Text:
    run = at.run
    waiting = at.count(Outcome.PENDING_REBOOT)
    lines = [
        f"Nothing failed: {_counts(at)}, of {at.expected}.",
        f"ACTION: reboot the {waiting}, then scan; they do not count as patched.",
        f"Nothing is still changing. {_locations(at)}.",
        f"Top cause: {waiting}x PENDING_REBOOT, patches are in and wait for a reboot.",
        f"Which: patchtide run show {run.id} --failed",
        *_causes(at),
    ]
    return "WARNING", f"[patch] REBOOT {run.campaign}: {waiting}/{at.expected} wait for a reboot, 0 failed", lines


def _failed(at: Briefing) -> _Text:
    run = at.run
    bad = at.count(*_BAD)
    reason = next((wave.reason for wave in run.waves if wave.reason), "")
    unprepared = bool(reason) and not at.expected
    missed = f" {at.out_of_reach} of {at.locations} locations were out of reach." if at.out_of_reach else ""
    causes = len(at.causes())
    lines = [
        "Nothing was patched." if unprepared else f"{bad} of {at.expected} instances are not patched. The run is over.",
        "ACTION: today: fix the causes below, then run it again.",
        f"Nothing is still changing.{missed}",
        f"Top cause: {reason}" if unprepared else _top_cause(at),
        f"Look: patchtide run show {run.id} --failed",
        *([] if unprepared else ["", f"COUNTS {_counts(at)}"]),
        *([f"CAUSE {reason}"] if unprepared else _causes(at)),
        *_unreachable(at),
        *_executions(run),
    ]
    if unprepared:
        return "CRITICAL", f"[patch] FAILED {run.campaign}: could not be prepared", lines
    tail = f"{causes} {'cause' if causes == 1 else 'causes'}" if causes else f"{at.out_of_reach} locations out of reach"
    return "CRITICAL", f"[patch] FAILED {run.campaign}: {bad}/{at.expected} not patched, {tail}", lines


def _no_targets(at: Briefing) -> _Text:
    run = at.run
    lines = [
        f"Not one instance matched, in {_locations(at)}. Nothing was patched.",
        "ACTION: check the campaign's targets, accounts and Regions today.",
        "Nothing was changed anywhere.",
        "Top cause: a tag or group that no instance has, or an empty unit.",
        f"Look: patchtide campaign show {run.campaign}",
    ]
    return "CRITICAL", f"[patch] NO TARGETS {run.campaign}: 0 instances matched, nothing was patched", lines


def _missed(at: Briefing) -> _Text:
    run = at.run
    told = (*(wave.reason for wave in run.waves), *(execution.reason for execution in run.executions))
    reason = next((reason for reason in told if reason), "the window closed first")
    lines = [
        f"The run due {at.local(run.scheduled_at)} did NOT happen.",
        "ACTION: decide whether to patch before the next occurrence.",
        f"Nothing was patched, nothing is changing. {at.expected or 'Unknown'} instances waited.",
        f"Top cause: {reason}.",
        f"Look: patchtide run show {run.id}",
    ]
    return "CRITICAL", f"[patch] MISSED {run.campaign}: due {at.local(run.scheduled_at)}, nothing was patched", lines


def _counts(at: Briefing) -> str:
    parts = [f"{at.count(outcome)} {words}" for outcome, words in _WORDS if at.count(outcome)]
    return ", ".join(parts) or "nothing was done"


def _locations(at: Briefing) -> str:
    reached = at.locations - at.out_of_reach
    return f"{reached} of {at.locations} locations" if at.out_of_reach else f"{at.locations} locations"


def _top_cause(at: Briefing) -> str:
    causes = at.causes()
    if not causes:
        return f"Top cause: {at.unreachable[0]['sentence']}" if at.unreachable else "No problem is known so far."
    cause, count = causes[0]
    example = next(iter(at.examples.get(cause, ())), None)
    return f"Top cause: {count}x {cause}{': ' + example['sentence'] if example else ''}"


def _causes(at: Briefing) -> Iterator[str]:
    causes = at.causes()
    if not causes:
        return
    yield from ("", "CAUSES")
    for cause, count in causes[:MAX_CAUSES]:
        yield f" {count}x {cause}  fix: {FIXES.get(Cause(cause), '')}"
        rows = at.examples.get(cause, ())
        for row in rows[:EXAMPLES]:
            name = f" ({row['name']})" if row.get("name") else ""
            yield f"    {row['account']} {row['region']} {row['instance']}{name}"
            yield f"      {row['sentence']}"
        if count > len(rows[:EXAMPLES]):
            yield f"    ... and {count - len(rows[:EXAMPLES])} more"
    if len(causes) > MAX_CAUSES:
        yield f" ... and {len(causes) - MAX_CAUSES} more causes"


def _unreachable(at: Briefing) -> Iterator[str]:
    if not at.unreachable:
        return
    yield from ("", "NOT REACHED")
    for row in at.unreachable[:20]:
        yield f" {row['account']} {row['region']}  {row['cause']}"
        yield f"    {row['sentence']}"
        yield f"    fix: {FIXES.get(Cause(row['cause']), '')}"
    if at.out_of_reach > len(at.unreachable[:20]):
        yield f" ... and {at.out_of_reach - len(at.unreachable[:20])} more locations"


def _executions(run: Run) -> Iterator[str]:
    ids = [execution.id for execution in run.executions if execution.id]
    if ids:
        yield ""
        yield "IDs: automation " + ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")


def _took(run: Run) -> str:
    minutes = round(((run.ended_at or run.opened_at) - (run.started_at or run.opened_at)).total_seconds() / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def _ascii(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def _subject(text: str) -> str:
    """ASCII and at most 99 characters: older partitions refuse more, and some mail gateways replace what is not ASCII."""
    plain = " ".join(_ascii(text).split())
    return plain if len(plain) <= 99 else plain[:96] + "..."


HEAD = 4  # lines that must stay one line each, so that the fifth is the command


def _body(lines: list[str], why: str) -> str:
    head = [line if len(line) <= WIDTH else line[: WIDTH - 3] + "..." for line in map(_ascii, lines[:HEAD])]
    return _text([*head, *lines[HEAD:], "", why])


def _text(lines: Iterable[str]) -> str:
    text = "\n".join(piece for line in lines for piece in _fit(line))
    return text if len(text) <= MAX_BODY else text[: MAX_BODY - 80] + "\n... cut: see `patchtide run show`"


def _fit(line: str) -> list[str]:
    plain = _ascii(line.replace("…", "..."))
    indent = " " * (len(plain) - len(plain.lstrip()))
    return wrap(plain, WIDTH, subsequent_indent=indent + "  ", break_on_hyphens=False) or [""]
