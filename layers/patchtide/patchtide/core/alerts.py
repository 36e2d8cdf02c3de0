"""What people are told, in words.

Each text answers in its first five lines: what is the matter, what to do by when, what else can change, the top cause, one
command. No line is over 72 columns, and the whole is under 32 KB however much went wrong. A text is worked out from the run
when it is published; since what it needs no longer changes, publishing twice says the same twice.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime, timedelta
from textwrap import wrap
from typing import Any, Literal
from zoneinfo import ZoneInfo

from patchtide.core.campaign import Campaign, Notify
from patchtide.core.causes import FIXES
from patchtide.core.frozen import frozen
from patchtide.core.gate import compliance, errors
from patchtide.core.orders import spoken
from patchtide.core.outcome import Cause, Outcome
from patchtide.core.pause import Pause
from patchtide.core.problem import Problem, part
from patchtide.core.run import AlertKind, Run, WaveRun, Window, approve_by, last_start, opens_at
from patchtide.core.states import ExecutionState, WaveState
from patchtide.core.tally import Tally

Severity = Literal["INFO", "WARNING", "CRITICAL"]
Status = Literal["info", "triggered", "resolved"]
Audience = Literal["oncall", "owner", "archive"]
SCHEMA = "patchtide.alert/1"
WIDTH = 72
MAX_BODY = 32_000
EXAMPLES = 3
MAX_TOLD = 200  # runs that a digest names
ENDING = timedelta(days=14)  # before its last day an exception is news
MAX_CAUSES = len(Cause)  # a closed list, so all of them fit


@frozen
class Alert:
    """One message: `id` is the same for a repeat, so that a repeat is known as one. `status` is for pagers: what is triggered is
    resolved by a later message about the same run. `facts` are the numbers of the text, for programs."""

    id: str
    event: str
    severity: Severity
    campaign: str
    run: str
    subject: str
    body: str
    status: Status = "info"
    facts: Mapping[str, Any] = field(default_factory=dict)
    audience: Audience = "oncall"


@frozen
class Briefing:
    """What a text about a run is made of. `examples` has a few rows for each cause; `unreachable` some of the locations.
    `wave_name` is the one that the text is about, if it is about one, and `about` what else."""

    run: Run
    timezone: str
    examples: Mapping[str, tuple[Mapping[str, str], ...]] = field(default_factory=dict)
    unreachable: tuple[Mapping[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    wave_name: str = ""
    about: str = ""
    notify: Notify = field(default_factory=Notify)

    @property
    def wave(self) -> WaveRun:
        """The wave that the text is about; the first where it is about the whole run."""
        return self.run.wave(self.wave_name) if self.wave_name else self.run.waves[0]

    @property
    def window(self) -> Window:
        """That wave's window."""
        return self.run.window_of(self.wave)

    @property
    def named(self) -> str:
        """That wave as a subject names it, where a run has several."""
        return f"{self.run.campaign} wave {self.wave.name}" if len(self.run.waves) > 1 else self.run.campaign

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

    @property
    def excepted(self) -> int:
        """Instances that an exception spares."""
        return sum(tally.excepted for tally in self.tallies)

    def causes(self) -> list[tuple[str, int]]:
        """The causes with their counts, most frequent first. An exception is somebody's decision, and no cause of trouble."""
        total: dict[str, int] = {}
        for tally in self.tallies:
            for cause, count in tally.causes.items():
                if cause != Cause.EXCEPTED:
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


def compose(kind: AlertKind, wave: str, about: str, briefing: Briefing) -> Alert:
    """The message of that kind about a run, or about one of its waves."""
    severity, subject, lines = _TEXTS[kind](replace(briefing, wave_name=wave, about=about))
    run = briefing.run
    return Alert(
        id="/".join(part for part in (run.id, kind, wave, about) if part),
        event=f"run.{kind}",
        severity=severity,
        campaign=run.campaign,
        run=run.id,
        subject=_subject(subject),
        body=_body(
            [*lines, *_report(kind, run), *_runbook(briefing.notify)],
            f"Why this mail: severity={severity}, event=run.{kind}, run={run.id}",
        ),
        status=_status(kind, severity),
        facts=_facts(replace(briefing, wave_name=wave, about=about)),
        audience="archive" if severity == "INFO" and briefing.notify.digest else "oncall",
    )


