"""The runs table: registrations, versions, runs and everything under them, in one table.

| pk | sk | what |
|---|---|---|
| `campaign#<name>` | `registration` | which version is in force; in the `due` index while an occurrence is to come |
| `campaign#<name>` | `notice` | that people should hear of its next run; in the `due` index until they have |
| `campaign#<name>` | `version#<number>` | a version, never changed |
| `campaign#<name>` | `occurrence#<instant>` | which run an occurrence became |
| `run#<id>` | `run` | the run; in the `due` index while it wants attention |
| `run#<id>` | `run#execution#<wave>#<number>` | one Automation execution, with its request |
| `run#<id>` | `run#tally#<wave>` | the counters of a wave |
| `run#<id>` | `location#<wave>#<account>#<region>` | one location; in the `problems` index when out of reach |
| `run#<id>` | `roster#<wave>#<account>#<region>#<page>` | who is expected there, 50 a page, frozen |
| `run#<id>` | `instance#<wave>#<account>#<region>#<id>` | one instance; in the `problems` index unless it came out right |
| `run#<id>` | `joined#<wave>#<account>#<region>#<id>` | one instance that was patched though it was not expected |
| `run#<id>` | `patches#<wave>#<account>#<region>#<id>` | the patches that count against an instance |
| `run#<id>` | `run#order#<id>` | what a person told the run to do, and what it said; in the `due` index until it has |
| `run#<id>` | `audit#<number>` | one line of the audit trail, sealed by the next |
| `run#<id>` | `alert#<kind>#<wave>#<about>` | what people were told |
| `campaign#<name>` | `alert#<what>` | what people were told of a campaign that has no run to speak for it |
| `location#<account>#<region>` | `holds` | which run has which instances to itself |
| `history#<campaign>` | `run#<instant>#<run>` | a run's totals, for years |
| `history#<campaign>` | `account#<account>#<instant>#<run>` | the same of one account |
| `digest` | `run#<run>` | a line for the next digest |
| `service` | `digest` | in the `due` index while there are such lines |
| `service` | `pause` | whether anything may start at all |
| `service` | `inflight`, `slot#<token>` | how many instances are being patched, and by which executions |

No item grows with the fleet. A page of 50 instances is one transaction: its rows, the location's page marker and the
counters, so that each page is counted exactly once whoever brings it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from patchtide.aws.table import Item, Table, body, moment, read, value
from patchtide.core import audit
from patchtide.core.alerts import Alert
from patchtide.core.campaign import Campaign
from patchtide.core.due import wake_at
from patchtide.core.errors import Busy, Overtaken, Refused
from patchtide.core.frozen import frozen
from patchtide.core.history import Point
from patchtide.core.location import Location
from patchtide.core.orders import Answered, Order
from patchtide.core.outcome import FINE, LEFT, Cause, Instance, Patch, Result
from patchtide.core.registration import Registration
from patchtide.core.roster import Ended, Hold, Holds, Inquiry, LocationRun, LocationState, fingerprint, pages
from patchtide.core.run import Execution, Run
from patchtide.core.tally import Tally
from patchtide.core.view import Dossier

ACTIONS = 100  # DynamoDB's limit for one transaction
TRIES = 5
DIGEST_AT = 8  # o'clock, UTC
HISTORY = timedelta(days=5 * 366)  # points of the trend outlive the rows they were counted from
LONGEST_RUN = timedelta(
    days=60
)  # waves come up to 27 days apart, and may be postponed by 31: what is open must not expire
_TALLIED = ("resolved", "unreachable", "empty", "set_aside", "collected", "instances", "compliant", "joined")


@frozen
class Version:
    """A version of a campaign, who is known to have written it, and when it was taken, as far as that was noted."""

    number: int
    campaign: Campaign
    author: str
    taken_at: str


class Registry:
    """The campaigns as the service stands by them."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._specs: dict[tuple[str, int], Campaign] = {}

    def get(self, campaign: str) -> Registration | None:
        """The registration as it is now."""
        item = self.table.get(pk=f"campaign#{campaign}", sk="registration")
        return value(item, Registration) if item else None

    def due(self, now: datetime) -> Iterator[str]:
        """The campaigns with an occurrence to open."""
        return (str(item["pk"]).removeprefix("campaign#") for item in _due(self.table, "campaign", now))

    def armed(self) -> Iterator[str]:
        """The campaigns that have an occurrence to come, however far away."""
        return self.due(datetime.max.replace(tzinfo=UTC))

    def take(self, registration: Registration, campaign: Campaign) -> None:
        """Keep a new version and the registration that stands by it. Raises Overtaken."""
        version = {
            "pk": f"campaign#{registration.campaign}",
            "sk": f"version#{registration.version:06d}",
            "body": body(campaign),
            "author": registration.author,
            "takenAt": moment(registration.taken_at) if registration.taken_at else "",
        }
        self._save(registration, [self.table.put(version)])

    def save(self, registration: Registration) -> None:
        """Keep the registration. Raises Overtaken."""
        self._save(registration, [])

    def spec(self, campaign: str, version: int) -> Campaign:
        """A version that was taken."""
        if (campaign, version) not in self._specs:
            item = self.table.get(pk=f"campaign#{campaign}", sk=f"version#{version:06d}")
            if item is None:
                raise Refused("read the version", "NotFound", f"version {version} of {campaign} is not in the table")
            self._specs[campaign, version] = value(item, Campaign)
        return self._specs[campaign, version]

    def versions(self, campaign: str) -> Iterator[Version]:
        """Every version that was taken, oldest first."""
        for item in self.table.under(f"campaign#{campaign}", "version#"):
            number = int(str(item["sk"]).partition("#")[2])
            yield Version(number, value(item, Campaign), str(item.get("author", "")), str(item.get("takenAt", "")))

    def claim(self, registration: Registration, run: Run) -> None:
        """Open the run and move the registration on, both or neither. Raises Overtaken when somebody was faster."""
        opened = self.table.put_new(_run_item(run, run.opened_at, uuid4().hex))
        self._save(registration, [opened, self.table.put(_occurrence_item(run, ""))])

    def reopen(self, run: Run, registration: Registration | None = None) -> None:
        """Open a run that no occurrence claims: a retry, or one in place of another, with the registration that then stands.
        Once: a second time changes nothing. Raises Overtaken when the registration changed meanwhile."""
        opened = self.table.put_new(_run_item(run, run.opened_at, uuid4().hex))
        actions = [opened, self.table.put(_occurrence_item(run, f"#{run.id}"))]
        if self.table.get(pk=f"run#{run.id}", sk="run"):
            return
        if registration:
            self._save(registration, actions)
        else:
            with suppress(Overtaken):
                self.table.transact(f"open {run.id}", actions)

    def note(self, campaign: str, what: str, at: datetime, now: datetime, patience: timedelta) -> bool:
        """Whether it is for this worker to tell people of what belongs to an occurrence and to no run: nobody has told them, or began
        to tell them within the last `patience`."""
        note = _noted_key(campaign, what, at) | {"askedAt": moment(now)}
        lost = {":lost": moment(now - patience)}
        free = "attribute_not_exists(pk) OR (attribute_not_exists(body) AND askedAt <= :lost)"
        try:
            self.table.transact(f"note the alert of {campaign}", [self.table.put_if(note, free, lost)])
        except Overtaken:
            return False
        return True

    def keep_note(self, campaign: str, what: str, at: datetime, alert: Alert) -> None:
        """Keep what people were told of it."""
        item = _noted_key(campaign, what, at) | {"body": body(alert)}
        self.table.transact(f"keep the alert of {campaign}", [self.table.put(item)])

    def notices(self, now: datetime) -> Iterator[str]:
        """The campaigns of whose next run people should hear by now."""
        return (str(item["pk"]).removeprefix("campaign#") for item in _due(self.table, "notice", now))

    def noticed(self, campaign: str) -> None:
        """People need not hear of the campaign's next run any more."""
        key = {"pk": f"campaign#{campaign}", "sk": "notice"}
        with suppress(Overtaken):
            self.table.transact(f"settle the notice of {campaign}", [self.table.delete(key)])

    def runs_of(self, campaign: str, most: int) -> tuple[str, ...]:
        """The ids of the campaign's last runs, newest first."""
        found = self.table.query(
            "pk = :pk AND begins_with(sk, :sk)",
            {":pk": f"campaign#{campaign}", ":sk": "occurrence#"},
            ScanIndexForward=False,
            PaginationConfig={"MaxItems": most},
        )
        return tuple(str(item["run"]) for item in found)

    def _save(self, registration: Registration, more: list[Mapping[str, Any]]) -> None:
        key = {"pk": f"campaign#{registration.campaign}", "sk": "registration"}
        stamp = uuid4().hex
        changed = replace(registration, changes=registration.changes + 1)
        item = {**key, "body": body(changed), "changes": changed.changes, "stamp": stamp}
        if changed.due_at:
            item |= {"due": "campaign", "dueAt": moment(changed.due_at)}
        mine = self.table.put_if(
            item, "attribute_not_exists(pk) OR changes = :before", {":before": registration.changes}
        )
        if changed.notice_at:
            notice = {"pk": key["pk"], "sk": "notice", "due": "notice", "dueAt": moment(changed.notice_at)}
            more = [*more, self.table.put(notice)]
        _once(self.table, f"keep {registration.campaign}", [mine, *more], key, stamp)


