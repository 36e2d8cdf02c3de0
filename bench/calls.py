"""How many AWS calls a run takes, over the fewest that it could: every call of every function counts, DynamoDB's and SQS's too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from math import ceil

from bench.figures import Control, Figure, Growth, Target
from bench.world import Bench, Played, Size, looked_at, stage
from patchtide.aws.automation import Automation
from patchtide.aws.spokes import Spokes
from patchtide.core.states import ExecutionState
from patchtide.core.view import View
from patchtide.flow.collector import Collector
from patchtide.flow.poller import Poller
from simulator.memory import READ_ROLE, Call, Memory
from simulator.proof.history import silent

PAGE = 50  # of states, of steps, of rows: AWS's own
BATCH = 25  # rows that DynamoDB takes in one BatchWriteItem
MOST = Target("most", 1.10)
LISTING = "a poller that lists every child at every look"
ASSUMING = "a role assumed for every question"


# --- the fewest ---------------------------------------------------------------------------------------------------------


def run_floor(size: Size) -> Mapping[str, int]:
    """The fewest calls that start a wave, see how it ended, and keep and tell what became of every instance.

    Looks while it is at work are not among them, though nobody could do without: the ratio has to bear ours.
    """
    return {
        "start": 1,
        "status": ceil(size.locations / PAGE),
        "credentials": size.accounts,
        "evidence": size.locations * ceil(size.per_location / PAGE),
        "store": ceil(size.instances / BATCH),
        "alert": 1,
    }


def freeze_floor(size: Size) -> Mapping[str, int]:
    """The fewest calls that find out who the targets are, and write them down: EC2 says what exists, SSM what it manages."""
    return {
        "credentials": size.accounts,
        "questions": 2 * size.locations,
        "store": size.locations * ceil(size.per_location / PAGE),
    }


def _whole_floor(size: Size) -> int:
    return sum(run_floor(size).values()) + sum(freeze_floor(size).values())


# --- ours ---------------------------------------------------------------------------------------------------------------


def over_floor(bench: Bench) -> Figure:
    """callsOverFloor."""
    return _ratio(
        bench,
        "callsOverFloor",
        "AWS calls to run and collect, over the fewest",
        "calls from the wave's first StartAutomationExecution on ÷ "
        "(1 start + ⌈L/50⌉ to list children + A roles + Σ⌈n/50⌉ of evidence + ⌈N/25⌉ writes + 1 alert)",
        lambda played: played.calls[played.started :],
        lambda size: sum(run_floor(size).values()),
        f"{LISTING}, and {ASSUMING}",
    )


def to_freeze_over_floor(bench: Bench) -> Figure:
    """callsToFreezeOverFloor."""
    return _ratio(
        bench,
        "callsToFreezeOverFloor",
        "AWS calls to find out and freeze the targets, over the fewest",
        "calls before the first StartAutomationExecution ÷ (A roles + 2L questions, of EC2 and of SSM + Σ⌈n/50⌉ writes)",
        lambda played: played.calls[: played.started],
        lambda size: sum(freeze_floor(size).values()),
        ASSUMING,
    )


def whole_over_floor(bench: Bench) -> Figure:
    """callsWholeOverFloor."""
    return _ratio(
        bench,
        "callsWholeOverFloor",
        "AWS calls of the whole run, over the fewest",
        "all calls, from the campaign's item to the report ÷ (what callsOverFloor and callsToFreezeOverFloor are divided by)",
        lambda played: played.calls,
        _whole_floor,
        f"{LISTING}, and {ASSUMING}",
    )


def _ratio(
    bench: Bench,
    key: str,
    title: str,
    formula: str,
    chosen: Callable[[Played], tuple[Call, ...]],
    floor: Callable[[Size], int],
    worse: str,
) -> Figure:
    found = {size: chosen(bench.play(size)) for size in bench.sizes}
    largest = max(found, key=lambda size: size.locations)
    careless = bench.play(bench.control_size, hub=Careless)
    return Figure(
        key,
        title,
        formula,
        len(found[largest]) / floor(largest),
        MOST,
        Control(worse, len(chosen(careless)) / floor(careless.size)),
        Growth("locations", "calls", "linear", {size.locations: len(calls) for size, calls in found.items()}),
        {
            "accounts": largest.accounts,
            "calls": len(found[largest]),
            "fewest": floor(largest),
            "callsPerLocation": len(found[largest]) / largest.locations,
            "callsPerInstance": len(found[largest]) / largest.instances,
            **{f"calls: {what}": count for what, count in sorted(of_each(found[largest]).items())},
        },
    )


def of_each(calls: Iterable[Call]) -> Counter[str]:
    """How many calls went to what."""
    return Counter(_what(call) for call in calls)


def _what(call: Call) -> str:
    """What a call was for, by who made it to whom."""
    match call.service, call.worker:
        case "ssm", "poller":
            return "looks at executions"
        case "ssm" | "ec2" | "resource-groups", "collector":
            return "questions to locations"
        case "sts", _:
            return "roles"
        case "dynamodb", "collector":
            return "the collector's table"
        case "dynamodb", "poller":
            return "the poller's table"
        case "dynamodb", "dispatcher":
            return "the dispatcher's table"
        case "dynamodb", _:
            return "other reads and writes of tables"
        case "sqs", _:
            return "queues"
        case "ssm", _:
            return "starts and runbooks"
    return "alerts and reports"


# --- looks --------------------------------------------------------------------------------------------------------------


def poll_calls_unchanged(bench: Bench) -> Figure:
    """pollCallsUnchanged."""
    sizes = [Size(accounts, bench.scale.per_location) for accounts in bench.scale.looked_at]
    grown = {size.locations: unchanged(size) for size in sizes}
    return Figure(
        "pollCallsUnchanged",
        "SSM calls of a look that finds nothing new",
        "SSM calls of a poller's tick in which no execution has changed ÷ executions under way, at the worst tick",
        grown[max(grown)],
        Target("equal", 1),
        Control(LISTING, unchanged(sizes[-1], hub=Careless)),
        Growth("locations", "SSM calls for each execution", "constant", grown),
    )


def unchanged(size: Size, *, hub: type[Memory] = Memory) -> float:
    """The most SSM calls for each open execution that a poller's tick made in which nothing had changed."""
    history, _ = stage(size, hub=hub)
    found: list[float] = []
    with silent():
        while history.step():
            run = looked_at(history)
            going = [one for one in run.executions if one.state is ExecutionState.RUNNING] if run else []
            first = len(history.seen)
            history.memory.poll()  # the same minute once more: whatever was to be seen in it has been seen
            calls = [call for call, _, _ in history.seen[first:]]
            if going:
                found.append(sum(call.service == "ssm" for call in calls) / len(going))
            elif found:
                return max(found)
    raise RuntimeError("no execution was ever under way")


# --- what we do not do --------------------------------------------------------------------------------------------------


class _EveryChild(Automation):
    """Lists the steps of an execution at every look, whether anything changed or not."""

    def look(self, execution: str) -> View:
        pages = self.client.get_paginator("describe_automation_step_executions")
        for _ in pages.paginate(AutomationExecutionId=execution):
            pass
        return super().look(execution)


class Careless(Memory):
    """The stack with a poller that lists every child at every look, and a collector that assumes a role for every question."""

    def poller(self) -> Poller:
        """The poller function's own."""
        return replace(super().poller(), automation=_EveryChild(self.client("ssm")))

    def collector(self) -> Collector:
        """The collector function's own."""
        # By this clock every session has expired by the time it is looked at.
        late = datetime.max.replace(tzinfo=UTC)
        spokes = Spokes(self.client("sts"), READ_ROLE, now=lambda: late, connect=self.connect)
        return replace(super().collector(), spokes=spokes)


FIGURES: Mapping[str, Callable[[Bench], Figure]] = {
    "callsOverFloor": over_floor,
    "callsToFreezeOverFloor": to_freeze_over_floor,
    "callsWholeOverFloor": whole_over_floor,
    "pollCallsUnchanged": poll_calls_unchanged,
}
