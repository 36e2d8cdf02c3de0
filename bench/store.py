"""What lies in DynamoDB, and how much of it is read: nothing that is read every minute may grow with what exists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.figures import Control, Figure, Growth, Target
from bench.items import item_bytes
from bench.world import BEGINS, Bench, Played, Size, document, opened, stage
from patchtide.aws.runs import Registry, Runs
from patchtide.aws.table import body
from patchtide.core.campaign import INSTANCE_RUNBOOK
from patchtide.core.outcome import Cause, Instance, Outcome, Result
from patchtide.core.registration import Registration
from patchtide.core.run import Run
from patchtide.core.tally import Tally
from patchtide.flow.dispatcher import dispatch
from patchtide.flow.poller import poll
from simulator.memory import RETENTION, Call, Memory, Perform
from simulator.proof.history import silent
from simulator.protocol import Params

FAR = timedelta(days=365)


# --- sizes of items -----------------------------------------------------------------------------------------------------


def run_item_bytes(bench: Bench) -> Figure:
    """runItemBytes."""
    largest = Size(bench.scale.largest, bench.scale.per_location)
    played = {size: bench.play(size) for size in bench.sizes}
    grown = {size.accounts: float(max(map(item_bytes, _runs(one)))) for size, one in played.items()}
    run = _at(largest, played[bench.sizes[-1]].dossier().run)
    inside = [f"{one['account']}/{region}" for one in _accounts(largest) for region in ("eu-west-1", "eu-west-2")]
    executions = [item_bytes(item) for item in played[bench.sizes[-1]].written() if _is(item, "run#execution#")]
    return Figure(
        "runItemBytes",
        "bytes of a run's own item",
        f"names and values in UTF-8, of a run over {largest.accounts:,} accounts in which everything that can go wrong did, "
        "with every count it can have",
        item_bytes(_kept(run)),
        Target("most", 4096),
        Control("the locations inside the run's item", item_bytes({**_kept(run), "locations": inside})),
        Growth("accounts", "bytes", "constant", grown),
        {"locations": largest.locations, "largestExecutionItem": max(executions)},
    )


def _runs(played: Played) -> Iterator[Mapping[str, Any]]:
    return (item for item in played.written() if item["sk"] == "run")


def _is(item: Mapping[str, Any], prefix: str) -> bool:
    return str(item["sk"]).startswith(prefix)


def _accounts(size: Size) -> Iterator[Mapping[str, str]]:
    return ({"account": account} for account in document(size.accounts)["accounts"])


def _at(size: Size, run: Run) -> Run:
    """The run as it would be over a fleet of that size, with every outcome and every cause among it."""
    each = {outcome.value: size.instances // len(Outcome) for outcome in Outcome}
    causes = {cause.value: size.instances // len(Cause) for cause in Cause if cause}
    tally = Tally(
        resolved=size.locations,
        unreachable=size.locations // 10,
        empty=size.locations // 10,
        collected=size.locations * 8 // 10,
        instances=size.instances,
        compliant=each["compliant"],
        joined=size.locations,
        outcomes=each,
        causes=causes,
    )
    return replace(run, waves=tuple(replace(wave, locations=size.locations, tally=tally) for wave in run.waves))


def _kept(run: Run) -> Mapping[str, Any]:
    """The run's item as the service writes it."""
    written: list[Mapping[str, Any]] = []
    table = _Noting(written)
    Runs(table, RETENTION, lambda: BEGINS).save(run, run, BEGINS)  # type: ignore[arg-type]
    return next(item for item in written if item["sk"] == "run")


@dataclass
class _Noting:
    """A table that keeps nothing, and notes what would be put."""

    written: list[Mapping[str, Any]]

    def put_if(self, item: Mapping[str, Any], *_: object, **__: object) -> Mapping[str, Any]:
        """A Put of the item."""
        self.written.append(item)
        return {}

    put = put_new = put_if

    def transact(self, *_: object) -> None:
        """All is well."""


