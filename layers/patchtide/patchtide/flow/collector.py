"""A location is asked about: its targets before anything is patched, its evidence after."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, TypeVar
from zoneinfo import ZoneInfo

from patchtide.core.campaign import CHECKS, IDS_KEY, Target
from patchtide.core.causes import explain_location
from patchtide.core.closures import FARTHEST
from patchtide.core.errors import Busy, CloudError, Overtaken, PutOff, Refused
from patchtide.core.evidence import Ending, Expectation, Invocation, PatchState, doubt, gone, judge, overwritten
from patchtide.core.frozen import frozen
from patchtide.core.outcome import Cause, Instance, Patch, Result
from patchtide.core.request import expected_snapshot
from patchtide.core.roster import MAX_PAGES, PAGE, Hold, Holds, Inquiry, LocationRun, LocationState
from patchtide.core.run import (
    EVIDENCE_GRACE,
    GIVE_UP,
    STOP_GRACE,
    Run,
    WaveRun,
    about,
    begun,
    evidence_since,
    last_start,
)
from patchtide.core.states import WaveState

if TYPE_CHECKING:
    from patchtide.flow.cloud import Now, Registry, Runs, Spoke, Spokes

logger = logging.getLogger(__name__)

T = TypeVar("T")

TRIES = 5
MAX_TRACED = 10  # of a page: who writes over one instance's evidence writes over its neighbours', too


@frozen
class Collector:
    """What the collector works with."""

    registry: Registry
    runs: Runs
    spokes: Spokes
    now: Now


@contextmanager
def ahead(inquiries: Iterable[Inquiry], at: Collector) -> Iterator[None]:
    """Within, these questions are answered with fewer reads. Where reading ahead fails, each question reads for itself."""
    with ExitStack() as stack:
        try:
            stack.enter_context(at.runs.ahead(inquiries))
        except CloudError as error:
            logger.warning("nothing is read ahead: %s", error)
        yield


def collect(inquiry: Inquiry, at: Collector) -> None:
    """The answer to one question, kept. A question that was answered before is left alone. Raises Busy to be asked again; where
    the location is left alone for a while, the run asks again by itself."""
    try:
        _answer(inquiry, at)
    except PutOff as later:
        logger.info("%s", later, extra={"run": inquiry.run})


def _answer(inquiry: Inquiry, at: Collector) -> None:
    where = at.runs.location(inquiry.run, inquiry.wave, inquiry.location)
    if where is None:
        return
    run = at.runs.load(inquiry.run).run
    if inquiry.purpose == "targets" and where.state is LocationState.EXPECTED:
        _targets(where, run, at)
    elif inquiry.purpose == "evidence" and where.state is LocationState.ENDED:
        _evidence(where, run, at)
    elif inquiry.purpose == "halt" and where.state is LocationState.RESOLVED:
        _halt(where, run, inquiry.child, at)


def _targets(where: LocationRun, run: Run, at: Collector) -> None:
    try:
        instances = _matched(where, run, at)
    except Refused as refused:
        at.runs.out_of_reach([where], *explain_location(refused.code, refused.message))
        return
    if len(instances) > MAX_PAGES * PAGE:
        sentence = f"{len(instances)} targets, {MAX_PAGES * PAGE} is the most in one location"
        at.runs.out_of_reach([where], Cause.TOO_MANY, sentence)
    else:
        _freeze(where, run, instances, at)


def _matched(where: LocationRun, run: Run, at: Collector) -> tuple[Instance, ...]:
    """The instances that are meant: those that the targets match, or of a retry, those that were left undone and still do.

    A location that was out of reach when it was tried first is asked for all that match: nobody knows who they are.
    """
    spoke = at.spokes.at(where.location)
    targets = at.registry.spec(run.campaign, run.spec).wave(where.wave).targets
    if not _known_before(where, run, at):
        return spoke.instances(targets)
    left = at.runs.left(run.wave(where.wave).source, where.wave, where.location)
    return spoke.instances((Target(IDS_KEY, tuple(sorted(left))),)) if left else ()


def _known_before(where: LocationRun, run: Run, at: Collector) -> bool:
    """Whether the run that is tried again knew whom it meant at the location."""
    source = run.wave(where.wave).source
    before = at.runs.location(source, where.wave, where.location) if source else None
    return before is not None and before.instances > 0


def _freeze(where: LocationRun, run: Run, instances: tuple[Instance, ...], at: Collector) -> None:
    """Keep who is expected: those of earlier waves have had their turn, and those that another run has are left to it.

    Where not all are meant that the targets match, they have to be named, since AWS's targets know no exceptions.
    """
    wave = run.wave(where.wave)
    done = _had_their_turn(where, run, at)
    window = run.window_of(wave)
    acts = window.start, window.end + STOP_GRACE + GIVE_UP
    span = acts[0], acts[1] + _may_be_postponed(run, at)
    excepted = _excepted(where, run, instances, at)
    for _ in range(TRIES):
        holds = _live(at.runs.holds(where.location), run, at)
        others = [hold for hold in holds.held if hold.run != run.id and hold.meets(*acts)]
        owner = {id_: hold.run for hold in others for id_ in hold.instances}
        expected = [
            replace(one, held_by=owner.get(one.id, ""), excepted=excepted.get(one.id, ""))
            for one in instances
            if one.id not in done
        ]
        some = len(expected) < len(instances) or any(one.left_alone for one in expected)
        try:
            at.runs.freeze(where, expected, holds, span, at.now(), named=some or bool(wave.source))
        except Overtaken:
            continue  # another run took instances here meanwhile
        return
    raise Busy("freeze the targets", "Overtaken", f"others kept taking instances in {where.location}")


def _excepted(where: LocationRun, run: Run, instances: tuple[Instance, ...], at: Collector) -> Mapping[str, str]:
    """Which of the instances an exception spares on the day of the wave's window, and the exception in words."""
    spec = at.registry.spec(run.campaign, run.spec)
    day = run.window_of(run.wave(where.wave)).start.astimezone(ZoneInfo(spec.timezone)).date()
    spared: dict[str, str] = {}
    for exception in spec.exceptions:
        elsewhere = exception.accounts and where.location.account not in exception.accounts
        if elsewhere or not exception.active(day):
            continue
        meant = at.spokes.at(where.location).instances(exception.targets) if exception.targets else instances
        for one in meant:
            spared.setdefault(one.id, str(exception))
    return spared


