"""The guards, each taken out by a small patch: the proof must turn red, or it proves nothing of that guard.

A mutant is played in a process of its own, in which the module is imported with the patch in it. Where to look is part of the
mutant, so that all of them are judged within a minute; looking everywhere would only take longer.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

FRESH = ("patchtide", "simulator.memory", "simulator.proof")


@dataclass(frozen=True)
class Mutant:
    """A guard that is taken out. `looks` are scenarios, with how many faults, and the letters of those that are tried:
    `single:1BA`; or `seeds:kind:count`."""

    guard: str
    module: str
    before: str
    after: str
    looks: tuple[str, ...]
    also: tuple[tuple[str, str, str], ...] = ()  # the same guard where it stands a second time


MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "a start carries its token",
        "patchtide.aws.automation",
        "start_automation_execution(**json.loads(request))",
        'start_automation_execution(**(json.loads(request) | {"ClientToken": str(__import__("uuid").uuid4())}))',
        ("single:1BA",),
    ),
    Mutant(
        "a start that nobody answered is found, not sent again, once its token is old",
        "patchtide.core.due",
        "return now < first + TOKEN_TRUST and now < last_start(run, wave)",
        "return now < last_start(run, wave)",
        ("forgetful:1A",),
    ),
    Mutant(
        "what is found by its tag is not started again",
        "patchtide.flow.dispatcher",
        "yield Started(execution.key, found, at.now()) if found else NotThere(execution.key)",
        "yield NotThere(execution.key)",
        ("forgetful:1A",),
    ),
    Mutant(
        "an occurrence is claimed once: the registration is as it was read, and the run is new",
        "patchtide.aws.runs",
        """        opened = self.table.put_new(_run_item(run, run.opened_at, uuid4().hex))
        self._save(registration, [opened, self.table.put(_occurrence_item(run, ""))])""",
        """        opened = self.table.put(_run_item(run, run.opened_at, uuid4().hex))
        self.table.transact("claim", [opened, self.table.put(_occurrence_item(run, ""))])
        self._save(registration, [])""",
        ("single:1W",),
    ),
    Mutant(
        "who saves a run has loaded the latest",
        "patchtide.aws.runs",
        'item, "version = :before", {":before": before.version}',
        'item, "version >= :zero", {":zero": 0}',
        ("smallest:1W",),
    ),
    Mutant(
        "what is about to be done is noted first",
        "patchtide.flow.step",
        "        noted = ask(run, todo, now())",
        "        noted = run",
        ("nobody:1W",),
    ),
    Mutant(
        "the runbook's fence knows the cutoff",
        "patchtide.core.request",
        '"NotAfter": [f"{work.not_after:%Y-%m-%dT%H:%M:%SZ}"],',
        "",
        ("tight:1T",),
    ),
    Mutant(
        "what waits is taken back before the cutoff",
        "patchtide.core.due",
        "    if _halts(run, wave, now):",
        "    if False:",
        ("crowded:0",),
    ),
    Mutant(
        "a calendar that is known to close ends the window",
        "patchtide.core.run",
        "return min(closes, wave.closes_at) if wave.closes_at else closes",
        "return closes",
        ("shutting:0",),
    ),
    Mutant(
        "planning is not permission: the window is looked at last of all",
        "patchtide.flow.dispatcher",
        "    return capped and in_window(run, wave, at.now())",
        "    return capped",
        ("tight:1T",),
    ),
    Mutant(
        "a closed calendar bars every start",
        "patchtide.flow.permits",
        """    if found.open:
        return YES
    return Verdict("no" if found.sure else "wait", found.reason)""",
        "    return YES",
        ("closing:0", "closing:1", "seeds:calendar:200"),
    ),
    Mutant(
        "a calendar that cannot be read is closed",
        "patchtide.flow.permits",
        'return Opening(False, None, f"the calendar could not be read: {error.message}", sure) & found',
        "return Opening(True, None) & found",
        ("closing:1E",),
    ),
    Mutant(
        "while the service is paused nothing starts",
        "patchtide.flow.permits",
        '    return Verdict("no", str(pause)) if pause.on else YES',
        "    return YES",
        ("paused:0",),
    ),
    Mutant(
        "a switch that cannot be read is a pause",
        "patchtide.flow.permits",
        'return Verdict("wait", f"whether the service is paused could not be read: {error.message}")',
        "return YES",
        ("single:1E",),
    ),
    Mutant(
        "a campaign that was disabled starts nothing",
        "patchtide.flow.permits",
        '    return YES if held.enabled else Verdict("no", "its campaign is DISABLED")',
        "    return YES",
        ("disabled:0",),
    ),
    Mutant(
        "a campaign that cannot be read starts nothing",
        "patchtide.flow.permits",
        'return Verdict("wait", f"whether the campaign is enabled could not be read: {error.message}")',
        "return YES",
        ("single:1E",),
    ),
    Mutant(
        "the runbook is the one that the run was prepared for",
        "patchtide.flow.permits",
        "    changed = run.changed_runbook(found)",
        '    changed = ""',
        ("swapped:0",),
    ),
    Mutant(
        "a list of patches is what its name says",
        "patchtide.flow.permits",
        "    if digest == override.digest:\n        return YES",
        "    return YES",
        ("tampered:0",),
    ),
    Mutant(
        "a list of patches that cannot be read starts nothing",
        "patchtide.flow.permits",
        '        return Verdict(answer, f"the override list could not be read: {error.message}")',
        "        return YES",
        ("tampered:0",),
    ),
    Mutant(
        "a gate stops what is behind it",
        "patchtide.core.advance",
        '    if verdict.answer == "no":\n        return _withhold(run, wave, "halted", f"wave {before.name}: {verdict.reason}")',
        "",
        ("gated:0",),
    ),
    Mutant(
        "a wave bakes before the next one begins",
        "patchtide.core.run",
        "default=before.settled_at or run.opened_at) + before.gate.soak",
        "default=before.settled_at or run.opened_at)",
        ("baked:0",),
    ),
    Mutant(
        "a wave begins when the one before it is over",
        "patchtide.core.run",
        "return next((wave for wave in self.waves if wave.state not in OVER), None)",
        "return next((wave for wave in self.waves if wave.state not in OVER and wave.state != 'collecting'), None)",
        ("gated:0", "baked:0"),
    ),
    Mutant(
        "what has a limit of instances does not exceed it",
        "patchtide.core.advance",
        "if wave.state is WaveState.READY and 0 < wave.max_instances < wave.tally.instances and not wave.withheld:",
        "if False:",
        ("too_many:0",),
    ),
    Mutant(
        "the stack's limit of instances in flight is counted where it is used",
        "patchtide.aws.service",
        '"attribute_not_exists(#n) OR #n <= :room",',
        '"attribute_not_exists(#n) OR #n <= :room OR #n > :room",',
        ("twins:0", "seeds:overlap:200"),
    ),
    Mutant(
        "an instance belongs to one run at a time",
        "patchtide.flow.collector",
        "        others = [hold for hold in holds.held if hold.run != run.id and hold.meets(*acts)]",
        "        others: list = []",
        ("twins:0", "seeds:overlap:200"),
    ),
    Mutant(
        "who takes instances has seen all that others took",
        "patchtide.aws.runs",
        'return self.table.put_if(item, "attribute_not_exists(pk) OR changes = :before", {":before": holds.changes})',
        'return self.table.put_if(item, "attribute_not_exists(pk) OR changes >= :zero", {":zero": 0})',
        ("twins:1W",),
    ),
    Mutant(
        "evidence carries our snapshot",
        "patchtide.core.evidence",
        """        return state.operation == self.operation and (
            self.snapshot is None or state.snapshot.lower() == self.snapshot.lower()
        )""",
        "        return state.operation == self.operation",
        ("foreign:0",),
    ),
    Mutant(
        "evidence is of our operation",
        "patchtide.core.evidence",
        "    if not expected.names(state):",
        "    if False:",
        ("broken:0", "foreign:0"),
    ),
    Mutant(
        "evidence is younger than our start",
        "patchtide.core.evidence",
        "    if state.operation_end_at < expected.started_at:",
        "    if False:",
        ("stale:0",),
    ),
    Mutant(
        "a row of a scan that could not run is no evidence",
        "patchtide.core.evidence",
        "        return min(counts) < 0 or self.operation_end_at.year < SENTINEL_YEAR",
        "        return False",
        ("broken:0",),
    ),
    Mutant(
        "a page of evidence is counted once",
        "patchtide.aws.runs",
        'unchanged = "#state = :state AND pages = :pages AND partsEnded = :parts"',
        'unchanged = "#state = :state OR pages >= :pages OR partsEnded >= :parts"',
        ("smallest:1W",),
    ),
    Mutant(
        "success needs evidence for every instance",
        "patchtide.core.advance",
        "        if fine and fine + sum(tally.excepted for tally in tallies) == expected:",
        "        if expected:",
        ("broken:0", "stale:0"),
    ),
    Mutant(
        "success needs every location",
        "patchtide.core.advance",
        """    if any(tally.unreachable for tally in tallies):
        return RunState.FAILED
    expected""",
        "    expected",
        ("outsider:0",),
    ),
    Mutant(
        "nobody to patch is no success",
        "patchtide.core.advance",
        "        return RunState.NO_TARGETS",
        "        return RunState.SUCCEEDED",
        ("nobody:0",),
    ),
    Mutant(
        "an alert that nobody answered for is published again",
        "patchtide.core.due",
        "for alert in run.alerts if _unanswered(alert.asked_at, now)]",
        "for alert in run.alerts if alert.asked_at is None]",
        ("single:1BA",),
    ),
    Mutant(
        "a run that ended wants attention until people have heard of it",
        "patchtide.core.due",
        "        if due(run, now) or run.alerts:\n            return now",
        "        if due(run, now):\n            return now",
        ("single:1E",),
    ),
    Mutant(
        "a report that nobody wrote is asked for again",
        "patchtide.core.due",
        "run.report_asked_at + REPORT_PATIENCE if _unreported(run) and run.report_asked_at else None",
        "None",
        ("single:1A",),
    ),
    Mutant(
        "a run is marked as reported only when it is",
        "patchtide.flow.reporter",
        "    written = write(dossier, at)\n    at.runs.remember(written.points)",
        """    at.runs.save(dossier.run, fold(dossier.run, [Reported("0" * 64)], at.now()), at.now())
    dossier = at.runs.load(run_id)
    written = write(dossier, at)
    at.runs.remember(written.points)""",
        ("single:1BA",),
    ),
    Mutant(
        "what a worker that died had asked for is asked for again",
        "patchtide.core.due",
        "    return asked_at is None or now >= asked_at + patience",
        "    return asked_at is None",
        ("single:1BA",),
    ),
    Mutant(
        "one answer that an execution is not known is not believed",
        "patchtide.flow.poller",
        "if not too_late and (execution.missing_since is None or at.now() < execution.missing_since + VISIBLE):",
        "if False:",
        ("hidden:0",),
    ),
    Mutant(
        "a wave that needs an approval waits for it",
        "patchtide.core.due",
        "    if wave.withheld or unapproved or not",
        "    if wave.withheld or not",
        ("unapproved:0",),
        (
            (
                "patchtide.flow.dispatcher",
                "    if wave.approval and (wave.approved is None or wave.approved.digest != wave.digest):",
                "    if False:",
            ),
            (
                "patchtide.core.advance",
                "    if wave.listed_at and wave.approval and not wave.approved and now >= approve_by(run, wave):",
                "    if False:",
            ),
        ),
    ),
    Mutant(
        "an approval is of what was shown",
        "patchtide.core.advance",
        "    if order.digest != wave.digest:",
        "    if False:",
        ("unapproved:0",),
    ),
    Mutant(
        "a run that was stopped starts nothing",
        "patchtide.core.advance",
        '        stopped = _withhold(stopped, stopped.wave(wave.name), "stopped", why)',
        "        pass",
        ("stopped:0",),
    ),
    Mutant(
        "what is about to be asked is in the audit trail first",
        "patchtide.core.audit",
        "    if new.asked_at and new.asked_at != (old.asked_at if old else None):",
        "    if new.id and not (old and old.id):",
        ("single:1BA",),
    ),
    Mutant(
        "what came of a start is in the audit trail",
        "patchtide.core.audit",
        "    if new.id and not (old and old.id):",
        "    if False:",
        ("single:0",),
    ),
    Mutant(
        "an occurrence that nobody opens is told",
        "patchtide.flow.poller",
        '    if at.registry.note(campaign, "overdue", held.next_at, at.now(), PATIENCE):',
        "    if False:",
        ("headless:0",),
    ),
    Mutant(
        "two pollers do not tell twice that nobody opens an occurrence",
        "patchtide.flow.poller",
        '    if at.registry.note(campaign, "overdue", held.next_at, at.now(), PATIENCE):',
        "    if True:",
        ("headless:0",),
    ),
    Mutant(
        "two pollers do not tell twice of a run that is a day away",
        "patchtide.flow.poller",
        '        if not at.registry.note(campaign, "notice", held.next_at, at.now(), PATIENCE):',
        "        if False:",
        ("announced:1W",),
    ),
    Mutant(
        "two pollers do not tell twice of the pause",
        "patchtide.aws.service",
        'self.table.put_if(_item(after), "body = :before", unchanged)',
        'self.table.put_if(_item(after), "body = :before OR body <> :before", unchanged)',
        ("paused:1W",),
    ),
    Mutant(
        "a line of the audit trail seals the one before",
        "patchtide.core.audit",
        'told = {"before": seal, ',
        'told = {"before": "", ',
        ("single:0",),
    ),
    Mutant(
        "braces never reach a runbook",
        "patchtide.core.fields",
        r'pattern=r"^(s3|https)://[A-Za-z0-9._~:/?#@!&()*+,=%-]+$")',
        r'pattern=r"^(s3|https)://.+$")',
        ("spliced:0",),
    ),
)


class _Patched(importlib.abc.SourceLoader):
    """Loads a module with patches in it."""

    def __init__(self, path: str, source: str) -> None:
        self.path, self.source = path, source

    def get_filename(self, fullname: str) -> str:
        """The file that the source came from."""
        del fullname
        return self.path

    def get_data(self, path: str) -> bytes:
        """The patched source; a mutant has no bytecode."""
        if path != self.path:
            raise OSError(path)
        return self.source.encode()


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the patched modules before anybody else does."""

    def __init__(self, sources: Mapping[str, tuple[str, str]]) -> None:
        self.sources = sources

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The module's place, if it is one of those."""
        del path, target
        if fullname not in self.sources:
            return None
        return importlib.util.spec_from_loader(fullname, _Patched(*self.sources[fullname]))