def instance_row_bytes(bench: Bench) -> Figure:
    """instanceRowBytes."""
    size = bench.sizes[1]
    rows = [item_bytes(item) for item in bench.play(size).written() if _is(item, "instance#")]
    failing = bench.play(size, failure_rate=5)
    mixed = [item_bytes(item) for item in failing.written() if _is(item, "instance#")]
    whole = max(
        item_bytes({**item, "body": body(_result(item))}) for item in failing.written() if _is(item, "instance#")
    )
    return Figure(
        "instanceRowBytes",
        "bytes of an instance's row",
        "names and values in UTF-8, the largest row of an instance that came out right",
        max(rows),
        Target("most", 400),
        Control("the whole result kept as JSON beside it", whole),
        None,
        {
            "rows": len(rows),
            "mean": sum(rows) / len(rows),
            "meanWithFailures": sum(mixed) / len(mixed),
            "largest": max(mixed),
        },
    )


def _result(item: Mapping[str, Any]) -> Result:
    """About what the row was made from."""
    counts = ("installed", "missing", "failed", "rejected", "critical", "security", "other")
    at = datetime.fromisoformat(str(item["readAt"]))
    return Result(
        Instance(str(item["sk"]).rpartition("#")[2], str(item.get("name", ""))),
        Outcome(item["outcome"]),
        Cause(str(item.get("cause", ""))),
        str(item.get("sentence", "")),
        operation_start_at=at,
        operation_end_at=at,
        baseline=str(item.get("baseline", "")),
        **{name: int(item.get(name, 0)) for name in counts},
    )


# --- what is read -------------------------------------------------------------------------------------------------------


@dataclass
class Reading:
    """Counts what DynamoDB hands out, item by item. As a boundary's `watch` it performs every call."""

    items: int = 0
    calls: Counter[str] = field(default_factory=Counter)

    def __call__(self, call: Call, perform: Perform) -> Params:
        """The answer to the call, counted."""
        answer = perform()
        if call.service == "dynamodb":
            self.calls[call.name] += 1
            self.items += len(answer.get("Items", ())) + ("Item" in answer)
            self.items += sum(len(found) for found in answer.get("Responses", {}).values())
        return answer


def items_read_per_tick(bench: Bench) -> Figure:
    """itemsReadPerTick."""
    few, many = bench.scale.campaigns[0], bench.scale.campaigns[-1]
    grown, calls = {}, Counter[str]()
    for campaigns, ended in zip(bench.scale.campaigns, bench.scale.ended, strict=True):
        bench.say(f"a tick among {campaigns:,} campaigns and {ended:,} runs that have ended")
        reading = tick(crowded(campaigns, ended))
        grown[campaigns], calls = float(reading.items), reading.calls
    worse = tick(crowded(many, 0, hub=Searching))
    return Figure(
        "itemsReadPerTick",
        "items read by a minute in which nothing is due",
        f"DynamoDB items in the answers to one dispatcher tick and one poller tick, among {many:,} campaigns and "
        f"{bench.scale.ended[-1]:,} ended runs; the same among {few} and {bench.scale.ended[0]}",
        grown[many],
        Target("most", 8),
        Control("a dispatcher that looks at every campaign that has a next run", worse.items),
        Growth("campaigns", "items", "constant", grown),
        {"queries": calls["dynamodb.query"], "gets": calls["dynamodb.get_item"]},
    )


def crowded(campaigns: int, ended: int, *, hub: type[Memory] = Memory) -> Memory:
    """A stack with so many campaigns that wait for their time, and so many runs that are over, all in their true form: a run's
    items are those of one that was played, so many times under other names."""
    history, spec = stage(Size(1, 2), hub=hub)
    with silent():
        run = ""
        while history.step():
            run = run or opened(history)
        memory = history.memory
        with memory.quietly():
            registry = Registry(memory.table())
            for number in range(campaigns):
                at = memory.now() + FAR + timedelta(minutes=number)
                held = Registration(f"web-{number}", 1, "digest", next_at=at)
                registry.take(held, replace(spec, name=f"web-{number}"))
    runs = memory.tables.tables["RunsTable"]
    runs.written = None
    rows = [item for key, item in runs.items.items() if key[0] == f"run#{run}"]
    for number in range(ended):
        pk = f"run#web-{number}-20250101T0000Z"
        for row in rows:
            runs.put((pk, row["sk"]), {**row, "pk": pk})
    return memory