class Runs:
    """The service's own record of runs. Everything of a run expires `retention` after its last change, and the time that a
    run may take."""

    def __init__(self, table: Table, retention: timedelta, now: Callable[[], datetime]) -> None:
        self.table, self.retention, self.now = table, retention, now
        self._loaded: dict[str, Dossier] | None = None

    @contextmanager
    def ahead(self, inquiries: Iterable[Inquiry]) -> Iterator[None]:
        """Within, what these questions are answered from is read already, and each run is loaded once. All of it is as new as the
        questions, and whatever is written is written on conditions."""
        keys = [key for inquiry in inquiries for key in _needed(inquiry)]
        self._loaded = {}
        try:
            with self.table.ahead(keys):
                yield
        finally:
            self._loaded = None

    def due(self, now: datetime) -> Iterator[str]:
        """The ids of runs that want attention, or were given an order, each once; and SERVICE, if the switch wants it."""
        return iter(dict.fromkeys(str(item["pk"]).removeprefix("run#") for item in _due(self.table, "run", now)))

    def load(self, run: str) -> Dossier:
        """The run as it is now, or as it was when it was loaded `ahead`: one query, whatever the fleet's size."""
        if self._loaded is None:
            return self._load(run)
        if run not in self._loaded:
            self._loaded[run] = self._load(run)
        return self._loaded[run]

    def _load(self, run: str) -> Dossier:
        found: Run | None = None
        executions: list[Execution] = []
        tallies: dict[str, Tally] = {}
        orders: list[Order] = []
        for item in self.table.under(f"run#{run}", "run"):
            kind, _, rest = str(item["sk"]).partition("#")[2].partition("#")
            if not kind:
                found = value(item, Run)
            elif kind == "execution":
                executions.append(value(item, Execution))
            elif kind == "order":
                orders += [] if "answer" in item else [value(item, Order)]
            else:
                tallies[rest] = _tally(item)
        if found is None:
            raise Refused("load the run", "NotFound", f"there is no run {run}")
        orders.sort(key=lambda order: (order.at, order.id))
        return Dossier(replace(found, executions=tuple(executions)), tallies, tuple(orders))

    def save(self, before: Run, after: Run, now: datetime) -> Run:
        """The run as kept, one version on. Raises Overtaken when it is no longer what was loaded."""
        told = audit.lines(before, after, now)
        sealed = replace(after, audited=before.audited + len(told), seal=told[-1].seal) if told else after
        kept = replace(sealed, version=before.version + 1)
        stamp = uuid4().hex
        item = self._lasting(_run_item(kept, now, stamp))
        mine = self.table.put_if(item, "version = :before", {":before": before.version})
        known = set(before.executions)
        changed = [
            self.table.put(self._lasting(_execution_item(kept.id, execution)))
            for execution in kept.executions
            if execution not in known
        ]
        trail = [self.table.put_new(self._lasting(_audit_item(kept.id, line))) for line in told]
        _once(self.table, f"save {kept.id}", [mine, *trail, *changed], {"pk": item["pk"], "sk": item["sk"]}, stamp)
        return kept

    def audit(self, run: str) -> Iterator[audit.Line]:
        """The audit trail of a run, from its first line on."""
        for item in self.table.under(f"run#{run}", "audit#"):
            yield audit.Line(int(str(item["sk"]).partition("#")[2]), str(item["text"]))

    def add_locations(self, run: str, wave: str, locations: Mapping[Location, str]) -> int:
        """How many locations the wave has, once these are written down with the names of their accounts. Those already there
        are left as they are."""
        new = [
            self.table.put_new(self._lasting(_location_item(LocationRun(run, wave, location, account_name=name))))
            for location, name in locations.items()
        ]
        for first in range(0, len(new), ACTIONS):
            try:
                self.table.transact(f"add locations of {run}", new[first : first + ACTIONS])
            except Overtaken:  # some are there already, from a worker that did not live to say so
                for one in new[first : first + ACTIONS]:
                    with suppress(Overtaken):
                        self.table.transact(f"add a location of {run}", [one])
        return sum(1 for _ in self.table.under(f"run#{run}", f"location#{wave}#"))

    def locations(self, run: str, wave: str, state: LocationState | None = None) -> Iterator[LocationRun]:
        """The wave's locations, all or those in that state."""
        for item in self.table.under(f"run#{run}", f"location#{wave}#"):
            if state is None or item["state"] == state:
                yield _location(item)

    def location(self, run: str, wave: str, location: Location) -> LocationRun | None:
        """One location as it is now, or None when the run does not have it."""
        item = self.table.get(**_location_key(run, wave, location))
        return _location(item) if item else None

    def holds(self, location: Location) -> Holds:
        """Which run has which instances of the location to itself, as far as anybody said so."""
        item = self.table.get(**_holds_key(location))
        return value(item, Holds) if item else Holds(location)

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
        """Keep who is expected at the location, count it, and hold them. Once: a second time changes nothing.

        `holds` are those that still count, `span` is the time for which these are held. Raises Overtaken when others were added
        since they were read.
        """
        rosters = pages(instances)
        expected = [instance for page in rosters for instance in page]
        mine = tuple(instance.id for instance in expected if not instance.left_alone)
        frozen = replace(
            at,
            state=LocationState.RESOLVED if mine else LocationState.ENDED if expected else LocationState.EMPTY,
            ended_at=now if expected and not mine else None,
            instances=len(expected),
            held=len(expected) - len(mine),
            pages=len(rosters),
            named=named,
            roster=fingerprint(expected),
        )
        counted = {"resolved": 1, "instances": len(expected)}
        counted |= {} if expected else {"empty": 1}
        counted |= {"set_aside": 1} if expected and not mine else {}
        more = [
            self.table.put(self._lasting(_roster_key(at, number) | {"body": body(page)}))
            for number, page in enumerate(rosters)
        ]
        if mine:
            more.append(self._hold(holds, Hold(at.run, at.wave, span[1], mine, span[0])))
        try:
            self._change(at, frozen, counted, more)
        except Overtaken:
            found = self.location(at.run, at.wave, at.location)
            if found and found.state is LocationState.EXPECTED:
                raise

    def _hold(self, holds: Holds, hold: Hold) -> Mapping[str, Any]:
        changed = replace(holds, held=(*holds.held, hold), changes=holds.changes + 1)
        where = holds.location
        latest = max(one.until for one in changed.held)
        item = _holds_key(where) | {
            "body": body(changed),
            "changes": changed.changes,
            "expiresAt": int((latest + timedelta(days=1)).timestamp()),
        }
        return self.table.put_if(item, "attribute_not_exists(pk) OR changes = :before", {":before": holds.changes})

    def out_of_reach(self, places: Sequence[LocationRun], cause: Cause, sentence: str) -> None:
        """Keep that these locations of a wave cannot be asked, and count them. Once."""
        for first in range(0, len(places), ACTIONS - 1):  # their counters are one more
            some = places[first : first + ACTIONS - 1]
            try:
                self._out_of_reach(some, cause, sentence)
            except Overtaken:  # one of them answered after all, or was given up by somebody else
                for one in some:
                    with suppress(Overtaken):
                        self._out_of_reach([one], cause, sentence)

    def _out_of_reach(self, places: Sequence[LocationRun], cause: Cause, sentence: str) -> None:
        found = [replace(at, state=LocationState.UNREACHABLE, cause=cause, sentence=sentence[:500]) for at in places]
        moves = [self._moves(before, after) for before, after in zip(places, found, strict=True)]
        count = self._counts(places[0], {"resolved": len(places), "unreachable": len(places)})
        self.table.transact(f"{len(places)} locations of {places[0].run} are out of reach", [*moves, count])

    def end(
        self,
        run: str,
        wave: str,
        endings: Mapping[Location, Ended],
        now: datetime,
        part: int = 1,
        parts: int = 1,
    ) -> None:
        """Keep how that part of each location ended. Once; a location has ended when all of its parts have."""
        left = list(endings)
        for _ in range(TRIES):
            some = [left[first : first + ACTIONS] for first in range(0, len(left), ACTIONS)]
            left = [one for each in some for one in self._end(run, wave, each, endings, now, (part, parts))]
            if not left:
                return
        raise Busy("end locations", "Overtaken", f"{left[0]} of {run} changed {TRIES} times meanwhile")

    def _end(
        self,
        run: str,
        wave: str,
        locations: Sequence[Location],
        endings: Mapping[Location, Ended],
        now: datetime,
        which: tuple[int, int],
    ) -> Sequence[Location]:
        """Those that are still to be ended: all of them, one by one, where any was changed meanwhile."""
        found = map(_location, self.table.get_all(_location_key(run, wave, location) for location in locations))
        going = [at for at in found if at.state is LocationState.RESOLVED and which[0] not in at.parts_ended]
        moves = [self._moves(at, _with_part(at, endings[at.location], now, *which)) for at in going]
        if not moves:
            return ()
        try:
            self.table.transact(f"{len(moves)} locations of {run} have ended", moves)
        except Overtaken:  # another part ended meanwhile, or somebody kept this one
            if len(moves) == 1:
                return [going[0].location]
            return [one for at in going for one in self._end(run, wave, [at.location], endings, now, which)]
        return ()

    def roster(self, at: LocationRun, page: int) -> tuple[Instance, ...]:
        """One page of the instances expected at the location."""
        item = self.table.get(**_roster_key(at, page))
        return value(item, tuple[Instance, ...]) if item else ()

    def keep_patches(self, at: LocationRun, patches: Mapping[str, Sequence[Patch]]) -> None:
        """Keep which patches count against instances of the location."""
        for id_, found in patches.items():
            item = {"pk": f"run#{at.run}", "sk": f"patches#{_place(at)}#{id_}", "body": body(tuple(found))}
            self.table.transact(f"keep the patches of {id_}", [self.table.put(self._lasting(item))])

    def keep_joined(self, at: LocationRun, results: Iterable[Result]) -> None:
        """Keep what became of instances that were patched though they were not expected."""
        rows = [self.table.put(self._lasting(_instance_item(at, result, self.now(), "joined"))) for result in results]
        for first in range(0, len(rows), ACTIONS):
            self.table.transact(f"keep late joiners of {at.run}", rows[first : first + ACTIONS])

    def record(self, at: LocationRun, page: int, results: Iterable[Result], joined: int = 0) -> None:
        """Keep a row for each instance of the page, and count them and the late joiners. Once: a page is counted by whoever is
        first."""
        results = tuple(results)
        last = page + 1 >= at.pages
        before = replace(at, pages_collected=page)
        after = replace(at, pages_collected=page + 1, state=LocationState.COLLECTED if last else at.state)
        counted = Counter(f"outcome_{result.outcome}" for result in results)
        counted.update(f"cause_{result.cause}" for result in results if result.cause)
        counted += Counter(compliant=sum(result.compliant for result in results), joined=joined)
        if last:
            counted["collected"] = 1
        with suppress(Overtaken):
            self._change(
                before,
                after,
                counted,
                [self.table.put(self._lasting(_instance_item(at, result, self.now()))) for result in results],
            )

    def problems(self, run: str, prefix: str = "", limit: int | None = None) -> tuple[Mapping[str, str], ...]:
        """Rows of instances or locations that did not come out right, whose key has the prefix; at most `limit`."""
        condition, values = "problemRun = :run", {":run": run}
        if prefix:
            condition, values = f"{condition} AND begins_with(problemKey, :prefix)", values | {":prefix": prefix}
        bound = {"PaginationConfig": {"MaxItems": limit}} if limit else {}
        return tuple(_row(item) for item in self.table.query(condition, values, IndexName="problems", **bound))

    def instances(self, run: str, wave: str = "") -> Iterator[Mapping[str, str]]:
        """The rows of all instances of a run, or of one wave."""
        return (_row(item) for item in self.table.under(f"run#{run}", f"instance#{wave}"))

    def joined(self, run: str) -> Iterator[Mapping[str, str]]:
        """The rows of instances that were patched though they were not expected."""
        return (_row(item) for item in self.table.under(f"run#{run}", "joined#"))

    def patches(self, run: str) -> Iterator[tuple[Mapping[str, str], tuple[Patch, ...]]]:
        """The patches that count against each instance: its row's key spelled out, and the patches."""
        for item in self.table.under(f"run#{run}", "patches#"):
            yield _row(item), read(item, tuple[Patch, ...])

    def jot(self, run: str, line: str, now: datetime) -> None:
        """Keep a line for the next digest, which is due at DIGEST_AT. Once: a second time changes nothing."""
        due = now.replace(hour=DIGEST_AT, minute=0, second=0, microsecond=0)
        due = due if due > now else due + timedelta(days=1)
        rows = [
            self.table.put({"pk": "digest", "sk": f"run#{run}", "line": line}),
            self.table.put({"pk": "service", "sk": "digest", "due": "notice", "dueAt": moment(due)}),
        ]
        self.table.transact(f"jot down {run}", rows)

    def jotted(self) -> tuple[tuple[str, str], ...]:
        """The lines for the next digest, each with its run."""
        return tuple((str(i["sk"]).removeprefix("run#"), str(i["line"])) for i in self.table.under("digest", "run#"))

    def digested(self, runs: Iterable[str], now: datetime) -> None:
        """The lines of these runs were told; what came after them is due on another day."""
        gone = [self.table.delete({"pk": "digest", "sk": f"run#{run}"}) for run in runs]
        done = self.table.update(
            {"pk": "service", "sk": "digest"}, "REMOVE due, dueAt", {":now": moment(now)}, "dueAt <= :now"
        )
        for one in [*gone, done]:
            with suppress(Overtaken):  # somebody else told them
                self.table.transact("settle the digest", [one])

    def remember(self, points: Iterable[Point]) -> None:
        """Keep points of the trend for HISTORY. Once: a second time changes nothing."""
        rows = [self.table.put(_point_item(point, self.now() + HISTORY)) for point in points]
        for first in range(0, len(rows), ACTIONS):
            self.table.transact("keep points of the trend", rows[first : first + ACTIONS])

    def trend(self, campaign: str, most: int) -> tuple[Point, ...]:
        """The last points of a campaign's runs, oldest first."""
        found = self.table.query(
            "pk = :pk AND begins_with(sk, :sk)",
            {":pk": f"history#{campaign}", ":sk": "run#"},
            ScanIndexForward=False,
            PaginationConfig={"MaxItems": most},
        )
        return tuple(reversed([value(item, Point) for item in found]))

    def accounts(self, campaign: str, account: str = "") -> Iterator[Point]:
        """The points of a campaign's accounts, or of one of them, oldest first for each."""
        prefix = f"account#{account}#" if account else "account#"
        return (value(item, Point) for item in self.table.under(f"history#{campaign}", prefix))

    def has_alert(self, run: str, alert: Alert) -> bool:
        """Whether people were told that, and it was kept."""
        return self.table.get(**_alert_key(run, alert)) is not None

    def keep_alert(self, run: str, alert: Alert, now: datetime) -> None:
        """Keep what people were told."""
        item = {**_alert_key(run, alert), "body": body(alert), "sentAt": moment(now)}
        self.table.transact(f"keep the alert of {run}", [self.table.put(self._lasting(item))])

    def alerts(self, run: str) -> Iterator[tuple[Alert, str]]:
        """What people were told of a run, and when."""
        return ((value(item, Alert), item["sentAt"]) for item in self.table.under(f"run#{run}", "alert#"))

    def order(self, run: str, order: Order) -> None:
        """Give the run an order; it wakes the run."""
        item = _order_item(run, order) | {"due": "run", "dueAt": moment(order.at)}
        self.table.transact(f"give {run} an order", [self.table.put_new(self._lasting(item))])

    def answer(self, run: str, answered: Answered) -> None:
        """Keep what the run said to an order, where whoever gave it looks."""
        said = {"answer": answered.answer, "accepted": answered.accepted}
        item = self._lasting(_order_item(run, answered.order) | said)
        self.table.transact(f"answer {answered.order.id}", [self.table.put(item)])

    def answer_to(self, run: str, order: str) -> tuple[bool, str] | None:
        """Whether the run accepted the order, and what it said; None while it has not."""
        item = self.table.get(pk=f"run#{run}", sk=f"run#order#{order}")
        return (bool(item["accepted"]), str(item["answer"])) if item and "answer" in item else None

    def left(self, run: str, wave: str, location: Location) -> frozenset[str]:
        """The instances of a wave at a location that did not come out right."""
        prefix = f"instance#{wave}#{location.account}#{location.region}#"
        rows = self.table.under(f"run#{run}", prefix)
        return frozenset(str(row["sk"]).removeprefix(prefix) for row in rows if _left(row))

    def left_over(self, run: str) -> Iterator[tuple[str, Location]]:
        """The waves and locations of a run with instances that did not come out right, or that were out of reach."""
        for row in self.problems(run):
            if row["kind"] == "location" or _left(row):
                yield row["wave"], Location(row["account"], row["region"])

    def _change(
        self, before: LocationRun, after: LocationRun, counted: Mapping[str, int], more: Sequence[Mapping[str, Any]]
    ) -> None:
        """A location moves on and is counted, both or neither, if it is still where it was."""
        count = [self._counts(before, counted)] if counted else []
        actions = [self._moves(before, after), *more, *count]
        self.table.transact(f"{after.location} of {after.run} becomes {after.state}", actions)

    def _counts(self, at: LocationRun, counted: Mapping[str, int]) -> Mapping[str, Any]:
        """The wave's counters go up."""
        names = {f"n{number}": name for number, name in enumerate(counted)}
        return self.table.update(
            {"pk": f"run#{at.run}", "sk": f"run#tally#{at.wave}"},
            "ADD " + ", ".join(f"#{short} :{short}" for short in names) + " SET expiresAt = :expires",
            {f":{short}": counted[name] for short, name in names.items()} | {":expires": self._expires_at()},
            **names,
        )

    def _moves(self, before: LocationRun, after: LocationRun) -> Mapping[str, Any]:
        """A location moves on, if it is still where it was."""
        values = {
            ":state": before.state.value,
            ":pages": before.pages_collected,
            ":parts": len(before.parts_ended),
        }
        unchanged = "#state = :state AND pages = :pages AND partsEnded = :parts"
        return self.table.put_if(self._lasting(_location_item(after)), unchanged, values, state="state")

    def _lasting(self, item: dict[str, Any]) -> dict[str, Any]:
        return item | {"expiresAt": self._expires_at()}

    def _expires_at(self) -> int:
        return int((self.now() + self.retention + LONGEST_RUN).timestamp())