def _runbook(notify: Notify) -> Iterator[str]:
    if notify.runbook:
        yield from ("", f"Runbook: {notify.runbook}")


def slice_of(kind: AlertKind, account: str, rows: Iterable[Mapping[str, str]], briefing: Briefing) -> Alert:
    """What went wrong in one account alone, for whoever follows it."""
    run, rows = briefing.run, tuple(rows)
    causes = Counter(row["cause"] for row in rows)
    cause, count = causes.most_common(1)[0]
    example = next(row for row in rows if row["cause"] == cause)
    lines = [
        f"{_some(len(rows))} of account {account} did not come out right.",
        "ACTION: fix the causes below; the next run tries again.",
        "Nothing is still changing: the run is over.",
        f"Top cause: {count}x {cause}: {example['sentence']}",
        f"All of it: patchtide compliance report {run.id}",
        *_causes_of(causes.most_common(), {one: [row for row in rows if row["cause"] == one] for one in causes}),
        *_runbook(briefing.notify),
    ]
    severity: Severity = "WARNING"
    return Alert(
        id=f"{run.id}/{kind}/{account}",
        event=f"account.{kind}",
        severity=severity,
        campaign=run.campaign,
        run=run.id,
        subject=_subject(
            f"[patch] YOURS {run.campaign}: {_some(len(rows))} of account {account}, {_count(len(causes), 'cause')}"
        ),
        body=_body(
            lines, f"Why this mail: severity={severity}, event=account.{kind}, audience=owner, account={account}"
        ),
        facts={"accounts": [account], "instances": len(rows), "causes": dict(causes)},
        audience="owner",
    )


def digest(lines: Iterable[str], day: datetime) -> Alert:
    """What asked for nothing since the last digest, in one message."""
    told = list(lines)
    body = [
        f"{_count(len(told), 'run')} ended as they should since yesterday.",
        "ACTION: none.",
        "Nothing of them is still changing.",
        "No problem is known of them: what went wrong was told as it happened.",
        "Look: patchtide compliance summary",
        "",
        *(f" {line}" for line in told[:MAX_TOLD]),
        *([f" ... and {len(told) - MAX_TOLD} more"] if len(told) > MAX_TOLD else []),
    ]
    return Alert(
        id=f"service/digest/{day:%Y%m%d}",
        event="service.digest",
        severity="INFO",
        campaign="",
        run="",
        subject=_subject(f"[patch] DIGEST {day:%a %d %b}: {_count(len(told), 'run')} came out well"),
        body=_body(body, "Why this mail: severity=INFO, event=service.digest"),
    )


def _status(kind: AlertKind, severity: Severity) -> Status:
    if kind == "succeeded":
        return "resolved"
    return "info" if severity == "INFO" else "triggered"


def _facts(at: Briefing) -> dict[str, Any]:
    """The numbers of a text about a run."""
    return {
        "wave": at.wave_name,
        "expected": at.expected,
        "outcomes": {outcome.value: at.count(outcome) for outcome, _ in _WORDS if at.count(outcome)},
        "causes": dict(at.causes()),
        "locations": at.locations,
        "unreachable": at.out_of_reach,
        "accounts": sorted({row["account"] for rows in (*at.examples.values(), at.unreachable) for row in rows}),
        "windowEndsAt": f"{at.window.end:%Y-%m-%dT%H:%M:%SZ}",
    }


def machine(alert: Alert) -> dict[str, Any]:
    """The message for programs: its shape is `patchtide.alert/1`, and only ever gets more fields. What is triggered and resolved
    under one `dedupKey` is one incident."""
    return {
        "schema": SCHEMA,
        "id": alert.id,
        "status": alert.status,
        "dedupKey": alert.run or alert.id,
        "event": alert.event,
        "severity": alert.severity,
        "campaign": alert.campaign,
        "run": alert.run,
        "subject": alert.subject,
        "text": alert.body,
        **alert.facts,
    }


