"""A location is asked about: its targets before anything is patched, its evidence after."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from patchtide.core.causes import explain_location
from patchtide.core.errors import Refused
from patchtide.core.evidence import Ending, Expectation, Invocation, PatchState, doubt, judge
from patchtide.core.outcome import Cause, Instance, Result
from patchtide.core.request import expected_snapshot
from patchtide.core.roster import MAX_PAGES, PAGE, Inquiry, LocationRun, LocationState
from patchtide.core.run import EVIDENCE_GRACE, Run, evidence_since
from patchtide.flow.cloud import Now, Registry, Runs, Spoke, Spokes

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Collector:
    """What the collector works with."""

    registry: Registry
    runs: Runs
    spokes: Spokes
    now: Now


def collect(inquiry: Inquiry, at: Collector) -> None:
    """The answer to one question, kept. A question that was answered before is left alone. Raises Busy to be asked again."""
    where = at.runs.location(inquiry.run, inquiry.wave, inquiry.location)
    if where is None:
        return
    run = at.runs.load(inquiry.run).run
    if inquiry.purpose == "targets" and where.state is LocationState.EXPECTED:
        _targets(where, run, at)
    elif inquiry.purpose == "evidence" and where.state is LocationState.ENDED:
        _evidence(where, run, at)


def _targets(where: LocationRun, run: Run, at: Collector) -> None:
    targets = at.registry.spec(run.campaign, run.spec).wave(where.wave).targets
    try:
        instances = at.spokes.at(where.location).instances(targets)
    except Refused as refused:
        at.runs.out_of_reach(where, *explain_location(refused.code, refused.message))
        return
    if len(instances) > MAX_PAGES * PAGE:
        sentence = f"{len(instances)} targets, {MAX_PAGES * PAGE} is the most in one location"
        at.runs.out_of_reach(where, Cause.TOO_MANY, sentence)
    else:
        at.runs.freeze(where, instances)


def _evidence(where: LocationRun, run: Run, at: Collector) -> None:
    spec = at.registry.spec(run.campaign, run.spec)
    started_at = evidence_since(run, where.wave)
    marked = run.runbook is not None and "RunId" in run.runbook.parameters
    expected = Expectation(expected_snapshot(spec, run, where.wave), spec.operation, started_at, commands_known=marked)
    try:
        spoke = at.spokes.at(where.location)
        asked = _Asked(spoke, run, expected, where)
        for page in range(where.pages_collected, where.pages):
            results = asked.results(at.runs.roster(where, page))
            if _may_still_come(results, where, at):
                logger.info("%s: evidence of page %s may still come", where.location, page)
                return
            at.runs.record(where, page, results)
    except Refused as refused:
        # The poller asks again every minute, and records what stays unread as unverified in the end.
        logger.warning("%s cannot be read: %s", where.location, refused)


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
        states = self.spoke.patch_states([instance.id for instance in instances])
        if self.invocations is None and any(self._unclear(states.get(instance.id)) for instance in instances):
            self._explain()
        found = self.invocations or {}
        ending = self.ending or self.where.ending or Ending("Unknown")
        return tuple(
            judge(instance, states.get(instance.id), found.get(instance.id), ending, self.expected)
            for instance in instances
        )

    def _explain(self) -> None:
        """Ask for what explains failures. Where that is refused, evidence still stands by itself."""
        try:
            self.ending = self._ending()
            self.invocations = self.spoke.invocations(self.run.id, self.expected.started_at)
        except Refused as refused:
            logger.warning("%s cannot be explained: %s", self.where.location, refused)
            self.invocations = {}
            self.expected = replace(self.expected, commands_known=False)

    def _unclear(self, state: PatchState | None) -> bool:
        return state is None or doubt(state, self.expected) is not None or bool(state.failed)

    def _ending(self) -> Ending:
        ending = self.where.ending or Ending("Unknown")
        if ending.status in ("Success", "Refused", "NotStarted", "NotAttempted") or not self.where.child:
            return ending
        return self._child_says(ending, self.where.child)

    def _child_says(self, ending: Ending, child: str) -> Ending:
        reason = self.spoke.failure(child) or ending.reason
        # The fence stops a location before anything is sent; its sentence says so.
        return Ending("NotStarted" if "nothing was sent to any instance" in reason else ending.status, reason)
