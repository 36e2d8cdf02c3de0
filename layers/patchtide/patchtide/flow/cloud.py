"""What the flow asks of the cloud. `aws` answers for real; a pretend world may answer instead.

Every method may raise `Busy` (ask again later) or `Refused` (somebody has to mend something first).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Protocol, TextIO

from patchtide.core.alerts import Alert
from patchtide.core.audit import Line
from patchtide.core.campaign import Campaign, Runbook, Target
from patchtide.core.closures import Opening
from patchtide.core.evidence import Invocation, PatchState
from patchtide.core.history import Point
from patchtide.core.location import Location
from patchtide.core.orders import Answered, Order
from patchtide.core.outcome import Cause, Instance, Patch, Result
from patchtide.core.override import Override
from patchtide.core.pause import Pause
from patchtide.core.registration import Registration
from patchtide.core.roster import Ended, Holds, Inquiry, LocationRun, LocationState
from patchtide.core.run import Run, RunbookFacts
from patchtide.core.view import Dossier, View

Now = Callable[[], datetime]


class Items(Protocol):
    """The campaigns table: people's items."""

    def get(self, campaign: str) -> Mapping[str, object] | None:
        """The item as it is now, or None when there is none."""

    def every(self) -> Iterator[Mapping[str, object]]:
        """All items, a page at a time."""

    def write_back(self, campaign: str, fields: Mapping[str, object]) -> None:
        """Set the service's fields on the item (None removes one). An item deleted meanwhile is not brought back."""


class Registry(Protocol):
    """The campaigns as the service stands by them."""

    def get(self, campaign: str) -> Registration | None:
        """The registration as it is now."""

    def due(self, now: datetime) -> Iterator[str]:
        """The campaigns with an occurrence to open. Costs what is due, not what exists."""

    def armed(self) -> Iterator[str]:
        """The campaigns that have an occurrence to come, however far away."""

    def take(self, registration: Registration, campaign: Campaign) -> None:
        """Keep a new version and the registration that stands by it. Raises Overtaken."""

    def save(self, registration: Registration) -> None:
        """Keep the registration. Raises Overtaken."""

    def spec(self, campaign: str, version: int) -> Campaign:
        """A version that was taken."""

    def claim(self, registration: Registration, run: Run) -> None:
        """Open the run and move the registration on, both or neither. Raises Overtaken when somebody was faster."""

    def reopen(self, run: Run, registration: Registration | None = None) -> None:
        """Open a run that no occurrence claims: a retry, or one in place of another, with the registration that then stands.
        Once: a second time changes nothing."""

    def note(self, campaign: str, what: str, at: datetime, now: datetime, patience: timedelta) -> bool:
        """Whether it is for this worker to tell people of what belongs to an occurrence and to no run: nobody has told them, or
        began to tell them within the last `patience`."""

    def keep_note(self, campaign: str, what: str, at: datetime, alert: Alert) -> None:
        """Keep what people were told of it."""

    def notices(self, now: datetime) -> Iterator[str]:
        """The campaigns of whose next run people should hear by now; and SERVICE, when a digest is due."""

    def noticed(self, campaign: str) -> None:
        """People need not hear of the campaign's next run any more."""

    def runs_of(self, campaign: str, most: int) -> tuple[str, ...]:
        """The ids of the campaign's last runs, newest first."""