def _may_be_postponed(run: Run, at: Collector) -> timedelta:
    """By how much the wave may act on its instances after its window: they are held as long, so that nobody takes them."""
    spec = at.registry.spec(run.campaign, run.spec)
    closes = spec.calendars or spec.freezes or spec.freeze_files
    return timedelta(days=FARTHEST) if closes and spec.on_calendar_closed == "postpone" else timedelta(0)


def _had_their_turn(where: LocationRun, run: Run, at: Collector) -> frozenset[str]:
    """The instances at the location that earlier waves had, and of a run that is tried again, every wave: what those left
    undone comes back in a wave of its own."""
    found: set[str] = set()
    for wave in run.waves[: run.waves.index(run.wave(where.wave))]:
        found |= _expected(run.id, wave.name, where, at)
    before = "" if _known_before(where, run, at) else run.retry_of
    while before:
        earlier = at.runs.load(before).run
        for wave in earlier.waves:
            if wave.state is WaveState.SETTLED:
                found |= _expected(earlier.id, wave.name, where, at)
        before = earlier.retry_of
    return frozenset(found)


def _expected(run: str, wave: str, where: LocationRun, at: Collector) -> frozenset[str]:
    found = at.runs.location(run, wave, where.location)
    if found is None:
        return frozenset()
    return frozenset(one.id for page in range(found.pages) for one in at.runs.roster(found, page))


def _live(holds: Holds, run: Run, at: Collector) -> Holds:
    """The holds that still count: until their time is over, or their wave is done at the location."""
    return replace(holds, held=tuple(hold for hold in holds.held if _counts(hold, holds, run, at)))


def _counts(hold: Hold, holds: Holds, run: Run, at: Collector) -> bool:
    if hold.until <= at.now():
        return False
    place = at.runs.location(hold.run, hold.wave, holds.location)
    if place is None or place.state is LocationState.COLLECTED:
        return False
    holder = at.runs.load(hold.run).run
    # One that waits for the approval of a version that is no longer in force never begins: it makes room for this one.
    outdated = holder.campaign == run.campaign and holder.spec < run.spec and holder.waves[0].approval
    return holder.open and not (outdated and not begun(holder, holder.waves[0]))