def _once(table: Table, what: str, actions: list[Mapping[str, Any]], key: Mapping[str, str], stamp: str) -> None:
    """Perform a transaction whose first item carries the stamp.

    A condition may fail on our own second try, when the first was applied and its answer lost: then the stamp is there.
    """
    try:
        for first in range(0, len(actions), ACTIONS):
            table.transact(what, actions[first : first + ACTIONS])
    except Overtaken:
        found = table.get(**key)
        if found is None or found.get("stamp") != stamp:
            raise


def _due(table: Table, kind: str, now: datetime) -> Iterator[Item]:
    return table.query(
        "#due = :kind AND dueAt <= :now",
        {":kind": kind, ":now": moment(now)},
        IndexName="due",
        ExpressionAttributeNames={"#due": "due"},
    )


def _run_item(run: Run, now: datetime, stamp: str) -> dict[str, Any]:
    item = {
        "pk": f"run#{run.id}",
        "sk": "run",
        "body": body(replace(run, executions=())),
        "version": run.version,
        "stamp": stamp,
        "campaign": run.campaign,
        "phase": run.phase,
        "scheduledAt": moment(run.scheduled_at),
    }
    wake = wake_at(run, now)
    return item | ({"due": "run", "dueAt": moment(wake)} if wake else {})