_SIGNS: Mapping[str, str] = {"INFO": ":white_check_mark:", "WARNING": ":warning:", "CRITICAL": ":octagonal_sign:"}


def _unmarked(text: str) -> str:
    """Text as chat shows it. What stands in angle brackets would be a link there, or call everybody in the channel."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def card(alert: Alert) -> dict[str, Any]:
    """The message as Amazon Q Developer in chat applications shows it: one thread for each run."""
    what, action, extent, cause, command = (_unmarked(alert.body).splitlines() + [""] * 5)[:5]
    return {
        "version": "1.0",
        "source": "custom",
        "id": re.sub(r"[^\w.-]", "-", alert.id)[:128],
        "content": {
            "textType": "client-markdown",
            "title": f"{_SIGNS[alert.severity]} {_unmarked(alert.subject.removeprefix('[patch] '))}"[:250],
            "description": "\n".join((f"*{what}*", extent, cause))[:8000],
            "nextSteps": [text for text in (action, f"`{command}`") if text.strip("`")],
            "keywords": ["patchtide", alert.event],
        },
        "metadata": {
            "threadId": alert.run or alert.campaign or alert.id,
            "summary": alert.subject[:250],
            "eventType": alert.event,
            "relatedResources": [f"campaign/{alert.campaign}"] if alert.campaign else [],
            "additionalContext": {"severity": alert.severity, "runId": alert.run},
        },
    }


def _report(kind: AlertKind, run: Run) -> Iterator[str]:
    """Where the report of an ended run is to be had."""
    if not run.open and kind in _ENDS:
        yield from ("", f"Report: patchtide compliance report {run.id}")
        yield f"  or report.html in the reports bucket, under runs/{run.campaign}/"


_ENDS: frozenset[AlertKind] = frozenset({"succeeded", "incomplete", "failed", "halted", "stopped", "skipped", "missed"})


def invalid(
    campaign: str, problems: Iterable[Problem], in_force: int, next_at: datetime | None, fingerprint: str
) -> Alert:
    """The message that an item was not taken."""
    problems, campaign = tuple(problems), part(campaign)  # the key of an item that was not taken can be anything
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
        subject=_subject(f"[patch] INVALID campaign {campaign}: {first.said}"),
        body=_text([*lines, "", f"Why this mail: severity=WARNING, event=campaign.invalid, item {fingerprint}"]),
    )


_Text = tuple[Severity, str, list[str]]


def notice(spec: Campaign, at: datetime, expected: int | None, now: datetime) -> Alert:
    """The message, about a day ahead, that a campaign is going to run; a warning where one of its exceptions is about to end."""
    zone = ZoneInfo(spec.timezone)
    begins = f"{at.astimezone(zone):%a %d %b %H:%M} {at.astimezone(zone):%Z} ({at:%H:%M}Z)"
    day = at.astimezone(zone).date()
    ending = [one for one in spec.exceptions if one.expires <= day + ENDING and one.active(now.astimezone(zone).date())]
    active = sum(one.active(day) for one in spec.exceptions)
    severity: Severity = "WARNING" if ending else "INFO"
    known = (
        f"About {expected} instances, as of its last run"
        if expected is not None
        else "How many instances is not known yet"
    )
    lines = [
        f"{spec.name} runs {begins}: {spec.operation}, {len(spec.waves)} {'wave' if len(spec.waves) == 1 else 'waves'}.",
        "ACTION: renew the exceptions below, or let them end." if ending else "ACTION: none.",
        f"{known}; {active} {'exception holds' if active == 1 else 'exceptions hold'}.",
        f"Reboots: {spec.reboot_option}. At a time: {', '.join(dict.fromkeys(one.max_concurrency for one in spec.waves))}.",
        f"Not now? patchtide campaign pause {spec.name}",
        *(["", "EXCEPTIONS THAT END"] if ending else []),
        *(f" {one.expires}: {one.reason} ({one.approved_by})" for one in ending),
    ]
    event = "exception.expiring" if ending else "campaign.notice"
    ends = f"; {len(ending)} {'exception ends' if len(ending) == 1 else 'exceptions end'}" if ending else ""
    return Alert(
        id=f"{spec.name}/notice/{at:%Y%m%dT%H%MZ}",
        event=event,
        severity=severity,
        campaign=spec.name,
        run="",
        subject=_subject(f"[patch] TOMORROW {spec.name}: {begins}{ends}"),
        body=_body(lines, f"Why this mail: severity={severity}, event={event}, audience=owner"),
        audience="owner",
    )


def overdue(campaign: str, due_at: datetime, now: datetime) -> Alert:
    """The message that an occurrence waits to be opened long after its time."""
    minutes = round((now - due_at).total_seconds() / 60)
    lines = [
        f"The run due {due_at:%Y-%m-%d %H:%M}Z was not opened for {minutes} min.",
        "ACTION: now: look at the dispatcher's errors; it is opened once they are mended.",
        "Nothing of it is changing.",
        "Top cause: the dispatcher does not run, or fails at this campaign.",
        f"Look: patchtide campaign show {campaign}",
    ]
    return Alert(
        id=f"{campaign}/overdue/{due_at:%Y%m%dT%H%MZ}",
        event="campaign.overdue",
        severity="CRITICAL",
        campaign=campaign,
        run="",
        subject=_subject(f"[patch] OVERDUE {campaign}: due {due_at:%Y-%m-%d %H:%M}Z, nobody has opened it"),
        body=_body(lines, "Why this mail: severity=CRITICAL, event=campaign.overdue"),
    )


def switched(pause: Pause, now: datetime) -> Alert:
    """The message that the whole service was paused, or goes on."""
    word = "PAUSED" if pause.on else "RESUMED"
    lines = [
        f"The service was {word.lower()} by {spoken(pause.by)} at {pause.at or now:%Y-%m-%d %H:%M}Z.",
        "ACTION: resume it when that is over: patchtide resume-all" if pause.on else "ACTION: none.",
        "Nothing new starts, in any campaign. What is being patched finishes."
        if pause.on
        else "Runs whose window is open go on.",
        f"Why: {pause.reason or 'no reason was given'}",
        "Look: patchtide run list",
    ]
    return Alert(
        id=f"service/{word.lower()}/{pause.at or now:%Y%m%dT%H%M%SZ}",
        event=f"service.{word.lower()}",
        severity="WARNING",
        campaign="",
        run="",
        subject=_subject(f"[patch] {word} all campaigns, by {spoken(pause.by)}"),
        body=_body(lines, f"Why this mail: severity=WARNING, event=service.{word.lower()}"),
    )


# Each text is its head, five lines long (what, action, what else, top cause, command), and what follows it.


def _started(at: Briefing) -> _Text:
    run, wave, window = at.run, at.wave, at.window
    missing = wave.tally.unreachable
    lines = [
        f"Started {at.local(wave.started_at or run.scheduled_at)}; window ends {window.end:%H:%M}Z.",
        f"ACTION: {'look at what could not be reached, below' if missing else 'none'}.",
        f"{_some(wave.tally.instances)} in {_locations_of(wave)}; nothing starts after {last_start(run, wave):%H:%M}Z.",
        _left_alone(wave.tally) or _top_cause(at),
        f"Watch: patchtide run watch {run.id}",
        f"To stop: patchtide run stop {run.id}",
        *_behind(at),
        *_unreachable(at),
        *(f"NOTE: {warning}" for warning in at.warnings),
    ]
    severity: Severity = "WARNING" if missing else "INFO"
    until = at.local(window.end)
    return severity, f"[patch] STARTED {at.named}: {_some(wave.tally.instances)}, until {until}", lines


def _left_alone(tally: Tally) -> str:
    """Who is expected and not patched, and why; empty where everybody is."""
    held = tally.count(Outcome.EXCLUDED) - tally.excepted
    parts = [f"{tally.excepted} under an exception"] if tally.excepted else []
    parts += [f"{held} left to another run"] if held else []
    return f"Not touched: {', '.join(parts)}." if parts else ""


def _behind(at: Briefing) -> Iterator[str]:
    """The waves that have had their turn and those that are still to come, a line each."""
    if len(at.run.waves) > 1:
        yield ""
        yield "WAVES"
        for wave in at.run.waves:
            yield f" {wave.name}: {_standing(at, wave)}"


def _standing(at: Briefing, wave: WaveRun) -> str:
    """Where a wave stands, in words."""
    if wave.withheld:
        return (
            f"{wave.withheld}, {wave.tally.instances or 'its'} instances untouched"
            if not wave.started_at
            else wave.reason
        )
    if wave.state is WaveState.SETTLED:
        return f"done, {wave.tally.instances - errors(wave.tally)} of {wave.tally.instances} without errors"
    if wave.state in (WaveState.RUNNING, WaveState.COLLECTING):
        return f"under way, {wave.tally.instances} instances"
    if wave.state in (WaveState.EMPTY, WaveState.EXPIRED, WaveState.BROKEN):
        return f"{wave.state}, {wave.reason or 'no instance matched'}"
    before = at.run.before(wave)
    follows = before is not None and at.run.window_of(before) == at.run.window_of(wave)
    begins = (
        f"after {before.name}, in the same window" if follows and before else f"from {at.local(opens_at(at.run, wave))}"
    )
    return begins + (", once it is approved" if wave.approval and not wave.approved else "")


def _wave(at: Briefing) -> _Text:
    run, wave = at.run, at.wave
    tally, following = wave.tally, run.after(wave)[0]
    gate = wave.gate
    wants = f", {gate.min_compliance:g}% wanted" if gate.min_compliance is not None else ""
    begins = f"next is {following.name}, {at.local(opens_at(run, following))}"
    approval = f"approve wave {following.name} when you are asked to" if following.approval else "none"
    lines = [
        f"Wave {wave.name} is done: {_counts_of(tally)}, of {tally.instances}.",
        f"ACTION: {approval}.",
        f"Gate passed: {errors(tally)} errors, {gate.max_errors} allowed; {compliance(tally):.0f}% compliant{wants}.",
        f"{begins[0].upper()}{begins[1:]}" + (f", after {_hours(gate.soak)} of bake time." if gate.soak else "."),
        f"Details: patchtide run show {run.id}",
        *_causes(at),
    ]
    done = tally.instances - errors(tally)
    return "INFO", f"[patch] WAVE OK {at.named}: {done}/{tally.instances} -> {following.name}", lines


def _approve(at: Briefing) -> _Text:
    run, wave = at.run, at.wave
    tally, by = wave.tally, approve_by(run, wave)
    evidence = [
        f"{one.name} {one.tally.instances - errors(one.tally)}/{one.tally.instances}" for one in run.waves if _done(one)
    ]
    lines = [
        f"Wave {wave.name} wants to patch {_some(tally.instances)} in {_locations_of(wave)}.",
        f"ACTION: approve before {at.local(by)}, or it is SKIPPED.",
        f"It would run {at.local(opens_at(run, wave))} to {at.window.end:%H:%M}Z.",
        f"Evidence: {', '.join(evidence) or 'none, it is the first wave'}.",
        f"patchtide run approve {run.id} {wave.name} --digest {at.about}",
        f"or: patchtide run reject {run.id} {wave.name} --reason ...",
        *(
            [f"Whoever wrote the campaign ({spoken(run.author) or 'unknown'}) cannot approve it."]
            if run.other_approver
            else []
        ),
        *_behind(at),
        *_unreachable(at),
    ]
    return "WARNING", f"[patch] APPROVE? {at.named}: {_some(tally.instances)}, by {at.local(by)}", lines


def _done(wave: WaveRun) -> bool:
    return wave.state is WaveState.SETTLED and wave.started_at is not None


def _late(at: Briefing) -> _Text:
    run, wave = at.run, at.wave
    reason = wave.hold or {
        WaveState.PREPARING: "not all locations have said who their targets are",
        WaveState.READY: "its executions have not been started, and nothing says why",
    }.get(wave.state, "AWS has not taken its executions")
    lines = [
        f"Was to start {at.local(opens_at(run, wave))}, and has not.",
        f"ACTION: see below; it starts by itself until {last_start(run, wave):%H:%M}Z, once it may.",
        f"Nothing of it is changing. {wave.tally.instances or 'Unknown'} instances wait.",
        f"Top cause: {reason}",
        f"Look: patchtide run show {run.id}",
    ]
    return "WARNING", f"[patch] LATE {at.named}: has not started, {reason}", lines


def _closing(at: Briefing) -> _Text:
    run, wave = at.run, at.wave
    going = [one for one in run.executions_of(wave.name) if one.state is ExecutionState.RUNNING]
    places = sum(one.locations - one.ended_locations for one in going)
    lines = [
        f"{last_start(run, wave):%H:%M}Z cutoff reached: {places} of {wave.locations} locations are still at work.",
        "ACTION: none now. What has not begun is taken back, and stays as it is.",
        f"{_some(sum(one.instances for one in going))} there; some may finish after {at.window.end:%H:%M}Z.",
        "Top cause: more instances than the window holds at this rate.",
        f"Later: patchtide run retry {run.id} --failed-only",
    ]
    still = f"{places} of {wave.locations} locations still at work"
    return "WARNING", f"[patch] CLOSING {at.named}: window ends {at.local(at.window.end)}, {still}", lines


def _postponed(at: Briefing) -> _Text:
    run, wave = at.run, at.wave
    start = at.local(at.window.start)
    lines = [
        f"Wave {wave.name} is postponed to {start}.",
        "ACTION: none; it is the first day that is open at that hour.",
        "Nothing of it is changing. Waves behind it move by as much.",
        f"Top cause: {wave.hold or wave.reason}",
        f"Look: patchtide run show {run.id}",
        *_behind(at),
    ]
    return "WARNING", f"[patch] POSTPONED {at.named}: to {start}", lines


def _undecided(at: Briefing) -> _Text:
    run, wave = at.run, at.wave
    doubt = next((one.doubt for one in run.executions_of(wave.name) if one.doubt), "")
    tokens = [one.token for one in run.executions_of(wave.name) if one.doubt]
    lines = [
        "A start was sent, and nobody can tell whether AWS took it.",
        "ACTION: now: look for it in the hub, by the tag below.",
        "It may be patching. It will NOT be started again while that is open.",
        f"Top cause: {doubt}",
        f"Look: patchtide run show {run.id}",
        *(f"TAG patchtide:start:{token}" for token in tokens[:5]),
    ]
    return "CRITICAL", f"[patch] UNDECIDED {at.named}: a start that may or may not have happened", lines


def _missed_before(at: Briefing) -> _Text:
    run = at.run
    since = at.local(run.missed_since or run.scheduled_at)
    lines = [
        f"{run.missed} runs before {run.id} did NOT happen, from {since} on.",
        "ACTION: find out what kept the service from running then.",
        "Nothing was patched for them, nothing is changing because of them.",
        "Top cause: nobody opened them in their time: an outage of the service.",
        f"Look: patchtide run show {run.id}",
    ]
    return "CRITICAL", f"[patch] MISSED {run.campaign}: {run.missed} runs since {since}", lines


def _halted(at: Briefing) -> _Text:
    run = at.run
    stopper = next((wave for wave in run.waves if wave.withheld == "halted"), run.waves[-1])
    untouched = [wave.name for wave in run.waves if wave.withheld == "halted"]
    lines = [
        f"Halted: {stopper.reason}.",
        "ACTION: decide: fix and retry, or leave the rest as it is.",
        f"Safe now: {', '.join(untouched)} untouched. Nothing is still changing.",
        _top_cause(at),
        f"Go on: patchtide run retry {run.id}   (--failed-only: not the rest)",
        "",
        f"COUNTS {_counts(at)}",
        *_behind(at),
        *_causes(at),
        *_unreachable(at),
        *_executions(run),
    ]
    return "CRITICAL", f"[patch] HALTED {run.campaign}: {stopper.reason}", lines


def _skipped(at: Briefing) -> _Text:
    run = at.run
    wave = next((wave for wave in run.waves if wave.withheld == "skipped"), run.waves[0])
    done = [one for one in run.waves if _done(one)]
    lines = [
        f"Wave {wave.name} was SKIPPED: {wave.reason}.",
        "ACTION: decide whether to patch before the next occurrence.",
        f"Nothing is changing. {', '.join(one.name for one in done) or 'No wave'} was done before.",
        f"Top cause: {wave.reason}",
        f"Run it after all: patchtide run retry {run.id}",
        *_behind(at),
        *_causes(at),
    ]
    return "WARNING", f"[patch] SKIPPED {run.campaign} wave {wave.name}: {wave.reason}", lines


def _stopped(at: Briefing) -> _Text:
    run = at.run
    wave = next((wave for wave in run.waves if wave.withheld == "stopped"), run.waves[0])
    done = at.count(Outcome.COMPLIANT, Outcome.SCANNED)
    lines = [
        f"The run was {wave.reason}.",
        "ACTION: decide what becomes of what was not patched.",
        f"Nothing is still changing: {_counts(at)}.",
        f"Top cause: {wave.reason}",
        f"Go on: patchtide run retry {run.id}",
        *_behind(at),
        *_causes(at),
        *_unreachable(at),
        *_executions(run),
    ]
    return "WARNING", f"[patch] STOPPED {run.campaign}: {done}/{at.expected} patched, {wave.reason}", lines


def _replaced(at: Briefing) -> _Text:
    run = at.run
    lines = [
        f"Run {run.id} made room: its campaign changed.",
        "ACTION: approve the new run, if there is one; this one is void.",
        "Nothing was patched, nothing is changing.",
        f"Top cause: version {run.spec} is no longer in force.",
        f"Look: patchtide run list {run.campaign}",
    ]
    return "INFO", f"[patch] REPLACED {run.campaign}: the campaign changed before it began", lines


def _hours(span: timedelta) -> str:
    minutes = round(span.total_seconds() / 60)
    return (
        f"{minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "") if minutes >= 60 else f"{minutes} min"
    )


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
    waiting, held = at.count(Outcome.PENDING_REBOOT), at.count(Outcome.EXCLUDED) - at.excepted
    reboot = f"reboot the {waiting}, then scan; they do not count as patched"
    later = f"retry the {held} when the run that has them is over"
    actions = [text for count, text in ((waiting, reboot), (held, later)) if count]
    top = f"{at.excepted}x EXCEPTED: exceptions spare every instance."
    if held:
        top = f"{held}x HELD by another run."
    if waiting:
        top = f"{waiting}x PENDING_REBOOT, patches are in and wait for a reboot."
    lines = [
        f"Nothing failed: {_counts(at)}, of {at.expected}.",
        f"ACTION: {'; '.join(actions) or 'none, unless the exceptions go too far'}.",
        f"Nothing is still changing. {_locations(at)}.",
        f"Top cause: {top}",
        f"Which: patchtide run show {run.id} --failed",
        *_causes(at),
    ]
    if waiting:
        return "WARNING", f"[patch] REBOOT {run.campaign}: {waiting}/{at.expected} wait for a reboot, 0 failed", lines
    if held:
        return "WARNING", f"[patch] EXCLUDED {run.campaign}: {held}/{at.expected} left to another run, 0 failed", lines
    return "WARNING", f"[patch] EXCEPTED {run.campaign}: all {at.expected} are under an exception", lines


def _failed(at: Briefing) -> _Text:
    run = at.run
    bad = at.count(*_BAD)
    unbegun = next(
        (wave for wave in run.waves if wave.state in (WaveState.BROKEN, WaveState.EXPIRED, WaveState.EMPTY)), None
    )
    missed = f" {at.out_of_reach} of {at.locations} locations were out of reach." if at.out_of_reach else ""
    causes = len(at.causes())
    first = f"{bad} of {at.expected} instances are not patched. The run is over."
    if not at.expected:
        first = "Nothing was patched."
    elif unbegun and not bad:
        first = f"Wave {unbegun.name} was not begun. The run is over."
    lines = [
        first,
        "ACTION: today: fix the causes below, then run it again.",
        f"Nothing is still changing.{missed}",
        f"Top cause: {unbegun.reason}" if unbegun and unbegun.reason and not causes else _top_cause(at),
        f"Look: patchtide run show {run.id} --failed",
        *(["", f"COUNTS {_counts(at)}"] if at.expected else []),
        *([f"CAUSE wave {unbegun.name}: {unbegun.reason}"] if unbegun and unbegun.reason else []),
        *_behind(at),
        *_causes(at),
        *_unreachable(at),
        *_executions(run),
    ]
    if unbegun and not at.expected:
        return "CRITICAL", f"[patch] FAILED {run.campaign}: could not be prepared", lines
    if unbegun and not bad:
        return "CRITICAL", f"[patch] FAILED {run.campaign}: wave {unbegun.name} was not begun", lines
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


_TEXTS: Mapping[AlertKind, Callable[[Briefing], _Text]] = {
    "started": _started,
    "wave": _wave,
    "approve": _approve,
    "late": _late,
    "closing": _closing,
    "postponed": _postponed,
    "undecided": _undecided,
    "missed-before": _missed_before,
    "succeeded": _succeeded,
    "incomplete": _incomplete,
    "failed": _failed,
    "no-targets": _no_targets,
    "missed": _missed,
    "halted": _halted,
    "skipped": _skipped,
    "stopped": _stopped,
    "replaced": _replaced,
}


def _counts(at: Briefing) -> str:
    parts = [f"{at.count(outcome)} {words}" for outcome, words in _WORDS if at.count(outcome)]
    return ", ".join(parts) or "nothing was done"


def _some(instances: int) -> str:
    return _count(instances, "instance")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _counts_of(tally: Tally) -> str:
    return (
        ", ".join(f"{tally.count(outcome)} {words}" for outcome, words in _WORDS if tally.count(outcome)) or "nothing"
    )


def _locations_of(wave: WaveRun) -> str:
    reached = wave.locations - wave.tally.unreachable
    if wave.tally.unreachable:
        return f"{reached} of {wave.locations} locations"
    return f"{wave.locations} {'location' if wave.locations == 1 else 'locations'}"


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
    yield from _causes_of(at.causes(), at.examples)


def _causes_of(causes: Sequence[tuple[str, int]], examples: Mapping[str, Sequence[Mapping[str, str]]]) -> Iterator[str]:
    if not causes:
        return
    yield from ("", "CAUSES")
    for cause, count in causes[:MAX_CAUSES]:
        yield f" {count}x {cause}  fix: {FIXES.get(Cause(cause), '')}"
        rows = examples.get(cause, ())
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
    """On one line, whoever wrote it: a second line could be taken for ours, and SNS refuses a subject with control characters."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^ -~]", " ", plain)


