"""What must always hold, judged from outside: from the world's own log, the raw rows and the mails.

Nothing of the service's rules is imported here. What was meant comes from the scenario, in plain instants and names; what the
rows say is read as JSON. The numbers are those of `docs/reliability.md`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from simulator.automation import RUN_TAG, Execution
from simulator.fleet import FOREIGN_SNAPSHOT, Behaviour
from simulator.runcommand import Delivery

if TYPE_CHECKING:
    from simulator.proof.history import History
    from simulator.proof.scenarios import Facts, Occurrence, Ring

ENDED = frozenset(
    {"succeeded", "incomplete", "failed", "no targets", "missed", "halted", "skipped", "stopped", "replaced"}
)
START_TAG = "patchtide:start:"
REACTION = timedelta(minutes=2)  # what a function may still do after it was told to stop: it lives for two minutes
HALTED = timedelta(minutes=3)  # until what waits is taken back; longer for each worker that dies meanwhile
AGAIN = timedelta(minutes=4)  # until another worker does what one that died had taken upon itself
SAFE = re.compile(r"[\w+=,.@:/$\-*% \[\]{}\"]*")  # what reaches SSM: facts/security.md's allow-list


@dataclass(frozen=True)
class Memo:
    """What the oracle remembers from one step to the next: states that were final, sets that were frozen, and how many
    deliveries and starts it has judged."""

    ended: tuple[tuple[str, str], ...] = ()
    frozen: tuple[tuple[str, str], ...] = ()
    delivered: int = 0
    started: int = 0


@dataclass(frozen=True)
class Verdict:
    """What became of everything at the end, and what was wrong with it."""

    wrong: tuple[str, ...]
    ends: Mapping[str, str] = field(default_factory=dict)
    outcomes: Mapping[str, str] = field(default_factory=dict)
    installs: Mapping[tuple[str, str], int] = field(default_factory=dict)
    told: frozenset[str] = frozenset()


# --- after every step ---------------------------------------------------------------------------------------------------


def judge(history: History, memo: Memo) -> tuple[Memo, tuple[str, ...]]:
    """What is wrong after this step, and what to remember."""
    world = history.world
    starts = starts_of(history)
    wrong: list[str] = []
    if len(world.effects) > memo.delivered:
        wrong += _deliveries(history, world.effects[memo.delivered :])
    if len(starts) > memo.started:
        wrong += _starts(history, starts[memo.started :], starts)
    memo = replace(memo, delivered=len(world.effects), started=len(starts))
    wrong += [f"INV-15 something was started without having read {what}" for what in history.unasked]
    runs = dict(run_rows(history))
    wrong += _saves(history)
    memo, more = _monotone(runs, memo)
    wrong += more
    memo, more = _frozen(history, memo)
    return memo, (*wrong, *more)


def _deliveries(history: History, fresh: Iterable[Delivery]) -> Iterator[str]:
    facts: Facts = history.scenario.facts
    reached = Counter((one.run, one.node) for one in history.world.effects if one.operation == "Install")
    for delivery in fresh:
        if delivery.operation != "Install":
            continue
        name = _name(history, delivery.node)
        if reached[delivery.run, delivery.node] > 1:
            yield f"INV-1 {name} got Install {reached[delivery.run, delivery.node]} times in {delivery.run}"
        if delivery.clashed:
            yield f"INV-1 {name} got Install of {delivery.run} while another was at work on it"
        occurrence = _occurrence(facts, delivery.run)
        if occurrence is None:
            yield f"INV-1 {name} got Install of {delivery.run}, which nobody asked for"
            continue
        slack = HALTED * (2 * history.spoiled + history.jumps + (not facts.foretold))
        if any(since + slack <= delivery.at < until for since, until in facts.closed):
            yield f"INV-4 {name} got Install at {delivery.at}, long after its calendar closed"
        if facts.cap and (going := _in_flight(history, delivery.at)) > facts.cap:
            yield f"INV-14 {going} instances are being patched, {facts.cap} may be"
        rings = [ring for ring in occurrence.rings if delivery.node in ring.nodes]
        if not any(ring.start <= delivery.at < ring.last_start for ring in rings):
            yield f"INV-3 {name} got Install at {delivery.at}, outside of its window"


def _in_flight(history: History, at: datetime) -> int:
    """How many instances were being patched at the instant."""
    commands = history.world.commands
    return sum(
        one.delivered_at is not None and one.delivered_at <= at and (one.ended_at is None or one.ended_at > at)
        for account in history.world.organization.accounts.values()
        for region in account.regions
        for command in commands.at(account.id, region)
        if command.patches
        for one in command.invocations.values()
    )


def _starts(history: History, fresh: Iterable[Execution], every: Iterable[Execution]) -> Iterator[str]:
    facts: Facts = history.scenario.facts
    tokens = Counter(token_of(one) for one in every)
    held = {(one.at, one.params.get("ClientToken")): one.held_back for one in history.effects}
    for start in fresh:
        if not any(
            line["what"] == "start asked" and token_of(start) in line["said"] and _at(line) <= start.started_at
            for line in _trail(history, start.tags.get(RUN_TAG, ""))
        ):
            yield f"INV-16 {token_of(start)} was started, and no line of the audit trail says that it was asked for"
        if tokens[token_of(start)] > 1:
            yield f"INV-1 {token_of(start)} was started {tokens[token_of(start)]} times"
        run, wave = start.tags.get(RUN_TAG, ""), wave_of(start)
        occurrence = _occurrence(facts, run)
        ring = next((one for one in occurrence.rings if one.name == wave), None) if occurrence else None
        if occurrence is None or ring is None:
            yield f"INV-1 {wave} of {run} was started, which nobody asked for"
            continue
        asked = start.started_at - held.get((start.started_at, start.request.get("ClientToken")), timedelta(0))
        if not ring.start <= asked < ring.last_start:
            yield f"INV-2 {wave} of {run} was started at {start.started_at}, its window is {ring.start} to {ring.last_start}"
        yield from _before(history, occurrence, ring, start, every)
        yield from _same_content(start, every)
        if any(since <= asked < until for since, until in facts.paused):
            yield f"INV-15 {wave} of {run} was started while the service was paused"
        if any(since + REACTION <= asked < until for since, until in facts.barred.get(occurrence.campaign, ())):
            yield f"INV-7 {wave} of {run} was started though people had said no"
        if len(ring.nodes) > ring.most:
            yield f"INV-14 {wave} of {run} was started for {len(ring.nodes)} instances, {ring.most} are allowed"
        if any(since <= asked < until for since, until in facts.closed):
            yield f"INV-4 {wave} of {run} was started while its calendar was closed"
        if any(since <= asked < until for since, until in facts.tampered):
            yield f"INV-18 {wave} of {run} was started with a list of patches that somebody had changed"
        yield from _strings(start)


def _before(
    history: History, occurrence: Occurrence, ring: Ring, start: Execution, every: Iterable[Execution]
) -> Iterator[str]:
    """INV-5: whatever came before is over, was good enough, and has baked."""
    place = occurrence.rings.index(ring)
    if not place:
        return
    before = occurrence.rings[place - 1]
    mine = [one for one in every if one.tags.get(RUN_TAG) == occurrence.run and wave_of(one) == before.name]
    if not mine:
        yield f"INV-5 {ring.name} was started, and nothing of {before.name} ever was"
        return
    if open_ := [one.id for one in mine if one.ended_at is None or one.ended_at > start.started_at]:
        yield f"INV-5 {ring.name} was started while {before.name} was going on in {open_}"
        return
    last = max(one.ended_at for one in mine if one.ended_at)
    if start.started_at < last + before.soak:
        yield f"INV-5 {ring.name} was started {start.started_at - last} after {before.name}, it had to bake {before.soak}"
    truth = history.world.ground_truth(occurrence.run, before.nodes)
    fine = {"compliant", "pendingReboot", "excluded"}
    failed = [one for one, what in truth.items() if not fine & _true_of(history, one, what, strict=True)]
    if len(failed) > before.max_failed:
        yield f"INV-5 {ring.name} was started though {len(failed)} of {before.name} failed, {before.max_failed} were allowed"


def _same_content(start: Execution, every: Iterable[Execution]) -> Iterator[str]:
    """INV-6, INV-8: all executions of a run do the same, by the same document; those of a wave by one snapshot."""
    for other in every:
        if other is start or other.tags.get(RUN_TAG) != start.tags.get(RUN_TAG):
            continue
        for name in ("Operation", "RebootOption", "InstallOverrideList"):
            if other.given.get(name) != start.given.get(name):
                yield f"INV-8 {start.tags.get(RUN_TAG)} has {name} {other.given.get(name)} and {start.given.get(name)}"
        if other.version.content != start.version.content:
            yield f"INV-6 {start.tags.get(RUN_TAG)} was started by two contents of {start.document.name}"
        if wave_of(other) == wave_of(start) and other.given.get("SnapshotId") != start.given.get("SnapshotId"):
            yield f"INV-6 {wave_of(start)} has two snapshots"


def _strings(start: Execution) -> Iterator[str]:
    for name, values in start.given.items():
        for value in values:
            if not SAFE.fullmatch(value) or "{{" in value:
                yield f"INV-17 {name} reached SSM as {value!r}"


def _monotone(runs: Mapping[str, Mapping[str, Any]], memo: Memo) -> tuple[Memo, list[str]]:
    """INV-13: what has ended has ended."""
    known = dict(memo.ended)
    wrong = []
    for run, body in runs.items():
        state = str(body["state"])
        for what, now in [(run, state), *((f"{run}/{wave['name']}", str(wave["state"])) for wave in body["waves"])]:
            if known.get(what, now) != now:
                wrong.append(f"INV-13 {what} was {known[what]} and is {now}")
            if now in ENDED or now in ("settled", "empty", "expired", "broken", "withheld"):
                known[what] = now
    wrong += [f"INV-13 {what} is gone" for what in known if what.split("/")[0] not in runs]
    return replace(memo, ended=tuple(sorted(known.items()))), wrong


def _saves(history: History) -> Iterator[str]:
    """INV-13: each save of a run follows the one before it; none is lost, and none comes twice."""
    written = history.memory.tables.tables["RunsTable"].written or []
    for (pk, sk), old, new in written:
        if sk != "run":
            continue
        if old is not None and (new is None or new["version"] != old["version"] + 1):
            yield f"INV-13 {pk} was overwritten: {old['version']} became {new and new['version']}"
        if old is not None and new is not None and old["phase"] in ENDED and old["phase"] != new["phase"]:
            yield f"INV-13 {pk} was {old['phase']} and became {new['phase']}"
    written.clear()


def _trail(history: History, run: str) -> list[Mapping[str, Any]]:
    """The lines of a run's audit trail."""
    return [_parsed(str(row["text"])) for row in history.memory.rows(f"run#{run}", "audit#")]