def _point_item(point: Point, expires: datetime) -> dict[str, Any]:
    which = f"account#{point.account}#" if point.account else "run#"
    return {
        "pk": f"history#{point.campaign}",
        "sk": f"{which}{moment(point.at)}#{point.run}",
        "body": body(point),
        "expiresAt": int(expires.timestamp()),
    }


def _alert_key(run: str, alert: Alert) -> dict[str, str]:
    return {"pk": f"run#{run}", "sk": f"alert#{alert.event}#{alert.id.removeprefix(run)}"}


def _noted_key(campaign: str, what: str, at: datetime) -> dict[str, str]:
    return {"pk": f"campaign#{campaign}", "sk": f"alert#{what}#{moment(at)}"}


def _occurrence_item(run: Run, apart: str) -> dict[str, Any]:
    return {"pk": f"campaign#{run.campaign}", "sk": f"occurrence#{moment(run.scheduled_at)}{apart}", "run": run.id}


def _order_item(run: str, order: Order) -> dict[str, Any]:
    return {"pk": f"run#{run}", "sk": f"run#order#{order.id}", "body": body(order)}


def _audit_item(run: str, line: audit.Line) -> dict[str, Any]:
    return {"pk": f"run#{run}", "sk": f"audit#{line.number:06d}", "text": line.text}


