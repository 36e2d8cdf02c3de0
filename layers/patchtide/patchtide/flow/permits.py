"""Whether a wave may start something now. Asked when its window opens, and again before each single start.

Whatever cannot be read says no: an unreadable switch is a pause, an unreadable calendar is closed, an unknown alarm is not
quiet. Planning is not permission, so nothing here is remembered from one start to the next.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from patchtide.core.campaign import Campaign
from patchtide.core.closures import FARTHEST, Opening, Span, frozen_spans, next_open_day, opening_at
from patchtide.core.errors import Busy, CloudError, Refused
from patchtide.core.frozen import frozen
from patchtide.core.gate import YES, Verdict
from patchtide.core.ical import closed_spans
from patchtide.core.override import named
from patchtide.core.registration import Registration
from patchtide.core.run import Run, WaveRun, begun, last_start
from patchtide.core.seen import AlarmsSeen, Barred, Permitted, Postponed, Seen

if TYPE_CHECKING:
    from patchtide.flow.cloud import Alarms, Automation, Calendars, FreezeFiles, Now, Overrides, Registry, Switch


@frozen
class Guards:
    """Whoever may say no. `switched` says whether the due index told of the switch: then a run that is under way reads it, too."""

    registry: Registry
    switch: Switch
    calendars: Calendars
    files: FreezeFiles
    overrides: Overrides
    alarms: Alarms
    automation: Automation
    now: Now
    switched: bool = False


def permitted(run: Run, wave: WaveRun, spec: Campaign, at: Guards) -> Verdict:
    """Whether anything of the wave may start at this moment; if not, why, in words for people."""
    return (
        in_window(run, wave, at.now())
        and _switched(at)
        and barred(run, spec, at)
        and quiet(run, wave, at)
        and unchanged(run, spec, at)
        and authentic(spec, at)
    )


def in_window(run: Run, wave: WaveRun, now: datetime) -> Verdict:
    """Whether the wave's window lets anything start at this moment."""
    return YES if run.window_of(wave).start <= now < last_start(run, wave) else Verdict("wait", "its window is closed")


def barred(run: Run, spec: Campaign, at: Guards) -> Verdict:
    """What bars every start of the campaign's: its item, its calendars. A "no" is certain; what could not be read is a "wait",
    and bars as well, but takes nothing back that waits already."""
    if not (verdict := _active(run, at)):
        return verdict
    found = opening(spec, at.now(), at)
    if found.open:
        return YES
    return Verdict("no" if found.sure else "wait", found.reason)


def _switched(at: Guards) -> Verdict:
    try:
        pause = at.switch.read()
    except CloudError as error:
        return Verdict("wait", f"whether the service is paused could not be read: {error.message}")
    return Verdict("no", str(pause)) if pause.on else YES


def _active(run: Run, at: Guards) -> Verdict:
    """A campaign that was disabled or deleted starts nothing more. An edit changes nothing for a run that is under way."""
    try:
        held: Registration | None = at.registry.get(run.campaign)
    except CloudError as error:
        return Verdict("wait", f"whether the campaign is enabled could not be read: {error.message}")
    if held is None or held.deleted:
        return Verdict("no", "its campaign was deleted")
    refused = run.answered(f"version-{held.version}")  # it keeps its version, because it may have begun
    waits = run.waves[0].approval and not begun(run, run.waves[0])
    if waits and held.version != run.spec and not (refused and not refused.accepted):
        return Verdict("wait", f"its campaign changed, and version {held.version} needs an approval of its own")
    return YES if held.enabled else Verdict("no", "its campaign is DISABLED")


def unchanged(run: Run, spec: Campaign, at: Guards) -> Verdict:
    """Whether the runbook is still the one that the run was prepared for. A start names no content, so whatever is the default
    by then would run; what an earlier wave proved, it proved of another."""
    try:
        found = at.automation.runbook(spec.runbook)
    except CloudError as error:
        return Verdict("wait", f"whether the runbook changed could not be read: {error.message}")
    changed = run.changed_runbook(found)
    return Verdict("no", changed) if changed else YES


def authentic(spec: Campaign, at: Guards) -> Verdict:
    """Whether the override list still is what its name says. Instances read it by that name, and install what is in it."""
    override = named(spec.install_override_list)
    if override is None:
        return YES
    try:
        digest = at.overrides.digest(override)
    except CloudError as error:
        answer: Literal["no", "wait"] = "no" if isinstance(error, Refused) else "wait"
        return Verdict(answer, f"the override list could not be read: {error.message}")
    if digest == override.digest:
        return YES
    return Verdict("no", f"{override.key} is not the list that its name says: its SHA-256 is {digest}")


def quiet(run: Run, wave: WaveRun, at: Guards) -> Verdict:
    """Whether the alarms of the gate before the wave are quiet."""
    before = run.before(wave)
    if before and before.alarm:
        return Verdict("no", before.alarm)  # it has spoken, also when it is quiet again
    return alarms_of(before, at) if before else YES


def alarms_of(wave: WaveRun, at: Guards) -> Verdict:
    """Whether the alarms of the wave's gate are quiet: no where one is on, wait where one cannot be known."""
    names = wave.gate.alarms
    if not names:
        return YES
    try:
        states = at.alarms.states(names)
    except CloudError as error:
        return Verdict("wait", f"the alarms of wave {wave.name} could not be read: {error.message}")
    if loud := [name for name in names if states.get(name) == "ALARM"]:
        return Verdict("no", f"alarm {', '.join(loud)} is on")
    if unknown := [name for name in names if states.get(name) != "OK"]:
        what = ", ".join(f"{name} ({states.get(name, 'does not exist')})" for name in unknown)
        return Verdict("wait", f"not known to be quiet: alarm {what}")
    return YES