def _at(line: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(str(line["at"]))


def _audited(history: History, run: str, body: Mapping[str, Any]) -> Iterator[str]:
    """INV-16: the trail is whole, and has a line after each effect as well."""
    seal, number = "", 0
    for row in history.memory.rows(f"run#{run}", "audit#"):
        line = _parsed(str(row["text"]))
        number += 1
        if (line["before"], line["number"]) != (seal, number):
            yield f"INV-16 the audit trail of {run} is broken at line {number}"
        seal = hashlib.sha256(str(row["text"]).encode()).hexdigest()
    if (body["seal"], body["audited"]) != (seal, number):
        yield f"INV-16 the audit trail of {run} has {number} lines, the run knows {body['audited']}"
    lines = _trail(history, run)
    for start in [one for one in starts_of(history) if one.tags.get(RUN_TAG) == run]:
        about = {line["about"] for line in lines if line["what"] == "start asked" and token_of(start) in line["said"]}
        mine = [line for line in lines if line["about"] in about]
        # Of a start that was refused to whoever asked again, or never found, it is known that nothing is known.
        unknown = any(line["what"] == "refused" or line["said"].startswith("Unknown") for line in mine)
        if not unknown and not any(line["what"] == "started" and line["said"] == start.id for line in mine):
            yield f"INV-16 {start.id} was started, and the audit trail has no line after it"
    for effect in history.effects:
        what = {"stop_automation_execution": "stop asked", "cancel_command": "halt asked"}.get(effect.operation)
        if what and not any(line["what"] in (what, "halt asked") and _at(line) <= effect.at for line in lines):
            yield f"INV-16 {effect.operation} at {effect.at}, and no line of the audit trail says why"


def _reported(history: History, run: str, campaign: str, body: Mapping[str, Any]) -> Iterator[str]:
    """LIV-9: what ended leaves its report, and its point on the trend once."""
    if not body["reported"]:
        yield f"LIV-9 {run} ended, and has no report"
    points = [row for row in history.memory.rows(f"history#{campaign}", "run#") if str(row["sk"]).endswith(f"#{run}")]
    if len(points) != 1:
        yield f"LIV-9 {run} has {len(points)} points on the trend"


def _frozen(history: History, memo: Memo) -> tuple[Memo, list[str]]:
    """INV-9: who is expected does not change once it is written down."""
    known = dict(memo.frozen)
    wrong = []
    for run, _ in run_rows(history):
        for row in history.memory.rows(f"run#{run}", "roster#"):
            key, what = f"{run} {row['sk']}", hashlib.sha256(str(row["body"]).encode()).hexdigest()[:12]
            if known.setdefault(key, what) != what:
                wrong.append(f"INV-9 the expected set of {key} changed")
    return replace(memo, frozen=tuple(sorted(known.items()))), wrong


# --- at the end ---------------------------------------------------------------------------------------------------------


def final(history: History, memo: Memo, reference: Verdict | None, *, strict: bool = True) -> Verdict:
    """What became of everything, held against what was promised and, where there is one, against the undisturbed history.

    `strict` wants the ends that were promised; without it a run may end otherwise, but must still end and say what is true.
    """
    _, wrong = judge(history, memo)
    found = list(wrong)
    facts: Facts = history.scenario.facts
    runs = dict(run_rows(history))
    ends = {run: str(body["state"]) for run, body in runs.items()}
    outcomes: dict[str, str] = {}
    for occurrence in facts.occurrences:
        if occurrence.run not in ends:
            if not occurrence.sure:
                continue
            found.append(f"LIV-3 {occurrence.run} was never opened")
            continue
        meant = occurrence if strict else replace(occurrence, end="")
        found += _ended(history, meant, ends[occurrence.run], runs[occurrence.run], outcomes, strict=strict)
    for campaign, said_by in facts.overdue.items():
        by = said_by + AGAIN * history.spoiled
        told = [mail.at for mail in history.memory.mails if mail.attributes["event"] == "campaign.overdue"]
        if not any(at <= by for at in told):
            found.append(f"LIV-3 nobody was told by {by} that {campaign} had not begun: {told or 'never'}")
    found += _told(history, ends)
    installs = Counter((str(one.run), one.node) for one in history.world.effects if one.operation == "Install")
    kinds = frozenset(mail.attributes["id"] for mail in history.memory.mails)
    verdict = Verdict(tuple(found), ends, outcomes, dict(installs), kinds)
    if reference is not None:
        found += _differs(verdict, reference)
    return replace(verdict, wrong=tuple(found))


def _ended(
    history: History,
    occurrence: Occurrence,
    end: str,
    body: Mapping[str, Any],
    outcomes: dict[str, str],
    *,
    strict: bool,
) -> Iterator[str]:
    if end not in ENDED:
        windows = [wave["window"] for wave in body["waves"] if wave["window"]]
        if all(datetime.fromisoformat(one["end"]) + timedelta(hours=2) < history.scenario.ends for one in windows):
            yield f"LIV-1 {occurrence.run} never ended: {end}"
        return
    yield from _audited(history, occurrence.run, body)
    if strict and "reported" in body:  # one that had ended under a version without reports is left as it is
        yield from _reported(history, occurrence.run, occurrence.campaign, body)
    if occurrence.end and end != occurrence.end:
        yield f"LIV-1 {occurrence.run} ended {end}, not {occurrence.end}"
    rows = {
        (str(row["sk"]).split("#")[1], str(row["sk"]).split("#")[4]): str(row["outcome"])
        for row in history.memory.rows(f"run#{occurrence.run}", "instance#")
    }
    for ring in occurrence.rings:
        wave = next((one for one in body["waves"] if one["name"] == ring.name), None)
        if wave is None or wave["state"] != "settled":
            continue
        truth = history.world.ground_truth(occurrence.run, ring.nodes)
        mine = {node: outcome for (name, node), outcome in rows.items() if name == ring.name}
        reached = ring.nodes - _out_of_reach(history, occurrence.run, ring)
        if mine.keys() != reached:
            yield f"INV-10 {ring.name} of {occurrence.run} has rows for {len(mine)} of {len(reached)} instances"
        for node, outcome in mine.items():
            outcomes[f"{occurrence.run} {node}"] = outcome
            if outcome not in _true_of(history, node, truth.get(node, "notStarted"), strict=strict):
                yield f"INV-11 {_name(history, node)} is {outcome}, the world says {truth.get(node)}"
        yield from _counted(history, occurrence.run, ring.name, mine)
        yield from _provenance(history, occurrence, ring)
    if end == "succeeded" and not any(ring.nodes for ring in occurrence.rings):
        yield f"INV-9 {occurrence.run} succeeded, and had nobody to patch"
    if end == "succeeded":
        every = frozenset().union(*(ring.nodes for ring in occurrence.rings))
        truth = history.world.ground_truth(occurrence.run, every)
        left = {one for one, what in truth.items() if "compliant" not in _true_of(history, one, what, strict=True)}
        if left:
            yield f"INV-11 {occurrence.run} succeeded, but {sorted(_name(history, one) for one in left)} are not patched"


def _true_of(history: History, node: str, truth: str, *, strict: bool) -> set[str]:
    """The outcomes that are true of an instance. Another run's is left to it; what is overwritten a minute later was true
    until then; and where much went wrong, not to know is honest."""
    found = {truth, "excluded"} if truth in ("notStarted", "unreachable") else {truth}
    known = history.world.organization.nodes.get(node)
    if known is not None and known.behaviour is Behaviour.OVERWRITTEN and truth == "unverified":
        found |= {"compliant", "pendingReboot"}
    if not strict:  # whoever was taken back while the command waited for its agent was not reached, and not started
        found |= {"unverified"} | ({"notStarted"} if truth == "unreachable" else set())
    return found


def _out_of_reach(history: History, run: str, ring: Ring) -> set[str]:
    """The instances of locations that could not be asked: those are told by their location."""
    lost = {
        tuple(str(row["sk"]).split("#")[2:4])
        for row in history.memory.rows(f"run#{run}", f"location#{ring.name}#")
        if row["state"] == "unreachable"
    }
    nodes = history.world.organization.nodes
    return {node for node in ring.nodes if node in nodes and (nodes[node].account, nodes[node].region) in lost}


def _provenance(history: History, occurrence: Occurrence, ring: Ring) -> Iterator[str]:
    """INV-12: what is counted as patched was written by our own Install, and not by anybody else's."""
    reached = {one.node: one.at for one in history.world.effects if one.run == occurrence.run}
    for row in history.memory.rows(f"run#{occurrence.run}", f"instance#{ring.name}#"):
        node = str(row["sk"]).split("#")[4]
        if row["outcome"] not in ("compliant", "pendingReboot"):
            continue
        ended = datetime.fromisoformat(str(row.get("endedAt", "1970-01-01T00:00:00Z")))
        state = history.world.organization.nodes[node].patch_state
        foreign = state is not None and state.snapshot_id == FOREIGN_SNAPSHOT and _second(state.ended_at) == ended
        if node not in reached or ended < _second(reached[node]) or foreign:
            yield f"INV-12 {_name(history, node)} is {row['outcome']} by something that we did not do, of {ended}"


def _second(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)


def _counted(history: History, run: str, wave: str, rows: Mapping[str, str]) -> Iterator[str]:
    """INV-10: the counters are the rows."""
    tally = next(iter(history.memory.rows(f"run#{run}", f"run#tally#{wave}")), {})
    counted = {
        name.removeprefix("outcome_"): int(value)
        for name, value in tally.items()
        if name.startswith("outcome_") and value
    }
    if counted != dict(Counter(rows.values())):
        yield f"INV-10 {wave} of {run} counts {counted}, its rows are {dict(Counter(rows.values()))}"


def _told(history: History, ends: Mapping[str, str]) -> Iterator[str]:
    """LIV-2: one word of every end; more only where something was in the way of saying it."""
    told = Counter(mail.attributes["id"] for mail in history.memory.mails)
    for run, end in ends.items():
        event = f"run.{end.replace(' ', '-')}"
        last = [one for one, mail in _mails(history) if mail.get("runId") == run and mail["event"] == event]
        if end in ENDED and not last:
            yield f"LIV-2 nobody was told that {run} ended {end}"
    for alert, times in told.items():
        if times > 1 + history.spoiled:
            yield f"LIV-2 {alert} was told {times} times, after {history.spoiled} faults"


def _mails(history: History) -> Iterator[tuple[str, Mapping[str, str]]]:
    for mail in history.memory.mails:
        yield mail.attributes["id"], mail.attributes


def _differs(verdict: Verdict, reference: Verdict) -> Iterator[str]:
    """The final world is the undisturbed one's."""
    for what in ("ends", "outcomes", "installs"):
        mine, theirs = getattr(verdict, what), getattr(reference, what)
        if mine != theirs:
            odd = {key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key)}
            shown = {key: (theirs.get(key), mine.get(key)) for key in sorted(odd, key=str)[:3]}
            yield f"LIV-1 {what} differ from the undisturbed history's: {shown}"
    if missing := reference.told - verdict.told:
        yield f"LIV-2 nobody was told {sorted(missing)}"