def _execution_item(run: str, execution: Execution) -> dict[str, Any]:
    return {
        "pk": f"run#{run}",
        "sk": f"run#execution#{execution.wave}#{execution.number:04d}",
        "body": body(execution),
        "state": execution.state.value,
    }


def _tally(item: Item) -> Tally:
    counts = {name: int(found) for name, found in item.items() if name not in ("pk", "sk", "expiresAt")}

    def under(prefix: str) -> dict[str, int]:
        return {name.removeprefix(prefix): count for name, count in counts.items() if name.startswith(prefix)}

    plain = {name: counts.get(name, 0) for name in _TALLIED}
    return Tally(**plain, outcomes=under("outcome_"), causes=under("cause_"))


def _needed(inquiry: Inquiry) -> Iterator[Mapping[str, str]]:
    """The keys of what the answer to a question starts from."""
    yield _location_key(inquiry.run, inquiry.wave, inquiry.location)
    if inquiry.purpose == "targets":
        yield _holds_key(inquiry.location)
    elif inquiry.purpose == "evidence":
        yield _roster_key(LocationRun(inquiry.run, inquiry.wave, inquiry.location), 0)


def _holds_key(location: Location) -> dict[str, str]:
    return {"pk": f"location#{location.account}#{location.region}", "sk": "holds"}