def opening(spec: Campaign, moment: datetime, at: Guards) -> Opening:
    """Whether the campaign's calendars and freezes are open at the instant, and when that changes."""
    found = _frozen(spec, moment, at)
    if spec.calendars:
        try:
            said = at.calendars.opening(spec.calendars, moment)
        except CloudError as error:
            # a calendar that is not there, or that nobody may read, will not be there soon
            sure = isinstance(error, Refused)
            return Opening(False, None, f"the calendar could not be read: {error.message}", sure) & found
        names = ", ".join(name.rsplit("/", 1)[-1] for name in spec.calendars)
        found = found & Opening(said.open, said.changes_at, "" if said.open else f"calendar {names} is closed")
    return found


def _frozen(spec: Campaign, moment: datetime, at: Guards) -> Opening:
    zone = ZoneInfo(spec.timezone)
    spans: list[tuple[Span, str]] = list(frozen_spans(spec.freezes, zone))
    for key in spec.freeze_files:
        try:
            text = at.files.text(key)
            around = (moment - timedelta(days=1), moment + timedelta(days=FARTHEST))
            spans += [(span, f"frozen by {key}") for span in closed_spans(text, zone, *around)]
        except (CloudError, ValueError) as error:
            said = error.message if isinstance(error, CloudError) else str(error)
            return Opening(False, None, f"the freezes in {key} could not be read: {said}", not isinstance(error, Busy))
    return opening_at(spans, moment)


def at_opening(run: Run, wave: WaveRun, spec: Campaign, at: Guards) -> Seen:
    """What stands in the wave's way at its opening, and what becomes of it: permission, a wait, or another day."""
    alarms = quiet(run, wave, at)
    if alarms.answer == "no":
        return Permitted(wave.name, alarms, "halted")
    found = opening(spec, at.now(), at)
    if not found.open and found.sure:
        return _closed(run, wave, spec, found, at)
    verdict = permitted(run, wave, spec, at)
    if verdict.answer == "no" and (same := unchanged(run, spec, at)).answer == "no":
        return Permitted(wave.name, same, "halted")
    return Permitted(wave.name, verdict if verdict else Verdict("wait", verdict.reason))


def before_opening(run: Run, wave: WaveRun, spec: Campaign, at: Guards) -> Seen | None:
    """What is known, before anything is prepared, to stand in the way when the window opens; None when nothing is, or when it
    is only a matter of waiting: then the wave can be prepared meanwhile."""
    found = opening(spec, max(at.now(), run.window_of(wave).start), at)
    if found.open or not found.sure:
        return None
    closed = _closed(run, wave, spec, found, at)
    waits = isinstance(closed, Permitted) and closed.verdict.answer == "wait"
    return None if waits else closed


def under_way(run: Run, wave: WaveRun, spec: Campaign, at: Guards) -> Seen | None:
    """Whether a wave that is under way has to take back what waits: somebody paused or disabled it, or a calendar closed. None
    where that cannot be read just now: then it stays as it was."""
    verdict = (_switched(at) if at.switched else YES) and barred(run, spec, at)
    return None if verdict.answer == "wait" else Barred(wave.name, verdict.reason if verdict.answer == "no" else "")


def _closed(run: Run, wave: WaveRun, spec: Campaign, found: Opening, at: Guards) -> Seen:
    if begun(run, wave):  # it is not given up, and goes on when it may, as long as its window lasts
        return Permitted(wave.name, Verdict("wait", found.reason))
    if spec.on_calendar_closed == "skip":
        return Permitted(wave.name, Verdict("no", found.reason), "skipped")
    if found.changes_at and found.changes_at < run.window_of(wave).last_start:
        return Permitted(wave.name, Verdict("wait", found.reason))
    doubts = [found] if found.in_doubt else []

    def look(moment: datetime) -> Opening:
        said = opening(spec, moment, at)
        doubts.extend([said] if said.in_doubt else [])
        return said

    start = run.window_of(wave).start
    moved = next_open_day(start, ZoneInfo(spec.timezone), look)
    if doubts:  # another day is chosen when all of them can be read
        return Permitted(wave.name, Verdict("wait", doubts[0].reason))
    latest, ends = _next_run(run, at), max(run.window_of(one).end for one in (wave, *run.after(wave)))
    if moved is None or (latest and ends + (moved - start) > latest):
        until = f"before the next run on {latest:%Y-%m-%d}" if latest else f"within {FARTHEST} days"
        return Permitted(wave.name, Verdict("no", f"{found.reason}, and no day is open {until}"), "skipped")
    return Postponed(wave.name, moved, found.reason)


def _next_run(run: Run, at: Guards) -> datetime | None:
    """When the campaign runs next, as far as it can be read: what is postponed must be over by then."""
    try:
        held = at.registry.get(run.campaign)
    except CloudError:
        return None
    return held.next_at if held and held.next_at and held.next_at > run.scheduled_at else None


def look_at_alarms(wave: WaveRun, at: Guards) -> Seen:
    """What the alarms of the wave's gate say now."""
    return AlarmsSeen(wave.name, alarms_of(wave, at))
