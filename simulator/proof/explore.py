"""Every fault at every call, by exploring states instead of replaying histories.

Between two minutes a history is its tables, its queue, what people were told, and its world; and the world follows from the
few calls that changed it. Two histories that are the same at the end of a minute stay the same, so only one of them is played
on, and stands for as many as have come together in it. What is counted are histories; what is played are the states that
differ. States are taken in the order of time, so that all who share a world move through it together.
"""

from __future__ import annotations

import heapq
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from simulator.memory import Call, Mail, Message, Perform
from simulator.proof.faults import AFTER, BEFORE, KINDS, LIFE, STALE, Fault, modes
from simulator.proof.history import Effect, History, Late, Scenario
from simulator.proof.oracle import Memo, Verdict, final, judge
from simulator.protocol import Params, operation_name
from simulator.tables import Item, Table, Tables
from simulator.world import World

# What only tells two saves apart, or when something may be forgotten.
_UNTOLD = frozenset({"stamp", "version", "changes", "expiresAt", "body", "dueAt"})
_COUNTERS = re.compile(r'"(?:version|changes)":\d+')


@dataclass(frozen=True)
class State:
    """A history between two minutes."""

    at: datetime  # of its next step
    over: bool  # nothing is left to be done
    world: int  # which of the worlds it is in
    effects: tuple[Effect, ...]
    tables: Tables
    files: Mapping[str, str]
    messages: tuple[tuple[str, datetime, int], ...]
    mails: tuple[Mail, ...]
    late: tuple[Late, ...]
    last: Mapping[str, tuple[datetime, Params]]
    acted: int
    streamed: int
    stream_tries: int
    dead: tuple[str, ...]
    spoiled: int
    jumps: int
    calls: int
    memo: Memo
    left: int  # how many more faults it may meet
    faults: tuple[Fault, ...]
    count: int = 1  # how many histories it stands for


@dataclass
class Found:
    """What came of an exploration."""

    calls: int = 0  # of the undisturbed history
    histories: Counter[int] = field(default_factory=Counter)  # by how many faults they had
    injected: Counter[str] = field(default_factory=Counter)
    violations: list[tuple[str, str]] = field(default_factory=list)  # the faults, and what was violated


class _Moved(History):
    """A history that is loaded, played for one minute, and kept."""

    def __init__(self, scenario: Scenario, worlds: _Worlds) -> None:
        super().__init__(scenario, cold=True)
        self.memory.checked = False  # the undisturbed history was
        self.worlds = worlds
        self.key = 0

    def _perform(self, call: Call, perform: Perform, held_back: timedelta = timedelta(0)) -> Params:
        if call.service == "ssm" and not call.reads:
            return self._change(call, held_back)
        return super()._perform(call, perform, held_back)

    def _change(self, call: Call, held_back: timedelta) -> Params:
        """The call changes the world: from here on it is another world than that of those who did not call."""
        effect = Effect(self.now, call.service, call.operation, call.params, call.caller, held_back)
        keys = self.memory.world.identities
        self.key, self.memory.world, answer = self.worlds.after(self.key, tuple(self.effects), effect)
        self.memory.world.identities = keys
        self.effects.append(effect)
        if held_back <= LIFE:
            self._note_guard(call, answer)
        return answer

    def pass_to(self, when: datetime) -> None:
        if when > self.worlds.time_of(self.key) and self.worlds.shared(self.key, self.memory.world):
            # A jump: only this one is ahead, the others stay where they are.
            keys = self.memory.world.identities
            self.memory.world = self.worlds.replayed(tuple(self.effects), self.now)
            self.memory.world.identities = keys  # whoever holds a role's keys still does
        super().pass_to(when)