def _roster_key(at: LocationRun, page: int) -> dict[str, str]:
    return {"pk": f"run#{at.run}", "sk": f"roster#{_place(at)}#{page:03d}"}


def _with_part(at: LocationRun, ended: Ended, now: datetime, part: int, parts: int) -> LocationRun:
    """The location once that part of it is over. What went wrong in one part is what is told of all."""
    over = (*at.parts_ended, part)
    said = at.ending if at.ending and at.ending.status != "Success" else ended.ending
    after = replace(at, parts_ended=over, ending=said, child=ended.child or at.child)
    return replace(after, state=LocationState.ENDED, ended_at=now) if len(over) >= parts else after


def _place(at: LocationRun) -> str:
    return f"{at.wave}#{at.location.account}#{at.location.region}"


def _location_key(run: str, wave: str, location: Location) -> dict[str, str]:
    return {"pk": f"run#{run}", "sk": f"location#{wave}#{location.account}#{location.region}"}


def _location_item(at: LocationRun) -> dict[str, Any]:
    item = _location_key(at.run, at.wave, at.location) | {
        "body": body(at),
        "state": at.state.value,
        "pages": at.pages_collected,
        "partsEnded": len(at.parts_ended),
    }
    if at.state is LocationState.UNREACHABLE:
        item |= {
            "problemRun": at.run,
            "problemKey": f"location#{at.cause}#{_place(at)}",
            "account": at.location.account,
            "region": at.location.region,
            "accountName": at.account_name,
            "cause": at.cause.value,
            "sentence": at.sentence,
        }
    return item