def patched(mutant: Mutant) -> dict[str, tuple[str, str]]:
    """The path and the source of each module that the mutant changes. Raises ValueError where a guard is no longer there."""
    found: dict[str, tuple[str, str]] = {}
    for module, before, after in ((mutant.module, mutant.before, mutant.after), *mutant.also):
        spec = importlib.util.find_spec(module)
        if spec is None or spec.origin is None:
            raise ValueError(f"there is no module {module}")
        source = found[module][1] if module in found else Path(spec.origin).read_text(encoding="utf-8")
        if source.count(before) != 1:
            raise ValueError(f"{module} has the guard {mutant.guard!r} {source.count(before)} times, not once")
        found[module] = (spec.origin, source.replace(before, after))
    return found


def install(mutant: Mutant) -> None:
    """Let this process be the mutant: everything that stands on the service is imported anew, with the patch in it."""
    sources = patched(mutant)
    for name in [name for name in sys.modules if name.startswith(FRESH)]:
        del sys.modules[name]
    sys.meta_path.insert(0, _Finder(sources))


def judged(mutant: Mutant) -> str:
    """What the proof says of the mutant, in one line; empty where it survives. For a process that is thrown away after it."""
    install(mutant)
    # The same work as ever, but by modules that are imported after the patch.
    work = importlib.import_module("simulator.proof.work")
    return str(work.first_violation(mutant.looks))