def _subject(text: str) -> str:
    """ASCII and at most 99 characters: older partitions refuse more, and some mail gateways replace what is not ASCII."""
    plain = " ".join(_ascii(text).split())
    return plain if len(plain) <= 99 else plain[:96] + "..."


HEAD = 4  # lines that must stay one line each, so that the fifth is the command


def _body(lines: list[str], why: str) -> str:
    head = [line if len(line) <= WIDTH else line[: WIDTH - 3] + "..." for line in map(_ascii, lines[:HEAD])]
    long = [line for line in map(_ascii, lines[:HEAD]) if len(line) > WIDTH]
    cut = dict.fromkeys((line.partition(": ")[2] or line).rstrip(".") for line in long)
    whole = ["", *(f"IN FULL {line}" for line in cut)] if cut else []
    return _text([*head, *lines[HEAD : HEAD + 1], *whole, *lines[HEAD + 1 :], "", why])


def _text(lines: Iterable[str]) -> str:
    text = "\n".join(piece for line in lines for piece in _fit(line))
    return text if len(text) <= MAX_BODY else text[: MAX_BODY - 80] + "\n... cut: see `patchtide run show`"


def _fit(line: str) -> list[str]:
    plain = _ascii(line.replace("…", "..."))
    indent = " " * (len(plain) - len(plain.lstrip()))
    return wrap(plain, WIDTH, subsequent_indent=indent + "  ", break_on_hyphens=False) or [""]