def _halt(where: LocationRun, run: Run, child: str, at: Collector) -> None:
    """Take back what waits for its turn. What cannot be taken back is stopped by the fence, or finishes."""
    try:
        spoke = at.spokes.at(where.location, urgent=True)
        taken = spoke.halt(run.id, evidence_since(run, where.wave))
        if child:
            spoke.stop(child)
    except Refused as refused:
        logger.warning("%s cannot be halted: %s", where.location, refused, extra=about(run))
    else:
        logger.info("%s: %s instances were taken back", where.location, taken, extra=about(run))


def _evidence(where: LocationRun, run: Run, at: Collector) -> None:
    spec = at.registry.spec(run.campaign, run.spec)
    started_at = evidence_since(run, where.wave)
    marked = run.runbook is not None and "RunId" in run.runbook.parameters
    wave = run.wave(where.wave)
    expected = Expectation(
        expected_snapshot(spec, run, where.wave),
        spec.operation,
        started_at,
        commands_known=marked,
        withheld=_why_taken_back(where, run, wave),
        checked=bool(CHECKS & spec.runbook.parameters.keys()),
    )
    try:
        spoke = at.spokes.at(where.location)
        asked = _Asked(spoke, run, expected, where)
        rosters = _Rosters(where, at.runs)
        for page in range(where.pages_collected, where.pages):
            results = asked.results(rosters.page(page))
            joined = asked.joined(rosters.everybody()) if page + 1 == where.pages else ()
            if _may_still_come((*results, *joined), where, at):
                logger.info("%s: evidence of page %s may still come", where.location, page, extra=about(run))
                return
            at.runs.keep_patches(where, asked.patches(results))
            at.runs.keep_joined(where, joined)
            at.runs.record(where, page, results, len(joined))
    except Refused as refused:
        # The poller asks again every minute, and records what stays unread as unverified in the end.
        logger.warning("%s cannot be read: %s", where.location, refused, extra=about(run))


@frozen
class _Rosters:
    """Who is expected at a location, each page read once."""

    where: LocationRun
    runs: Runs
    read: dict[int, tuple[Instance, ...]] = field(default_factory=dict)

    def page(self, number: int) -> tuple[Instance, ...]:
        if number not in self.read:
            self.read[number] = self.runs.roster(self.where, number)
        return self.read[number]

    def everybody(self) -> Collection[str]:
        return {one.id for number in range(self.where.pages) for one in self.page(number)}


def _why_taken_back(where: LocationRun, run: Run, wave: WaveRun) -> str:
    """Why what waited at the location was taken back; empty where it was the window that closed."""
    if wave.withheld:
        return wave.reason
    before_its_end = where.ended_at is not None and where.ended_at < last_start(run, wave)
    return wave.taken_back if before_its_end else ""


def _may_still_come(results: Iterable[Result], where: LocationRun, at: Collector) -> bool:
    """Patch states are uploaded by the instance and take their time, also after a command that failed: it may have
    installed everything. Only where one could still make a difference is it waited for."""
    if where.ended_at is None or at.now() >= where.ended_at + EVIDENCE_GRACE:
        return False
    return any(result.may_change for result in results)