class _Worlds:
    """The worlds that the states are in, each played once up to the time of the step."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.made: dict[int, World] = {}
        self.answers: dict[int, Params] = {}
        self.keys: dict[Any, int] = {}
        self.limit: datetime = scenario.begins

    def first(self) -> int:
        """The world in which nobody has done anything."""
        self.made[0] = self.scenario.build()
        return 0

    def at(self, key: int, effects: tuple[Effect, ...], when: datetime) -> World:
        """The world, when it is that time."""
        world = self.made.get(key)
        if world is None or world.clock.now > when:
            world = self.made[key] = self.replayed(effects, when)
        world.clock.advance_to(when)
        self.limit = when
        return world

    def time_of(self, key: int) -> datetime:
        """Up to when whoever is in the world may let it go on."""
        return self.limit

    def shared(self, key: int, world: World) -> bool:
        """Whether others are in it, too."""
        return self.made.get(key) is world

    def replayed(self, effects: Iterable[Effect], when: datetime) -> World:
        """A copy: a world is what was done to it, and when."""
        world = self.scenario.build()
        for effect in effects:
            world.clock.advance_to(effect.at)
            apply(world, effect)
        world.clock.advance_to(when)
        return world

    def after(self, key: int, effects: tuple[Effect, ...], effect: Effect) -> tuple[int, World, Params]:
        """The world after one more effect, with what it answered. Raises ServiceError where it refuses."""
        name = (key, effect.at, effect.operation, json.dumps(effect.params, sort_keys=True), effect.caller)
        known = self.keys.get(name)
        if known is not None and known in self.made and self.made[known].clock.now == effect.at:
            return known, self.made[known], self.answers[known]
        world = self.replayed(effects, effect.at)
        answer = apply(world, effect)
        number = self.keys.setdefault(name, len(self.keys) + 1)
        self.made[number], self.answers[number] = world, answer
        return number, world, answer

    def keep_only(self, keys: set[int]) -> None:
        """Forget the worlds that nobody is in any more."""
        for key in self.made.keys() - keys:
            del self.made[key]


def apply(world: World, effect: Effect) -> Params:
    """Do to the world what was done, and say what it answers."""
    service = world.services[effect.service]
    return service.answer(operation_name(effect.service, effect.operation), effect.params, effect.caller)


class Explorer:
    """All histories of a scenario with up to so many faults."""

    def __init__(
        self,
        scenario: Scenario,
        faults: int,
        *,
        only: str = "",
        share: tuple[int, int] = (0, 1),
        first_only: bool = False,
    ) -> None:
        self.scenario, self.faults, self.only, self.share = scenario, faults, only, share
        self.first_only = first_only  # whether one violation is enough
        self.worlds = _Worlds(scenario)
        self.engine = _Moved(scenario, self.worlds)
        self.engine.remembers = not only or STALE in only
        self.found = Found()
        self.waiting: dict[tuple[Any, ...], State] = {}
        self.order: list[tuple[datetime, int, tuple[Any, ...]]] = []
        self.pushed = 0
        self.prints: dict[int, tuple[Item, int]] = {}
        self.reference: Verdict | None = None

    def explore(self) -> Found:
        """What came of all of them."""
        self.reference = self._reference()
        self._start()
        last: datetime | None = None
        while self.order and not (self.first_only and self.found.violations):
            at, _, key = heapq.heappop(self.order)
            state = self.waiting.pop(key)
            if at != last:
                self.worlds.keep_only({one.world for one in self.waiting.values()} | {state.world})
                last = at
            self._expand(state)
        return self.found

    def _reference(self) -> Verdict:
        history = History(self.scenario, cold=True)
        memo = Memo()
        while history.step():
            memo, wrong = judge(history, memo)
            self._violated((), wrong)
        self.found.calls = history.memory.boundary.calls
        verdict = final(history, memo, None)
        self._violated((), verdict.wrong)
        return verdict

    def _violated(self, faults: tuple[Fault, ...], wrong: Iterable[str]) -> None:
        self.found.violations += [(" ".join(map(str, faults)) or "no fault", one) for one in wrong]

    def _start(self) -> None:
        engine = self.engine
        engine.key = self.worlds.first()
        engine.memory.world = self.worlds.made[0]
        self._push(self._kept(Memo(), self.faults, (), 1))

    # --- one state ---------------------------------------------------------------------------------------------------

    def _expand(self, state: State) -> None:
        """The state's next minute: as it is, and with each fault that it may meet."""
        if state.over:
            self._end(state)
            return
        calls = self._play(state, None, state.left, state.faults, state.count)
        if not state.left or calls is None:
            return
        done: dict[tuple[int, int], int] = {}
        branches: list[tuple[Fault, int]] = []
        for call, invocation, effects in calls:
            for mode in modes(call, self.only):
                fault = Fault(call.number, mode)
                if mode in (BEFORE, AFTER):
                    # Who dies has done what was done by then: reads leave no trace, so many deaths are one.
                    death = (invocation, effects + (mode == AFTER))
                    if death in done:
                        branches[done[death]] = (branches[done[death]][0], branches[done[death]][1] + 1)
                        self.found.injected[KINDS[mode]] += state.count
                        continue
                    done[death] = len(branches)
                self.found.injected[fault.kind] += state.count
                branches.append((fault, 1))
        for number, (fault, times) in enumerate(branches):
            if not state.faults and number % self.share[1] != self.share[0]:
                continue
            self._play(state, fault, state.left - 1, (*state.faults, fault), state.count * times)

    def _play(
        self, state: State, fault: Fault | None, left: int, faults: tuple[Fault, ...], count: int
    ) -> list[tuple[Call, int, int]] | None:
        """Play a minute from the state on; the calls that were made, or None where something was violated."""
        engine = self.engine
        self._load(state)
        engine.disturb = None if fault is None else lambda call: fault.mode if call.number == fault.at else None
        engine.step(state.at)
        memo, wrong = judge(engine, state.memo)
        if wrong:
            self._violated(faults, wrong)
            self.found.histories[len(faults)] += count
            return None
        calls = engine.seen
        self._push(self._kept(memo, left, faults, count))
        return calls

    def _load(self, state: State) -> None:
        engine, memory = self.engine, self.engine.memory
        engine.key, engine.effects = state.world, list(state.effects)
        memory.world = self.worlds.at(state.world, state.effects, state.at)
        memory.tables.tables = {name: table.copy() for name, table in state.tables.tables.items()}
        memory.tables.tables["RunsTable"].written = []
        memory.files = dict(state.files)
        memory.messages.clear()
        memory.messages.extend(Message(*one) for one in state.messages)
        memory.mails[:] = state.mails
        memory.dead[:] = state.dead
        memory.kill()
        memory.boundary.calls = state.calls
        engine.late = list(state.late)
        engine.acted, engine.streamed, engine.stream_tries = state.acted, state.streamed, state.stream_tries
        engine.spoiled, engine.jumps = state.spoiled, state.jumps
        engine.seen = []
        engine.asked = set()
        engine.unasked = []
        engine.failures = []
        engine.last = dict(state.last)

    def _kept(self, memo: Memo, left: int, faults: tuple[Fault, ...], count: int) -> State:
        engine, memory = self.engine, self.engine.memory
        at = engine.next_at()
        over = at is None or at > self.scenario.ends
        return State(
            at=self.scenario.ends if at is None or over else at,
            over=over,
            world=engine.key,
            effects=tuple(engine.effects),
            tables=memory.tables.copy(),
            files=dict(
                memory.files
            ),  # as people have left them: what they have done is part of what makes two states one
            messages=tuple((one.body, one.visible_at, one.received) for one in memory.messages),
            mails=tuple(memory.mails),
            late=tuple(engine.late),
            last=dict(engine.last) if left else {},
            acted=engine.acted,
            streamed=engine.streamed,
            stream_tries=engine.stream_tries,
            dead=tuple(memory.dead),
            spoiled=engine.spoiled,
            jumps=engine.jumps,
            calls=memory.boundary.calls,
            memo=memo,
            left=left,
            faults=faults,
            count=count,
        )

    def _push(self, state: State) -> None:
        key = self._fingerprint(state)
        known = self.waiting.get(key)
        if known is not None:
            self.waiting[key] = replace(known, count=known.count + state.count)
            return
        self.waiting[key] = state
        self.pushed += 1
        heapq.heappush(self.order, (state.at, self.pushed, key))

    def _end(self, state: State) -> None:
        """The history is over: all that was promised must have come."""
        self.found.histories[len(state.faults)] += state.count
        self._load(state)
        passes = self.scenario.strict and all(fault.passes for fault in state.faults)
        verdict = final(self.engine, state.memo, self.reference if passes else None, strict=passes)
        self._violated(state.faults, verdict.wrong)

    # --- what makes two states one -----------------------------------------------------------------------------------

    def _fingerprint(self, state: State) -> tuple[Any, ...]:
        tables = tuple(self._table(table, state.at) for table in state.tables.tables.values())
        told = hash(frozenset(Counter(mail.attributes["id"] for mail in state.mails).items()))
        late = tuple((one.at, one.call.name, str(one.call.params)) for one in state.late)
        passes = all(fault.passes for fault in state.faults)
        # What an answer was follows from the world and from when it was given.
        old = frozenset((name, at) for name, (at, _) in state.last.items())
        rest = (
            passes,
            old,
            state.acted,
            state.streamed,
            state.stream_tries,
            state.dead,
            state.spoiled,
            state.jumps,
            late,
        )
        return (state.at, state.over, state.world, state.left, tables, state.messages, told, rest, state.memo)

    def _table(self, table: Table, at: datetime) -> int:
        total = 0
        for key, item in table.items.items():
            known = self.prints.get(id(item))
            if known is None or known[0] is not item:
                known = self.prints[id(item)] = (item, _print(key, item))
            total += known[1]
            if "dueAt" in item:  # since when something was due makes no difference once it is
                total += hash((key, max(str(item["dueAt"]), f"{at:%Y-%m-%dT%H:%M:%SZ}")))
        return total


def _print(key: tuple[str, ...], item: Item) -> int:
    told = frozenset((name, str(value)) for name, value in item.items() if name not in _UNTOLD)
    return hash((key, told, _COUNTERS.sub("", str(item.get("body", "")))))