class Runs(Protocol):
    """The service's own record of runs."""

    def due(self, now: datetime) -> Iterator[str]:
        """The ids of runs that want attention; and SERVICE, while the switch is on or people have not heard of it."""

    def ahead(self, inquiries: Iterable[Inquiry]) -> AbstractContextManager[None]:
        """Within, what these questions are answered from is read already, together, and each run is loaded once."""

    def load(self, run: str) -> Dossier:
        """The run as it is now; `ahead`, as it was when it was first loaded there."""

    def save(self, before: Run, after: Run, now: datetime) -> Run:
        """The run as kept, one version on. Raises Overtaken when it is no longer what was loaded."""

    def audit(self, run: str) -> Iterator[Line]:
        """The audit trail of a run, from its first line on."""

    def add_locations(self, run: str, wave: str, locations: Mapping[Location, str]) -> int:
        """How many locations the wave has, once these are written down with the names of their accounts. Those already there
        are left as they are."""

    def locations(self, run: str, wave: str, state: LocationState | None) -> Iterator[LocationRun]:
        """The wave's locations, all or those in that state."""

    def location(self, run: str, wave: str, location: Location) -> LocationRun | None:
        """One location as it is now, or None when the run does not have it."""

    def holds(self, location: Location) -> Holds:
        """Which run has which instances of the location to itself, as far as anybody said so."""

    def freeze(
        self,
        at: LocationRun,
        instances: Iterable[Instance],
        holds: Holds,
        span: tuple[datetime, datetime],
        now: datetime,
        *,
        named: bool = False,
    ) -> None:
        """Keep who is expected at the location, count it, and hold them for the span. Once: a second time changes nothing.

        Raises Overtaken when others were held since `holds` was read.
        """

    def out_of_reach(self, places: Sequence[LocationRun], cause: Cause, sentence: str) -> None:
        """Keep that these locations of a wave cannot be asked, and count them. Once."""

    def end(
        self,
        run: str,
        wave: str,
        endings: Mapping[Location, Ended],
        now: datetime,
        part: int = 1,
        parts: int = 1,
    ) -> None:
        """Keep how that part of each location ended. Once."""

    def roster(self, at: LocationRun, page: int) -> tuple[Instance, ...]:
        """One page of the instances expected at the location."""

    def record(self, at: LocationRun, page: int, results: Iterable[Result], joined: int = 0) -> None:
        """Keep a row for each instance of the page, and count them and the late joiners. Once: a page is counted by whoever is
        first."""

    def keep_patches(self, at: LocationRun, patches: Mapping[str, Sequence[Patch]]) -> None:
        """Keep which patches count against instances of the location."""

    def keep_joined(self, at: LocationRun, results: Iterable[Result]) -> None:
        """Keep what became of instances that were patched though they were not expected."""

    def instances(self, run: str) -> Iterator[Mapping[str, str]]:
        """The rows of all instances of a run."""

    def joined(self, run: str) -> Iterator[Mapping[str, str]]:
        """The rows of instances that were patched though they were not expected."""

    def patches(self, run: str) -> Iterator[tuple[Mapping[str, str], tuple[Patch, ...]]]:
        """The patches that count against each instance, with where it is."""

    def jot(self, run: str, line: str, now: datetime) -> None:
        """Keep a line for the next digest. Once: a second time changes nothing."""

    def jotted(self) -> tuple[tuple[str, str], ...]:
        """The lines for the next digest, each with its run."""

    def digested(self, runs: Iterable[str], now: datetime) -> None:
        """The lines of these runs were told; what came after them is due on another day."""

    def remember(self, points: Iterable[Point]) -> None:
        """Keep points of the trend, for as long as anybody may ask. Once: a second time changes nothing."""

    def trend(self, campaign: str, most: int) -> tuple[Point, ...]:
        """The last points of a campaign's runs, oldest first."""

    def problems(self, run: str, prefix: str, limit: int) -> tuple[Mapping[str, str], ...]:
        """Up to `limit` rows of instances (or locations) that did not come out right, whose key has the prefix."""

    def order(self, run: str, order: Order) -> None:
        """Give the run an order; it wakes the run."""

    def answer(self, run: str, answered: Answered) -> None:
        """Keep what the run said to an order, where whoever gave it looks."""

    def left(self, run: str, wave: str, location: Location) -> frozenset[str]:
        """The instances of a wave at a location that did not come out right."""

    def left_over(self, run: str) -> Iterator[tuple[str, Location]]:
        """The waves and locations of a run with instances that did not come out right, or that were out of reach."""

    def has_alert(self, run: str, alert: Alert) -> bool:
        """Whether people were told that, and it was kept."""

    def keep_alert(self, run: str, alert: Alert, now: datetime) -> None:
        """Keep what people were told."""


class Automation(Protocol):
    """SSM Automation in the hub."""

    def runbook(self, runbook: Runbook) -> RunbookFacts:
        """What AWS knows of the runbook."""

    def share(self, runbook: str, accounts: Iterable[str]) -> None:
        """Have these accounts see a runbook of the hub's. Whoever sees it already still does."""

    def start(self, request: str) -> str:
        """The id of the execution that the rendered request started, now or when it was sent before."""

    def find(self, token: str) -> str | None:
        """The id of the execution that carries this start's tag, or None when there is none."""

    def look(self, execution: str) -> View:
        """One call, unless `steps` is asked and there are many."""

    def stop(self, execution: str) -> None:
        """Have it stop; it may take its time."""