# --- reading ------------------------------------------------------------------------------------------------------------


def starts_of(history: History) -> list[Execution]:
    """The executions that somebody started in the hub, in the order of their start."""
    organization = history.world.organization
    here = history.world.automation.at(organization.hub, history.world.hub_region)
    return [one for one in reversed(here) if not one.is_child]


def token_of(start: Execution) -> str:
    """What names one start."""
    return next((tag.removeprefix(START_TAG) for tag in start.tags if tag.startswith(START_TAG)), start.id)


def wave_of(start: Execution) -> str:
    """The wave that a start is for."""
    return next((value for tag, value in start.tags.items() if tag.startswith(START_TAG)), "")


def run_rows(history: History) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every run's raw row, by its id."""
    table = history.memory.tables.tables["RunsTable"]
    for (pk, sk), item in table.items.items():
        if sk == "run" and pk.startswith("run#") and len(str(item["body"])) > 1:
            yield pk.removeprefix("run#"), _parsed(str(item["body"]))


@lru_cache(maxsize=4096)
def _parsed(body: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(body)
    return found


def _occurrence(facts: Facts, run: str | None) -> Occurrence | None:
    return next((one for one in facts.occurrences if one.run == run), None)


def _name(history: History, node: str) -> str:
    found = history.world.organization.nodes.get(node)
    return found.name if found else node