@dataclass
class _Asked:
    """One location's answers; what explains failures is asked for once, and only when something failed."""

    spoke: Spoke
    run: Run
    expected: Expectation
    where: LocationRun
    invocations: Mapping[str, Invocation] | None = None
    ending: Ending | None = None

    def results(self, instances: tuple[Instance, ...]) -> tuple[Result, ...]:
        mine = [instance.id for instance in instances if not instance.left_alone]
        states = self.spoke.patch_states(mine) if mine else {}
        failed = self.expected.checked and (self.where.ending or Ending("Unknown")).status != "Success"
        if self.invocations is None and (failed or any(self._unclear(states.get(id_)) for id_ in mine)):
            self._explain()
        found = self.invocations or {}
        ending = self.ending or self.where.ending or Ending("Unknown")
        judged = (
            judge(instance, states.get(instance.id), found.get(instance.id), ending, self.expected)
            for instance in instances
        )
        return self._traced(tuple(judged))

    def patches(self, results: Iterable[Result]) -> Mapping[str, tuple[Patch, ...]]:
        """The patches that count against each instance whose own evidence says that some do."""
        found: dict[str, tuple[Patch, ...]] = {}
        for result in results:
            if result.owing:
                id_ = result.instance.id
                found[id_] = self._if_readable(f"the patches of {id_}", partial(self.spoke.patches, id_), ())
        return {id_: patches for id_, patches in found.items() if patches}

    def joined(self, expected: Collection[str]) -> tuple[Result, ...]:
        """What became of instances that the run's command reached though they are not expected, known with the location's last page:
        it is AWS that resolves targets at the start, so one that matched only after the set was frozen is patched all the same.
        Where instances were named one by one, or the runbook does not mark its commands, there are none, or none can be told."""
        if self.where.named or not self.expected.commands_known:
            return ()
        return self._if_readable("late joiners", lambda: self._joined(expected), ())

    def _joined(self, expected: Collection[str]) -> tuple[Result, ...]:
        if self.invocations is None and self.spoke.reached(self.run.id, self.expected.started_at) <= len(expected):
            return ()
        if self.invocations is None:
            self.invocations = self.spoke.invocations(self.run.id, self.expected.started_at)
        late = {id_: one for id_, one in self.invocations.items() if one.ours and id_ not in expected}
        states = self._states(sorted(late))
        ending = self.ending or Ending("Success")
        return tuple(judge(Instance(id_), states.get(id_), late[id_], ending, self.expected) for id_ in sorted(late))

    def _states(self, ids: Sequence[str]) -> Mapping[str, PatchState]:
        found: dict[str, PatchState] = {}
        for first in range(0, len(ids), PAGE):
            found |= self.spoke.patch_states(ids[first : first + PAGE])
        return found

    def _traced(self, results: tuple[Result, ...]) -> tuple[Result, ...]:
        """The results, with what else can be found out about those without evidence: whether their instances are gone, and who
        wrote over their evidence."""
        lost = [one.instance.id for one in results if one.lost]
        vanished: frozenset[str] = frozenset()
        if lost:
            vanished = self._if_readable("which instances are gone", lambda: self.spoke.gone(lost), vanished)
        known = tuple(gone(one) if one.instance.id in vanished else one for one in results)
        foreign = [one.instance.id for one in known if one.cause is Cause.OVERWRITTEN][:MAX_TRACED]
        writers = {
            id_: self._if_readable(f"who wrote over {id_}", partial(self.spoke.writer, id_), "") for id_ in foreign
        }
        return tuple(overwritten(one, writers.get(one.instance.id, "")) for one in known)

    def _if_readable(self, what: str, ask: Callable[[], T], otherwise: T) -> T:
        """Evidence stands by itself: where what would only add to it is refused, that is logged and nothing more."""
        try:
            return ask()
        except Refused as refused:
            logger.warning("%s: %s cannot be read: %s", self.where.location, what, refused, extra=about(self.run))
            return otherwise

    def _explain(self) -> None:
        """Ask for what explains failures. Where that is refused, evidence still stands by itself."""
        try:
            self.ending = self._ending()
            self.invocations = self.spoke.invocations(self.run.id, self.expected.started_at)
        except Refused as refused:
            logger.warning("%s cannot be explained: %s", self.where.location, refused, extra=about(self.run))
            self.invocations = {}
            self.expected = replace(self.expected, commands_known=False)

    def _unclear(self, state: PatchState | None) -> bool:
        return state is None or doubt(state, self.expected) is not None or bool(state.failed)

    def _ending(self) -> Ending:
        ending = self.where.ending or Ending("Unknown")
        if ending.status in ("Success", "Refused", "NotStarted", "NotAttempted", "Withheld") or not self.where.child:
            return ending
        return self._child_says(ending, self.where.child)

    def _child_says(self, ending: Ending, child: str) -> Ending:
        reason = self.spoke.failure(child) or ending.reason
        # The fence stops a location before anything is sent; its sentence says so.
        return Ending("NotStarted" if "nothing was sent to any instance" in reason else ending.status, reason)