def _location(item: Item) -> LocationRun:
    return value(item, LocationRun)


def _instance_item(at: LocationRun, result: Result, now: datetime, kind: str = "instance") -> dict[str, Any]:
    """The row of one instance. What is nothing is left out: a row is small, and there may be a hundred thousand of them."""
    instance = result.instance
    written: dict[str, Any] = {
        "name": instance.name,
        "platform": instance.platform,
        "agent": instance.agent,
        "patchGroup": instance.patch_group,
        "cause": result.cause.value,
        "sentence": result.sentence[:500],
        "baseline": result.baseline,
        "startedAt": moment(result.operation_start_at) if result.operation_start_at else "",
        "endedAt": moment(result.operation_end_at) if result.operation_end_at else "",
        "installed": result.installed,
        "installedOther": result.installed_other,
        "missing": result.missing,
        "failed": result.failed,
        "pendingReboot": result.pending_reboot,
        "rejected": result.rejected,
        "critical": result.critical,
        "security": result.security,
        "other": result.other,
    }
    item: dict[str, Any] = {
        "pk": f"run#{at.run}",
        "sk": f"{kind}#{_place(at)}#{instance.id}",
        "outcome": result.outcome.value,
        "readAt": moment(now),
        **{name: found for name, found in written.items() if found},
    }
    if result.outcome not in FINE and kind == "instance":
        item |= {"problemRun": at.run, "problemKey": f"instance#{result.cause}#{_place(at)}#{instance.id}"}
    return item


def _left(row: Mapping[str, Any]) -> bool:
    """Whether a retry tries the instance again. What an exception spares is not left undone."""
    return row["outcome"] in LEFT and row.get("cause") != Cause.EXCEPTED


def _row(item: Item) -> Mapping[str, str]:
    """A row with what its key says spelled out."""
    kind, wave, account, region, *rest = str(item["sk"]).split("#")
    named = {"kind": kind, "wave": wave, "account": account, "region": region, "instance": rest[0] if rest else ""}
    shown = {name: str(found) for name, found in item.items() if name not in _HIDDEN}
    return named | shown


_HIDDEN = frozenset({"pk", "sk", "expiresAt", "problemRun", "problemKey", "body", "state", "pages", "partsEnded"})
