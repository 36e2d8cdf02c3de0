"""The runs table, on moto's DynamoDB and on that of the in-memory door: what is counted once stays counted once."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from moto import mock_aws

from patchtide.aws import clients
from patchtide.aws.runs import LONGEST_RUN, Registry, Runs
from patchtide.aws.service import Slots, Switch
from patchtide.aws.table import Table
from patchtide.core.alerts import Alert
from patchtide.core.document import read
from patchtide.core.errors import Busy, Overtaken, Refused
from patchtide.core.evidence import Ending
from patchtide.core.location import Location
from patchtide.core.opening import open_run
from patchtide.core.orders import Answered, Order
from patchtide.core.outcome import Cause, Instance, Outcome, Patch, Result
from patchtide.core.pause import Pause
from patchtide.core.registration import accept, claimed
from patchtide.core.roster import Ended, Inquiry, LocationRun, LocationState
from patchtide.core.run import Execution, Run
from patchtide.core.states import ExecutionState
from patchtide.core.tally import Tally
from simulator.clock import Clock
from simulator.fleet import Organization
from simulator.memory import Memory
from simulator.template import ROOT, Template, load
from simulator.world import World

NOW = datetime(2026, 12, 12, 21, 45, tzinfo=UTC)
WHERE = Location("111122223333", "eu-west-1")
CAMPAIGN = read(
    {
        "campaign": "dev",
        "schedule": "cron(0 22 * * ? *)",
        "duration": 4,
        "accounts": "111122223333",
        "regions": "eu-west-1",
        "targets": "tag:A=b",
    }
).valid()


@pytest.fixture(params=["moto", "memory"])
def table(request: pytest.FixtureRequest) -> Iterator[Table]:
    properties: Mapping[str, Any] = Template(load(ROOT / "template.yaml"), "999900001111", "eu-west-1").of_type(
        "AWS::DynamoDB::Table"
    )["RunsTable"]
    if request.param == "memory":
        memory = Memory(World(Clock(NOW), Organization.build()))
        memory.tables.make("runs", properties)
        yield Table(memory.client("dynamodb"), "runs")
        return
    with mock_aws():
        clients.dynamodb.cache_clear()
        wanted = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
        clients.dynamodb().create_table(
            TableName="runs", BillingMode="PAY_PER_REQUEST", **{name: properties[name] for name in wanted}
        )
        yield Table(clients.dynamodb(), "runs")
        clients.dynamodb.cache_clear()


@pytest.fixture
def runs(table: Table) -> Runs:
    return Runs(table, timedelta(days=30), lambda: NOW)


@pytest.fixture
def registry(table: Table) -> Registry:
    return Registry(table)


@pytest.fixture
def run(registry: Registry) -> Run:
    registry.take(accept(None, CAMPAIGN, "digest", NOW), CAMPAIGN)
    held = registry.get("dev")
    assert held
    assert held.next_at
    opened = open_run(held, CAMPAIGN, NOW)
    registry.claim(claimed(held, CAMPAIGN), opened)
    return opened


def nodes(count: int) -> list[Instance]:
    return [Instance(f"i-{number:017x}", f"web-{number}", "Linux", "Online") for number in range(count)]


UNTIL = NOW + timedelta(hours=6)
SPAN = (NOW, UNTIL)


def freeze(runs: Runs, run: Run, count: int) -> None:
    at = runs.location(run.id, "all", WHERE)
    assert at
    runs.freeze(at, nodes(count), runs.holds(WHERE), SPAN, NOW)


def test_a_version_comes_back_as_it_was_taken(registry: Registry) -> None:
    registry.take(accept(None, CAMPAIGN, "digest", NOW), CAMPAIGN)
    assert registry.spec("dev", 1) == CAMPAIGN
    with pytest.raises(Refused, match="version 2 of dev"):
        registry.spec("dev", 2)


def test_only_what_is_due_is_found(registry: Registry) -> None:
    registry.take(accept(None, CAMPAIGN, "digest", NOW - timedelta(hours=1)), CAMPAIGN)
    assert list(registry.due(NOW - timedelta(seconds=1))) == []
    assert list(registry.due(NOW)) == ["dev"]


def test_an_occurrence_is_claimed_once(registry: Registry, run: Run) -> None:
    held = registry.get("dev")
    assert held
    assert held.next_at == NOW.replace(hour=22, minute=0) + timedelta(days=1)
    stale = replace(held, changes=held.changes - 1, next_at=run.scheduled_at)
    with pytest.raises(Overtaken):
        registry.claim(claimed(stale, CAMPAIGN), run)
    with pytest.raises(Overtaken):
        registry.claim(claimed(replace(held, next_at=run.scheduled_at), CAMPAIGN), run)
    assert registry.runs_of("dev", 10) == (run.id,)


def test_a_save_needs_the_latest_version(runs: Runs, run: Run) -> None:
    saved = runs.save(run, replace(run, told="planned"), NOW)
    assert runs.load(run.id).run == saved
    with pytest.raises(Overtaken):
        runs.save(run, replace(run, told="other"), NOW)
    assert runs.load(run.id).run.told == "planned"


def test_executions_are_kept_beside_the_run_and_only_when_they_change(runs: Runs, run: Run) -> None:
    first, second = (Execution("all", number, "{}", 2, f"token-{number}") for number in (1, 2))
    saved = runs.save(run, replace(run, executions=(first, second)), NOW)
    moved = replace(second, id="id-2")
    saved = runs.save(saved, replace(saved, executions=(first, moved)), NOW)
    assert runs.load(run.id).run.executions == (first, moved)


def test_a_run_that_wants_nothing_is_not_due_any_more(runs: Runs, run: Run) -> None:
    assert list(runs.due(NOW)) == [run.id]
    ended = replace(run, state=type(run.state).SUCCEEDED, told="succeeded", reported="0" * 64)
    runs.save(run, ended, NOW)
    assert list(runs.due(NOW + timedelta(days=9))) == []


def test_locations_are_written_down_once_however_often(runs: Runs, run: Run) -> None:
    many = [Location(f"{number:012d}", "eu-west-1") for number in range(130)]
    assert runs.add_locations(run.id, "all", dict.fromkeys(many[:120], "")) == 120
    first = runs.location(run.id, "all", many[0])
    assert first
    runs.out_of_reach([first], Cause.ROLE_DENIED, "no role")
    assert runs.add_locations(run.id, "all", dict.fromkeys(many, "")) == 130
    again = runs.location(run.id, "all", many[0])
    assert again
    assert again.state is LocationState.UNREACHABLE


def test_a_frozen_location_is_counted_once_and_stays_as_it_was(runs: Runs, run: Run) -> None:
    runs.add_locations(run.id, "all", {WHERE: ""})
    before = runs.location(run.id, "all", WHERE)
    assert before
    runs.freeze(before, nodes(120), runs.holds(WHERE), SPAN, NOW)
    runs.freeze(before, nodes(7), runs.holds(WHERE), SPAN, NOW)
    assert runs.load(run.id).tallies == {"all": Tally(resolved=1, instances=120)}
    after = runs.location(run.id, "all", WHERE)
    assert after
    assert (after.pages, [len(runs.roster(after, page)) for page in range(3)]) == (3, [50, 50, 20])


def test_a_page_of_evidence_is_counted_once_whoever_brings_it(runs: Runs, run: Run) -> None:
    runs.add_locations(run.id, "all", {WHERE: ""})
    freeze(runs, run, 60)
    runs.end(run.id, "all", {WHERE: Ended(Ending("Success"))}, NOW)
    at = runs.location(run.id, "all", WHERE)
    assert at
    fine = [Result(node, Outcome.COMPLIANT) for node in runs.roster(at, 0)]
    bad = [Result(node, Outcome.FAILED, Cause.DISK_FULL, "no space") for node in runs.roster(at, 1)]
    for _ in range(2):
        runs.record(at, 0, fine)
        runs.record(at, 1, bad)
    tally = runs.load(run.id).tallies["all"]
    assert tally.outcomes == {"compliant": 50, "failed": 10}
    assert tally.causes == {"DISK_FULL": 10}
    assert (tally.collected, tally.open_instances) == (1, 0)
    assert len(list(runs.instances(run.id))) == 60
    problems = runs.problems(run.id, "instance#DISK_FULL#", 3)
    assert [row["sentence"] for row in problems] == ["no space"] * 3


def test_a_location_that_ended_or_was_left_out_does_not_end_again(runs: Runs, run: Run) -> None:
    runs.add_locations(run.id, "all", {WHERE: ""})
    freeze(runs, run, 1)
    runs.end(run.id, "all", {WHERE: Ended(Ending("Success"), "child")}, NOW)
    runs.end(run.id, "all", {WHERE: Ended(Ending("Failed"))}, NOW)
    found = runs.location(run.id, "all", WHERE)
    assert found
    assert found.ending == Ending("Success")


def test_everything_of_a_run_expires_and_campaigns_do_not(runs: Runs, run: Run, table: Table) -> None:
    runs.add_locations(run.id, "all", {WHERE: ""})
    freeze(runs, run, 1)
    runs.end(run.id, "all", {WHERE: Ended(Ending("Success"))}, NOW)
    at = runs.location(run.id, "all", WHERE)
    assert at
    runs.record(at, 0, [Result(node, Outcome.COMPLIANT) for node in runs.roster(at, 0)])
    runs.save(run, replace(run, told="x"), NOW)
    runs.keep_alert(run.id, Alert(f"{run.id}/started", "run.started", "INFO", "dev", run.id, "s", "b"), NOW)
    items = table.client.scan(TableName="runs")["Items"]
    lasting = {item["sk"] for item in items if "expiresAt" not in item}
    assert all(str(name).startswith(("registration", "version", "occurrence", "notice")) for name in lasting)
    kept = {str(item["sk"]): int(str(item["expiresAt"])) for item in items if "expiresAt" in item}
    assert kept.pop("holds") == int((UNTIL + timedelta(days=1)).timestamp())
    assert set(kept.values()) == {int((NOW + timedelta(days=30) + LONGEST_RUN).timestamp())}


def test_an_instance_row_stays_small(runs: Runs, run: Run, table: Table) -> None:
    runs.add_locations(run.id, "all", {WHERE: ""})
    freeze(runs, run, 1)
    runs.end(run.id, "all", {WHERE: Ended(Ending("Success"))}, NOW)
    at = runs.location(run.id, "all", WHERE)
    assert at
    runs.record(at, 0, [Result(node, Outcome.COMPLIANT, installed=99) for node in runs.roster(at, 0)])
    (row,) = table.under(f"run#{run.id}", "instance#")
    assert sum(len(str(name)) + len(str(value)) for name, value in row.items()) <= 400


def test_instances_are_held_by_one_run_and_whoever_comes_late_must_look_again(runs: Runs, run: Run) -> None:
    runs.add_locations(run.id, "all", {WHERE: ""})
    stale = runs.holds(WHERE)
    freeze(runs, run, 3)
    (hold,) = runs.holds(WHERE).held
    assert (hold.run, hold.wave, hold.until, len(hold.instances)) == (run.id, "all", UNTIL, 3)
    runs.add_locations("other", "all", {WHERE: ""})
    late = runs.location("other", "all", WHERE)
    assert late
    with pytest.raises(Overtaken):
        runs.freeze(late, nodes(3), stale, SPAN, NOW)
    runs.freeze(late, [replace(node, held_by=run.id) for node in nodes(3)], runs.holds(WHERE), SPAN, NOW)
    after = runs.location("other", "all", WHERE)
    assert after
    assert (after.state, after.held) == (LocationState.ENDED, 3)
    assert runs.load(run.id).tallies["all"].set_aside == 0


def test_a_location_in_parts_has_ended_when_all_of_them_have(runs: Runs, run: Run) -> None:
    runs.add_locations(run.id, "all", {WHERE: ""})
    freeze(runs, run, 60)
    for part, status in ((1, "Success"), (3, "Failed"), (3, "Success"), (2, "Success")):
        at = runs.location(run.id, "all", WHERE)
        assert at
        assert at.state is LocationState.RESOLVED
        runs.end(run.id, "all", {WHERE: Ended(Ending(status), f"child-{part}")}, NOW, part, 3)
    at = runs.location(run.id, "all", WHERE)
    assert at
    assert (at.state, at.ending, at.ended_at) == (LocationState.ENDED, Ending("Failed"), NOW)


def test_an_order_wakes_its_run_until_it_is_answered(runs: Runs, run: Run) -> None:
    runs.save(run, replace(run, state=type(run.state).SUCCEEDED, told="succeeded", reported="0" * 64), NOW)
    assert list(runs.due(NOW)) == []
    order = Order("o-1", "retry", "arn:aws:iam::1:user/me", NOW, failed_only=True)
    runs.order(run.id, order)
    assert list(runs.due(NOW)) == [run.id]
    assert runs.load(run.id).orders == (order,)
    assert runs.answer_to(run.id, "o-1") is None
    runs.answer(run.id, Answered(order, accepted=True, answer="opened"))
    assert runs.answer_to(run.id, "o-1") == (True, "opened")
    assert (list(runs.due(NOW)), runs.load(run.id).orders) == ([], ())


def test_slots_are_taken_and_released_once_each(table: Table) -> None:
    slots = Slots(table)
    assert [slots.take("a", 3, 5, NOW), slots.take("a", 3, 5, NOW), slots.take("b", 3, 5, NOW)] == [True, True, False]
    for _ in range(2):
        slots.release("a")
    assert slots.take("b", 5, 5, NOW)
    assert not slots.take("c", 1, 5, NOW)


def test_the_switch_is_off_until_somebody_turns_it_and_told_of_once(table: Table) -> None:
    switch = Switch(table)
    assert not switch.read().on
    turned = Pause(True, "me", NOW, "incident")
    switch.turn(turned)
    noted = turned.noted(NOW)
    switch.keep(turned, noted)
    with pytest.raises(Overtaken):  # a second worker that read it before
        switch.keep(turned, noted)
    switch.keep(noted, noted.known())
    assert switch.read() == noted.known()
    switch.turn(replace(turned, on=False))
    with pytest.raises(Overtaken):
        switch.keep(noted, noted.known())


def test_a_run_is_reopened_once_and_is_found_under_its_campaign(registry: Registry, runs: Runs, run: Run) -> None:
    again = replace(run, id=f"{run.id}-r1", retry_of=run.id)
    registry.reopen(again)
    saved = runs.save(again, replace(again, told="planned"), NOW)
    registry.reopen(again)
    assert runs.load(again.id).run == saved
    assert set(registry.runs_of("dev", 9)) == {run.id, again.id}


def test_each_save_adds_its_lines_to_the_audit_trail_and_each_line_seals_the_one_before(runs: Runs, run: Run) -> None:
    planned = Execution("all", 1, "{}", 1, "token-1")
    first = runs.save(run, replace(run, executions=(planned,)), NOW)
    asked = replace(planned, state=ExecutionState.STARTING, asked_at=NOW, first_asked_at=NOW)
    second = runs.save(first, replace(first, executions=(asked,)), NOW)
    started = replace(asked, state=ExecutionState.RUNNING, id="e-1", started_at=NOW)
    third = runs.save(second, replace(second, executions=(started,)), NOW)
    trail = list(runs.audit(run.id))
    assert [json.loads(line.text)["what"] for line in trail] == ["start asked", "started"]
    assert [json.loads(line.text)["before"] for line in trail] == ["", trail[0].seal]
    assert (third.audited, third.seal) == (2, trail[1].seal)
    assert runs.load(run.id).run.seal == trail[1].seal


def test_patches_are_read_for_the_moment_and_a_version_for_good(runs: Runs, registry: Registry, run: Run) -> None:
    runs.add_locations(run.id, "all", {WHERE: ""})
    at = runs.location(run.id, "all", WHERE)
    assert at
    runs.keep_patches(at, {"i-1": [Patch("kernel", "kernel.x86_64", "Missing", "Critical", "Security")]})
    (first,), (second,) = ([found for _, found in runs.patches(run.id)] for _ in range(2))
    assert first == second
    assert first is not second  # of a large run they would be a hundred megabytes
    assert Registry(registry.table).spec("dev", 1) is registry.spec("dev", 1)


# --- many at once ------------------------------------------------------------------------------------------------------


def places(runs: Runs, run: Run, count: int) -> list[LocationRun]:
    """So many locations of the run, each with one instance that is expected there."""
    where = [Location(f"{number:012d}", "eu-west-1") for number in range(count)]
    runs.add_locations(run.id, "all", dict.fromkeys(where, ""))
    return list(runs.locations(run.id, "all"))


def frozen(runs: Runs, run: Run, count: int) -> list[Location]:
    for at in places(runs, run, count):
        runs.freeze(at, nodes(1), runs.holds(at.location), SPAN, NOW)
    return [at.location for at in runs.locations(run.id, "all")]


def states(runs: Runs, run: Run) -> Counter[LocationState]:
    return Counter(at.state for at in runs.locations(run.id, "all"))


def test_many_are_given_up_together_and_one_that_answered_after_all_is_not(runs: Runs, run: Run) -> None:
    silent = places(runs, run, 130)
    runs.freeze(silent[7], nodes(3), runs.holds(silent[7].location), SPAN, NOW)
    for _ in range(2):
        runs.out_of_reach(silent, Cause.UNREADABLE, "nothing was said")
    assert states(runs, run) == {LocationState.UNREACHABLE: 129, LocationState.RESOLVED: 1}
    assert runs.load(run.id).tallies == {"all": Tally(resolved=130, unreachable=129, instances=3)}


def test_many_end_together_and_each_once_whoever_says_so(runs: Runs, run: Run) -> None:
    where = frozen(runs, run, 104)
    runs.end(run.id, "all", {where[3]: Ended(Ending("Failed", "no role"), "its own")}, NOW)
    for _ in range(2):
        runs.end(run.id, "all", dict.fromkeys(where, Ended(Ending("Success"), "another")), NOW)
    assert states(runs, run) == {LocationState.ENDED: 104}
    at = runs.location(run.id, "all", where[3])
    assert at
    assert (at.ending, at.child, at.parts_ended) == (Ending("Failed", "no role"), "its own", (1,))


def test_one_that_was_changed_meanwhile_keeps_no_other_from_its_end(
    runs: Runs, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = frozen(runs, run, 5)
    read = runs.table.get_all

    def read_then_changed(keys: Iterable[Mapping[str, str]]) -> list[Mapping[str, Any]]:
        found = list(read(keys))
        monkeypatch.setattr(runs.table, "get_all", read)
        runs.end(run.id, "all", {where[2]: Ended(Ending("Failed", "another worker"))}, NOW, 1, 2)
        return found

    monkeypatch.setattr(runs.table, "get_all", read_then_changed)
    runs.end(run.id, "all", dict.fromkeys(where, Ended(Ending("Success"))), NOW, 2, 2)
    ends = {at.location: at.parts_ended for at in runs.locations(run.id, "all")}
    assert ends == {**dict.fromkeys(where, (2,)), where[2]: (1, 2)}


def test_what_is_read_ahead_is_given_out_once_and_never_after(runs: Runs, run: Run, registry: Registry) -> None:
    where = frozen(runs, run, 2)
    questions = [Inquiry("evidence", run.id, "all", one.account, one.region) for one in where]
    with runs.ahead(questions):
        runs.end(run.id, "all", dict.fromkeys(where, Ended(Ending("Success"))), NOW)
        old, new = (runs.location(run.id, "all", where[0]) for _ in range(2))
        assert old and new  # noqa: PT018
        assert (old.state, new.state) == (LocationState.RESOLVED, LocationState.ENDED)
        before = runs.load(run.id)
        runs.save(before.run, replace(before.run, told="said"), NOW)
        assert runs.load(run.id).run.told == before.run.told
        assert runs.roster(old, 0) == tuple(nodes(1))
    left = runs.location(run.id, "all", where[1])
    assert left
    assert left.state is LocationState.ENDED
    assert runs.load(run.id).run.told == "said"


def test_what_dynamodb_leaves_out_is_asked_for_again(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [{"pk": "run#1", "sk": f"n#{number}"} for number in range(3)]
    table.transact("write", [table.put(key) for key in keys])
    whole: Any = table.client.batch_get_item
    asked: list[int] = []
    slept: list[float] = []

    def half(RequestItems: Any) -> Any:  # noqa: N803 - as boto3 has it
        wanted = RequestItems[table.name]["Keys"]
        asked.append(len(wanted))
        some = {table.name: {**RequestItems[table.name], "Keys": wanted[:2]}}
        rest = {table.name: {**RequestItems[table.name], "Keys": wanted[2:]}} if wanted[2:] else {}
        return {**whole(RequestItems=some), "UnprocessedKeys": rest}

    monkeypatch.setattr(table.client, "batch_get_item", half)
    table.sleep = slept.append
    assert sorted(str(item["sk"]) for item in table.get_all(keys)) == ["n#0", "n#1", "n#2"]
    assert (asked, len(slept)) == ([3, 1], 1)


def test_what_dynamodb_keeps_leaving_out_is_said(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(RequestItems: Any) -> Any:  # noqa: N803 - as boto3 has it
        return {"Responses": {}, "UnprocessedKeys": RequestItems}

    monkeypatch.setattr(table.client, "batch_get_item", nothing)
    table.sleep = lambda _: None
    with pytest.raises(Busy, match="read 1 items: DynamoDB left them out"):
        list(table.get_all([{"pk": "run#1", "sk": "n"}]))