def tick(memory: Memory) -> Reading:
    """What a minute reads in which nothing is due, by the dispatcher and the poller."""
    at = memory.now().replace(second=0) + timedelta(minutes=2)
    memory.world.clock.advance_to(
        at + timedelta(minutes=at.minute % 2)
    )  # in every second minute the poller looks at more
    reading = Reading()
    memory.boundary.watch = reading
    with silent():
        memory.dispatch()
        memory.poll()
    memory.boundary.watch = None
    return reading


class _EveryCampaign(Registry):
    """Reads all campaigns to find those that are due."""

    def due(self, now: datetime) -> Iterator[str]:
        """The campaigns with an occurrence to open."""
        for campaign in super().due(datetime.max.replace(tzinfo=UTC)):
            held = self.get(campaign)
            if held and held.due_at and held.due_at <= now:
                yield campaign


class Searching(Memory):
    """The stack with a dispatcher that looks at every campaign."""

    def dispatch(self) -> None:
        """One invocation of the dispatcher."""
        dispatch(replace(self.dispatcher(), registry=_EveryCampaign(self.table())))

    def poll(self) -> None:
        """One invocation of the poller."""
        poll(self.poller())


def items_per_rollup(bench: Bench) -> Figure:
    """itemsPerRollup."""
    grown, shown = {}, Counter[str]()
    for size in bench.sizes:
        shown = rollup(bench.play(size))
        grown[size.instances] = float(shown["tally"])
    waves = shown["waves"]
    return Figure(
        "itemsPerRollup",
        "items read for a run's totals, for each wave",
        "items with totals in the one query that shows a run ÷ its waves; the same query brings the run's own item and those of "
        "its executions, one for each 500 accounts",
        shown["tally"] / waves,
        Target("most", 1),
        Control("a report that counts the rows of all instances", shown["instance"] / waves),
        Growth("instances", "items", "constant", grown),
        {"run": shown["run"], "executions": shown["execution"], "queries": shown["queries"]},
    )


def rollup(played: Played) -> Counter[str]:
    """What is read to show the run's totals, by its kind; and how many rows there would be to count."""
    memory, found = played.memory, Counter[str]()

    def watch(call: Call, perform: Perform) -> Params:
        answer = perform()
        found["queries"] += call.operation == "query"
        found.update([*str(item["sk"]).split("#"), "run"][1] for item in answer.get("Items", ()))
        return answer

    before, memory.boundary.watch = memory.boundary.watch, watch
    dossier = Runs(memory.table(), RETENTION, memory.now).load(played.run)
    memory.boundary.watch = before
    counted = sum(1 for _ in memory.rows(f"run#{played.run}", "instance#"))
    return found + Counter(waves=len(dossier.run.waves), instance=counted)


# --- steps --------------------------------------------------------------------------------------------------------------


def steps_per_instance(bench: Bench) -> Figure:
    """stepsPerInstance."""
    steps = {size: bench.play(size).steps().total() for size in bench.sizes}
    size = Size(bench.scale.care, bench.scale.per_location)
    care = bench.play(size, more={"runbook": INSTANCE_RUNBOOK, "targetParameterName": "InstanceId"})
    largest = bench.sizes[-1]
    return Figure(
        "stepsPerInstance",
        "Automation steps for each instance",
        f"steps that the world saw begin, in every account ÷ instances, {largest.per_location} in each location",
        steps[largest] / largest.instances,
        Target("most", 0.08),
        Control("an execution for each instance", care.steps().total() / size.instances),
        Growth("instances", "steps", "linear", {one.instances: float(count) for one, count in steps.items()}),
        {"steps": steps[largest], "instances": largest.instances},
    )


FIGURES: Mapping[str, Callable[[Bench], Figure]] = {
    "itemsReadPerTick": items_read_per_tick,
    "itemsPerRollup": items_per_rollup,
    "stepsPerInstance": steps_per_instance,
    "runItemBytes": run_item_bytes,
    "instanceRowBytes": instance_row_bytes,
}
