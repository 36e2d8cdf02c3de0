"""One history: a scenario played from its beginning to its end, with whatever disturbs it.

The real `flow` and `aws` run over a world in memory. A history is a function of its scenario and its faults alone: the same
two give the same world log, call by call.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ReadTimeoutError

from simulator.memory import QUESTIONS, RECEIVES, STREAM_TRIES, VISIBILITY, Call, Memory, Message, Perform, rendered
from simulator.proof import faults
from simulator.proof.faults import DELAY, LIFE, Killed
from simulator.protocol import Caller, Params, ServiceError
from simulator.tables import CancelledError
from simulator.world import World

MINUTE = timedelta(minutes=1)
SWEEPS = 15  # minutes between two looks at all items, as the template says

logging.getLogger("patchtide").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Action:
    """Something that people do at an instant, whatever the service does."""

    at: datetime
    name: str
    act: Callable[[Memory], None]
    item: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Scenario:
    """A world, what people do in it, and what must come of it (`facts`, for the oracle)."""

    name: str
    begins: datetime
    ends: datetime
    build: Callable[[], World]
    actions: tuple[Action, ...]
    facts: Any
    max_in_flight: int = 0
    page: int = 1000
    asleep: tuple[tuple[datetime, datetime], ...] = ()  # spans in which nothing wakes the functions
    headless: tuple[datetime, datetime] | None = None  # a span in which the dispatcher does not run
    strict: bool = True  # whether what passes must leave no trace in the end


@dataclass(frozen=True)
class Effect:
    """A call that changed the world, and when it did."""

    at: datetime
    service: str
    operation: str
    params: Params
    caller: Caller
    held_back: timedelta = timedelta(0)


@dataclass
class Late:
    """An effect that has left its caller and has not arrived."""

    at: datetime
    call: Call
    asked_at: datetime


Disturb = Callable[[Call], "str | None"]


@dataclass
class Weather:
    """What may go wrong outside of calls. Each answers for one delivery or one minute; nothing goes wrong by default."""

    ticks: Callable[[datetime], int] = lambda _: 1
    delivery: Callable[[str, str], tuple[str, ...]] = lambda _kind, _what: ("now",)
    shuffled: Callable[[list[Any]], list[Any]] = lambda found: found
    awake: Callable[[datetime], datetime] = lambda at: at  # when a minute's functions are woken after all


@dataclass
class History:
    """A scenario being played."""

    scenario: Scenario
    disturb: Disturb | None = None
    weather: Weather = field(default_factory=Weather)
    cold: bool = False  # whether every invocation starts in a new sandbox
    remembers: bool = True  # whether answers are kept, to be given once more when they are old
    hub: type[Memory] = Memory  # the stack it is played in

    def __post_init__(self) -> None:
        self.memory = self.hub(self.scenario.build(), self.scenario.max_in_flight)
        self.memory.tables.page = self.scenario.page
        self.memory.boundary.watch = self._watch
        self.memory.tables.tables["RunsTable"].written = []
        self.effects: list[Effect] = []
        self.late: list[Late] = []
        self.acted = 0
        self.streamed = 0
        self.stream_tries = 0
        self.injected: Counter[str] = Counter()
        self.weathered: Counter[str] = Counter()
        self.spoiled = 0  # faults that may cost one more alert
        self.jumps = 0
        self.untold = False  # whether the stream lost a record since the last sweep
        self.failures: list[str] = []
        self.last: dict[str, tuple[datetime, Params]] = {}  # what SSM answered last, and when
        self.met = False
        self.at_hand: Sequence[Message] = ()
        self.asked: set[str] = set()  # what this invocation has read since it last started something
        self.unasked: list[str] = []  # starts that did not read what could have forbidden them
        self.invocations = 0
        self.changes = 0  # calls that changed something
        self.seen: list[tuple[Call, int, int]] = []  # each call with its invocation, and the changes before it

    @property
    def world(self) -> World:
        """The world it is played in."""
        return self.memory.world

    @property
    def now(self) -> datetime:
        """The world's time."""
        return self.memory.world.clock.now

    # --- time --------------------------------------------------------------------------------------------------------

    def play(self) -> None:
        """Everything until the end."""
        while self.step():
            pass

    def step(self, at: datetime | None = None) -> bool:
        """The next minute in which anything is to be done, or that one. False when the scenario is over."""
        at = at or self.next_at()
        if at is None or at > self.scenario.ends:
            self.pass_to(self.scenario.ends)
            return False
        self.pass_to(at)
        if at.minute % SWEEPS == 0:
            self._invoke("intake", self.memory.sweep)
            self.untold = False
        ticks = self.weather.ticks(at)
        self.weathered.update({"tick dropped": not ticks, "tick doubled": ticks > 1})
        for _ in range(ticks):
            if self._has_dispatcher():
                self._invoke("dispatcher", self.memory.dispatch)
                self._drain()
            self._invoke("poller", self.memory.poll)
            self._drain()
        self._drain()
        return True

    def _has_dispatcher(self) -> bool:
        away = self.scenario.headless
        return away is None or not away[0] <= self.now < away[1]

    def next_at(self) -> datetime | None:
        """When there is anything to do: a full minute, as the schedules have it."""
        moments = [self.due_at()]
        moments.append(self.scenario.actions[self.acted].at if self.acted < len(self.scenario.actions) else None)
        moments.append(min((one.visible_at for one in self.memory.messages), default=None))
        moments.append(self.now if self._unstreamed() else None)
        moments.append(self._next_sweep() if self.untold else None)
        moments.append(min((one.at for one in self.late), default=None))
        found = min((one for one in moments if one is not None), default=None)
        if found is None:
            return None
        following = self.now.replace(second=0, microsecond=0) + MINUTE
        at = self.weather.awake(max(following, _minute_of(found)))
        return next((until for since, until in self.scenario.asleep if since <= at < until), at)

    def _next_sweep(self) -> datetime:
        following = self.now.replace(second=0, microsecond=0) + MINUTE
        return following + timedelta(minutes=-following.minute % SWEEPS)

    def due_at(self) -> datetime | None:
        """When the service next has something to do, by its own index."""
        held = self.memory.tables.tables["RunsTable"].indexes["due"].held
        found = min((entries[0][0] for entries in held.values() if entries), default=None)
        return datetime.fromisoformat(found) if found else None

    def pass_to(self, when: datetime) -> None:
        """Let time pass, with what people do and what arrives late on the way."""
        while True:
            actions = self.scenario.actions
            action = actions[self.acted] if self.acted < len(actions) and actions[self.acted].at <= when else None
            late = min((one for one in self.late if one.at <= when), key=lambda one: one.at, default=None)
            if action is not None and (late is None or action.at <= late.at):
                self.world.clock.advance_to(max(self.now, action.at))
                self.acted += 1
                action.act(self.memory)
            elif late is not None:
                self.world.clock.advance_to(max(self.now, late.at))
                self.late.remove(late)
                self._arrive(late)
            else:
                break
        self.world.clock.advance_to(max(self.now, when))

    def _arrive(self, late: Late) -> None:
        """A delayed effect arrives, at whatever is there by now. Nobody is there to hear what comes of it."""
        with suppress(ServiceError):
            self._perform(late.call, lambda: self.perform_raw(late.call), held_back=self.now - late.asked_at)

    def perform_raw(self, call: Call) -> Params:
        """The call's effect, at whatever the tables and the world are now."""
        api = self.memory.client(call.service)
        answer: Params = api._perform(call.caller, call.operation, call.params)
        return answer

    # --- invocations -------------------------------------------------------------------------------------------------

    def _invoke(self, worker: str, run: Callable[[], None]) -> bool:
        """Whether the invocation came to its end."""
        self.invocations += 1
        if self.cold:
            self.memory.kill()
        self.asked.clear()
        try:
            run()
        except Killed:
            self.memory.kill()
            return False
        except Exception as error:  # noqa: BLE001 - whatever a function raises, Lambda goes on
            self.failures.append(f"{self.now:%d %H:%M} {worker}: {error!r}")
            return False
        return True

    def _unstreamed(self) -> bool:
        return self.streamed < len(self.memory.tables.tables["CampaignsTable"].changed)

    def _drain(self) -> None:
        """What the stream and the queue have to deliver now, each in its turn until nothing is left."""
        stream = self.memory.tables.tables["CampaignsTable"].changed
        while self.streamed < len(stream):
            if not self._told(stream[self.streamed]):
                break
        self._deliver(self.weather.shuffled(list(self.memory.messages)))

    def _told(self, campaign: str) -> bool:
        """Whether the stream's next record is done with. One that fails comes again, and keeps its place."""
        for fate in self.weather.delivery("stream", campaign):
            if fate == "lost":
                self.weathered["stream record lost"] += 1
                self.untold = True
                self.streamed += 1
                return True
            if not self._invoke("intake", lambda: self.memory.take(campaign)):
                self.stream_tries += 1
                if self.stream_tries < STREAM_TRIES:  # after that it is a dead letter, and no longer in the way
                    return False
        self.stream_tries = 0
        self.streamed += 1
        return True

    def _deliver(self, messages: Iterable[Message]) -> None:
        """Each of these that can be seen, to the function that it is for: questions together, as Lambda does."""
        questions: list[Message] = []
        for message in messages:
            if message.visible_at > self.now or message not in self.memory.messages:
                continue
            delivered = [message] * sum(self._comes_now(message, fate) for fate in self._fates(message))
            if not message.is_question:
                for one in delivered:
                    self._hand_over([one], "reporter")
                continue
            questions += delivered
            if len(questions) >= QUESTIONS:
                self._hand_over(questions[:QUESTIONS], "collector")
                questions = questions[QUESTIONS:]
        if questions:
            self._hand_over(questions, "collector")

    def _fates(self, message: Message) -> tuple[str, ...]:
        fates = self.weather.delivery("queue", message.body)
        self.weathered["queue message doubled"] += len(fates) > 1
        if "now" not in fates:  # lost, or there again in a while
            self.memory.messages.remove(message)
        return fates

    def _comes_now(self, message: Message, fate: str) -> bool:
        if fate == "lost":
            self.weathered["queue message lost"] += 1
        elif fate != "now":
            self.weathered["queue message delayed"] += 1
            self.memory.messages.append(Message(message.body, self.now + timedelta(minutes=float(fate))))
        return fate == "now"

    def _hand_over(self, batch: Sequence[Message], function: str) -> None:
        """One invocation. Those that failed come again, all of them where it did not come to its end."""
        failed = list(range(len(batch)))

        def run() -> None:
            failed[:] = self.memory.receive([one.body for one in batch], self._note(function))

        for one in batch:
            one.received += 1
        before, self.at_hand = self.at_hand, batch
        self._invoke(function, run)
        self.at_hand = before
        for number, message in enumerate(batch):
            if message not in self.memory.messages:
                continue
            if number not in failed:
                self.memory.messages.remove(message)
            elif message.received >= RECEIVES:
                self.memory.messages.remove(message)
                self.memory.dead.append(message.body)
            else:
                message.visible_at = self.now + VISIBILITY

    def _note(self, function: str) -> Callable[[Exception], None]:
        return lambda error: self.failures.append(f"{self.now:%d %H:%M} {function}: {error!r}")

    # --- calls -------------------------------------------------------------------------------------------------------

    def _watch(self, call: Call, perform: Perform) -> Params:
        self.seen.append((call, self.invocations, self.changes))
        self.changes += not call.reads
        mode = self.disturb(call) if self.disturb else None
        if mode is None:
            return self._perform(call, perform)
        return self._spoil(call, perform, mode)

    def _perform(self, call: Call, perform: Perform, held_back: timedelta = timedelta(0)) -> Params:
        answer = perform()
        if held_back <= LIFE:
            self._note_guard(call, answer)
        if call.service != "ssm":
            return answer
        if call.reads:
            if self.remembers:
                self.last[rendered(call)] = (self.now, answer)
        else:
            self.effects.append(Effect(self.now, call.service, call.operation, call.params, call.caller, held_back))
        return answer

    def _note_guard(self, call: Call, answer: Params) -> None:
        """Remember what was read that could forbid a start, and which starts did without."""
        name = _guard_of(call)
        if name and (name != "the calendar" or answer.get("State") == "OPEN"):
            self.asked.add(name)
        elif name:
            self.asked.discard(name)
        elif call.operation == "start_automation_execution":
            wanted = {"the switch", "the campaign"} | ({"the calendar"} if self.scenario.facts.calendar else set())
            self.unasked += sorted(wanted - self.asked)
            self.asked.clear()

    def _spoil(self, call: Call, perform: Perform, mode: str) -> Params:
        self.injected[mode[0]] += 1
        if mode[0] == faults.REFUSED:
            self.spoiled += 1
            self.asked.discard(_guard_of(call))
            raise _error(mode[2:])
        match mode:
            case faults.BEFORE:
                self.spoiled += 1
                raise Killed(call.name)
            case faults.AFTER:
                self.spoiled += 1
                self._perform(call, perform)
                raise Killed(call.name)
            case faults.LOST | faults.SILENT:
                self.spoiled += 1
                self._perform(call, perform)
                raise ReadTimeoutError(endpoint_url=call.name)
            case faults.RETRIED:
                self.spoiled += 1
                first = self._perform(call, perform)
                # botocore gives a transaction a token, so that its second try is answered as the first was.
                return first if call.operation == "transact_write_items" else perform()
            case faults.LATE:
                self.spoiled += 1
                self.late.append(Late(self.now + DELAY, call, self.now))
                raise ReadTimeoutError(endpoint_url=call.name)
            case faults.STALE:
                return self._stale(call, perform)
            case faults.PARTIAL:
                return self._partial(call, perform)
            case faults.JUMP:
                self.jumps += 1
                self.pass_to(self.now + LIFE)
                return self._perform(call, perform, held_back=LIFE)
            case faults.MEET:
                self._meet("" if call.worker == "collector" else call.worker)
                return self._perform(call, perform)
            case faults.CROSS:
                self._meet({"dispatcher": "poller", "poller": "dispatcher"}[call.worker])
                return self._perform(call, perform)
        raise ValueError(f"no mode {mode}")

    def _stale(self, call: Call, perform: Perform) -> Params:
        if call.operation == "query" and "IndexName" in call.params:
            self.memory.tables.stale = 2
            return self._perform(call, perform)
        known = self.last.get(rendered(call))
        return known[1] if known is not None else self._perform(call, perform)

    def _partial(self, call: Call, perform: Perform) -> Params:
        if call.operation == "query":
            before, self.memory.tables.page = self.memory.tables.page, 1
            try:
                return self._perform(call, perform)
            finally:
                self.memory.tables.page = before
        if call.operation == "batch_get_item":
            return self._unread(call)
        entries = call.params["Entries"]
        taken = len(entries) // 2
        self.jumps += 1
        if taken:
            some = {**call.params, "Entries": entries[:taken]}
            self.perform_raw(Call(call.number, call.worker, call.service, call.operation, some, call.caller))
        failed = [{"Id": entry["Id"], "Code": "InternalError", "SenderFault": False} for entry in entries[taken:]]
        return {"Successful": [{"Id": entry["Id"]} for entry in entries[:taken]], "Failed": failed}

    def _unread(self, call: Call) -> Params:
        """The first half of the keys is read, the rest is named as not."""
        ((name, asked),) = call.params["RequestItems"].items()
        half = len(asked["Keys"]) // 2
        some = {name: {**asked, "Keys": asked["Keys"][:half]}}
        found: Params = self.memory.tables.batch_get_item(RequestItems=some) if half else {"Responses": {name: []}}
        return {**found, "UnprocessedKeys": {name: {**asked, "Keys": asked["Keys"][half:]}}}

    def _meet(self, other: str) -> None:
        """Another worker, in a sandbox of its own, from its start to its end. Other collectors take all that is in the queue, and
        some of what is at hand here, for SQS may deliver a message twice: the latter half, so that they meet over the rest."""
        if self.met or (other == "dispatcher" and not self._has_dispatcher()):
            return
        self.met = True
        aside, asked = self.memory.cold(), set(self.asked)
        try:
            if other:
                self._invoke(other, self.memory.dispatch if other == "dispatcher" else self.memory.poll)
            else:
                alone = self.at_hand[: len(self.at_hand) // 2]
                self._deliver([one for one in self.memory.messages if one not in alone])
        finally:
            self.asked = asked
            self.memory.warm(aside)
            self.met = False

    # --- what it was -------------------------------------------------------------------------------------------------

    def log(self) -> str:
        """A fingerprint of all that happened to the world and was told to people: the same for the same seed."""
        lines = [f"{one.at} {one.operation} {sorted(one.params.items())}" for one in self.effects]
        lines += [f"{one.at} {one.operation} {one.node} {one.run} {one.snapshot}" for one in self.world.effects]
        lines += [f"{one.at} {one.subject} {one.text}" for one in self.memory.mails]
        lines += [f"{name} {sorted(item.items())}" for name, item in self._final_rows()]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def _final_rows(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for name, table in sorted(self.memory.tables.tables.items()):
            for key in sorted(table.items):
                kept = {field: value for field, value in table.items[key].items() if field != "stamp"}
                yield f"{name} {key}", kept


def _guard_of(call: Call) -> str:
    """Which guard of a start the call reads, if any."""
    if call.operation == "get_item":
        return {"pause": "the switch", "registration": "the campaign"}.get(call.params["Key"].get("sk", ""), "")
    return "the calendar" if call.operation == "get_calendar_state" else ""


def _minute_of(moment: datetime) -> datetime:
    """The first full minute that is not before it."""
    whole = moment.replace(second=0, microsecond=0)
    return whole if whole == moment else whole + MINUTE


def _error(code: str) -> ServiceError:
    if code == "TransactionCanceledException":
        return CancelledError(["TransactionConflict"])
    status = 500 if code.startswith("Internal") else 503 if "Unavailable" in code else 400
    return ServiceError(code, "injected", status)


@contextmanager
def silent() -> Iterator[None]:
    """No word of what the functions log: a history logs as much as a month of production."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