class Organization(Protocol):
    """AWS Organizations."""

    def accounts(self, selectors: Iterable[str], *, children: bool) -> Mapping[str, str]:
        """The active accounts that account ids, units and roots stand for, with their names as far as they are known."""


class Inquiries(Protocol):
    """The collector's queue."""

    def send(self, inquiries: Iterable[Inquiry]) -> None:
        """Have each location asked."""


class ReportQueue(Protocol):
    """The reporter's queue."""

    def send(self, run: str) -> None:
        """Have the run's report written."""


class Archive(Protocol):
    """The report bucket."""

    def file(self, key: str) -> AbstractContextManager[Draft]:
        """A file to write: it is in the bucket once it was written to its end, and not at all when that failed."""


class Draft(Protocol):
    """A file that is being written."""

    text: TextIO

    @property
    def digest(self) -> str:
        """The SHA-256 of the file as it is in the bucket, once it is."""


class Spoke(Protocol):
    """One location, seen through the read role of its account."""

    def instances(self, targets: Iterable[Target]) -> tuple[Instance, ...]:
        """The instances for which every target holds."""

    def patch_states(self, instances: Iterable[str]) -> Mapping[str, PatchState]:
        """The last patch state of each of up to 50 instances; those SSM knows nothing of are left out."""

    def patches(self, instance: str) -> tuple[Patch, ...]:
        """The patches that count against an instance."""

    def reached(self, run: str, since: datetime) -> int:
        """How many instances the run's commands were sent to."""

    def gone(self, instances: Iterable[str]) -> frozenset[str]:
        """Those of these instances that exist no more."""

    def writer(self, instance: str) -> str:
        """Who wrote the instance's patch state, in words; empty where that cannot be told."""

    def invocations(self, run: str, since: datetime) -> Mapping[str, Invocation]:
        """The last patch command of the run that each instance was sent."""

    def failure(self, child: str) -> str:
        """Why the location's own execution failed, in AWS's or the runbook's words."""

    def halt(self, run: str, since: datetime) -> int:
        """Take back what waits for its turn in the run's commands; how many instances that was."""

    def stop(self, child: str) -> None:
        """Have the location's own execution stop, unless its command is at work already."""


class Spokes(Protocol):
    """All locations."""

    def at(self, location: Location, *, urgent: bool = False) -> Spoke:
        """The location. Raises Refused where its read role cannot be assumed, and PutOff while it is left alone, unless it is urgent."""


class Switch(Protocol):
    """The service-wide pause."""

    def read(self) -> Pause:
        """The switch as it is now. Whoever cannot read it has to take it as paused."""

    def keep(self, before: Pause, after: Pause) -> None:
        """Leave it as turned, with what was noted since. Raises Overtaken when somebody else was at it."""


class Slots(Protocol):
    """How many instances all runs together are patching."""

    def take(self, token: str, instances: int, most: int, now: datetime) -> bool:
        """Whether so many more may be in flight; if so they are counted, once for each token."""

    def release(self, token: str) -> None:
        """Count the token's instances no longer. Once."""


class Calendars(Protocol):
    """SSM Change Calendars."""

    def opening(self, names: Iterable[str], at: datetime) -> Opening:
        """Whether all calendars are open at the instant, and until when."""


class FreezeFiles(Protocol):
    """iCalendar files in the stack's bucket."""

    def text(self, key: str) -> str:
        """The file's text."""


class Overrides(Protocol):
    """Override lists in the stack's bucket."""

    def digest(self, override: Override) -> str:
        """The SHA-256 of the list as it is now."""


class Alarms(Protocol):
    """CloudWatch alarms."""

    def states(self, names: Iterable[str]) -> Mapping[str, str]:
        """The state of each alarm that exists: OK, ALARM or INSUFFICIENT_DATA."""


class Telemetry(Protocol):
    """What is drawn over time: few numbers with few names."""

    def ended(self, run: Run) -> None:
        """Note how a run ended."""


class Alerts(Protocol):
    """The people on call."""

    def publish(self, alert: Alert) -> None:
        """Tell them."""
