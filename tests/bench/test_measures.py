"""What is measured, at sizes at which it takes seconds: the right things are counted, and a worse way shows. Nothing is timed."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from bench import calls, items, prices, store, stream, weight, words, work
from bench.__main__ import MEASURES
from bench.world import BEGINS, Bench, Played, Size, play
from patchtide.core.outcome import Cause
from simulator.memory import Call
from simulator.protocol import Caller

KEYS = {
    "callsIntoSilence",
    "callsOverFloor",
    "callsToFreezeOverFloor",
    "callsWholeOverFloor",
    "pollCallsUnchanged",
    "itemsReadPerTick",
    "itemsPerRollup",
    "stepsPerInstance",
    "runItemBytes",
    "instanceRowBytes",
    "alertBytes",
    "costModelError",
    "throughput",
    "peakRssMiB",
    "clientsAlive",
    "coldImportRatio.intake",
    "coldImportRatio.dispatcher",
    "coldImportRatio.poller",
    "coldImportRatio.collector",
    "coldImportRatio.reporter",
    "packageMiB",
}
COUNTED = sorted(KEYS - {"throughput", "peakRssMiB", "packageMiB"} - {key for key in KEYS if key.startswith("cold")})


def test_every_figure_is_measured_and_none_beside() -> None:
    assert set(MEASURES) == KEYS


@pytest.mark.parametrize("key", COUNTED)
def test_the_control_of_what_is_counted_goes_red_at_any_size(key: str, bench: Bench) -> None:
    figure = MEASURES[key](bench)
    assert figure.key == key
    assert figure.guarded, (figure.control, str(figure.target))


@pytest.mark.parametrize(
    "key", ["pollCallsUnchanged", "itemsReadPerTick", "itemsPerRollup", "alertBytes", "clientsAlive"]
)
def test_what_does_not_depend_on_the_fleet_is_met_with_the_smallest_too(key: str, bench: Bench) -> None:
    figure = MEASURES[key](bench)
    assert figure.met, (figure.value, str(figure.target), figure.growth)


# --- calls --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("accounts", "fewest"), [(10, 73), (1_000, 7_042), (10_000, 70_402)])
def test_the_fewest_calls_of_a_run_are_those_that_were_worked_out(accounts: int, fewest: int) -> None:
    assert sum(calls.run_floor(Size(accounts)).values()) == fewest


def test_of_sparse_locations_it_is_calls_for_each_location_that_count() -> None:
    floor = calls.run_floor(Size(1_000, per_location=1))
    assert sum(floor.values()) / 2_000 == pytest.approx(1.6, abs=0.05)
    assert calls.run_floor(Size(10, per_location=51))["evidence"] == 40


def test_the_fewest_calls_to_freeze_are_a_role_two_questions_and_a_page_each() -> None:
    assert sum(calls.freeze_floor(Size(1_000)).values()) == 1_000 + 4_000 + 2_000


@pytest.fixture(scope="module")
def played(bench: Bench) -> Played:
    return bench.play(bench.sizes[-1])


def test_every_call_is_counted_before_or_after_the_first_start(played: Played) -> None:
    before, after = played.calls[: played.started], played.calls[played.started :]
    assert not [call for call in before if call.name == "ssm.start_automation_execution"]
    assert after[0].name == "ssm.start_automation_execution"
    assert len(before) + len(after) == len(played.history.seen)
    services = {call.service for call in played.calls}
    assert services == {"dynamodb", "ec2", "s3", "sns", "sqs", "ssm", "sts"}
    assert sum(calls.of_each(played.calls).values()) == len(played.calls)


def test_a_run_in_which_not_all_goes_well_is_not_measured() -> None:
    with pytest.raises(RuntimeError, match="not those of one in which all goes well"):
        play(Size(1, 2), more={"targets": "tag:PatchGroup=nobody"})
    assert play(Size(1, 2), failure_rate=100).dossier().run.state == "failed"


def test_the_careless_assume_a_role_for_every_question_and_list_every_child(bench: Bench, played: Played) -> None:
    worse = bench.play(played.size, hub=calls.Careless)
    names, ours = Counter(call.name for call in worse.calls), Counter(call.name for call in played.calls)
    assert ours["sts.assume_role"] == played.size.accounts
    assert names["sts.assume_role"] >= 5 * played.size.locations
    assert ours["ssm.describe_automation_step_executions"] == 0
    assert names["ssm.describe_automation_step_executions"] == names["ssm.get_automation_execution"]
    assert worse.started >= played.started + 2 * played.size.locations


def test_the_same_fleet_takes_the_same_calls_again(played: Played) -> None:
    again = play(played.size)
    assert Counter(call.name for call in again.calls) == Counter(call.name for call in played.calls)


# --- the table ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "size"),
    [
        ({"pk": "run#web"}, 2 + 7),
        ({"name": "é"}, 4 + 2),
        ({"n": 1}, 1 + 2),
        ({"n": Decimal(12_345)}, 1 + 4),
        ({"n": 100_000}, 1 + 2),
        ({"yes": True, "none": None}, 3 + 1 + 4 + 1),
        ({"list": ["ab", 1]}, 4 + 3 + (1 + 2) + (1 + 2)),
        ({"map": {"a": "b"}}, 3 + 3 + (1 + 1 + 1)),
    ],
)
def test_an_items_size_is_that_of_its_names_and_values(item: dict[str, object], size: int) -> None:
    assert items.item_bytes(item) == size


def _call(operation: str, **params: Any) -> Call:
    return Call(1, "poller", "dynamodb", operation, params, Caller("999900001111", "eu-west-1", "arn", "key"))


def test_units_are_those_of_dynamodb() -> None:
    large = {"pk": "x" * 5000}
    assert items.read_units(_call("get_item", ConsistentRead=True), {"Item": {"pk": "x"}}) == 1
    assert items.read_units(_call("get_item", ConsistentRead=True), {"Item": large}) == 2
    assert items.read_units(_call("query", IndexName="due"), {"Items": []}) == 0.5
    assert items.read_units(_call("batch_get_item"), {"Responses": {"t": [large, {"pk": "x"}]}}) == 3
    assert items.read_units(_call("put_item"), {}) == 0
    assert items.write_units(_call("put_item", Item=large)) == 5
    assert (
        items.write_units(_call("transact_write_items", TransactItems=[{"Put": {"Item": large}}, {"Update": {}}])) == 12
    )
    assert items.write_units(_call("get_item")) == 0


def test_a_tick_among_many_campaigns_is_counted_item_by_item() -> None:
    memory = store.crowded(3, 2)
    rows = memory.tables.tables["RunsTable"].items
    assert sum(sk == "run" for _, sk in rows) == 1 + 2  # the one that was played, and its copies
    assert sum(sk == "registration" for _, sk in rows) == 1 + 3
    memory.world.clock.advance(timedelta(days=400))  # by now all of them are overdue
    assert store.tick(memory).items >= 3


def test_an_execution_for_each_instance_takes_four_steps_where_a_location_takes_three(bench: Bench) -> None:
    figure = store.steps_per_instance(bench)
    assert figure.value == 3 / bench.scale.per_location
    assert figure.control.value >= 4


def test_a_runs_own_item_at_the_largest_size_has_all_that_can_be_in_it(bench: Bench, played: Played) -> None:
    run = store._at(Size(10_000), played.dossier().run)
    kept = str(store._kept(run)["body"])
    assert all(cause.value in kept for cause in Cause)
    assert "20000" in kept


# --- words and prices ---------------------------------------------------------------------------------------------------


def test_the_longest_mail_tells_of_every_cause_and_is_cut_only_at_its_bound(played: Played) -> None:
    mail = words._longest(played.dossier().run, 100_000)
    assert "DISK_FULL" in mail.body
    assert len(mail.body) > 30_000
    assert len(words.published(mail)) < 262_144


def test_an_error_of_the_model_is_told_for_each_unit_that_it_knows() -> None:
    counted = {"automation_step": 100.0, "sqs_request": 10.0}
    assert prices.errors({"automation_step": 98.0, "s3_put": 3}, counted) == {"automation_step": -0.02}
    assert prices.errors({"automation_step": 100.0, "sqs_request": 20.0}, counted)["sqs_request"] == 1
    assert prices.off({"automation_step": 98.0, "s3_put": 3}, counted) == pytest.approx(0.02)


def test_what_was_used_is_counted_unit_by_unit(played: Played) -> None:
    counted = prices.counted(played)
    assert counted["automation_step"] == 3 * played.size.locations
    assert counted["sns_publish"] == sum(call.name == "sns.publish" for call in played.calls) > 0
    assert counted["dynamodb_write_unit"] > 2 * played.size.instances
    assert counted["dynamodb_read_unit"] > played.size.locations
    assert set(counted) >= set(prices.modelled(played.campaign, played.size)) - {"lambda_gb_second"}
    assert set(counted) <= set(prices.prices())
    assert all(counted.values())


def test_a_fleet_too_large_to_be_played_is_counted_as_one_that_was(bench: Bench, played: Played) -> None:
    _, steps = prices.started(played.size, bench.play(bench.sizes[0]))
    assert steps["automation_step"] == prices.counted(played)["automation_step"]


# --- processes ----------------------------------------------------------------------------------------------------------


def test_a_stream_collects_every_instance_and_reports_it(bench: Bench) -> None:
    told = json.loads(weight.templates(bench))
    fleet = stream.Fleet(200, executions=tuple(told.pop("executions")), **told)
    assert stream.follow(fleet, BEGINS + timedelta(days=1, minutes=45), listed=False)["compliant"] == 200
    with pytest.raises(RuntimeError):
        weight.streamed(30, "stream", weight.templates(bench))  # less than a location is none


def test_a_program_that_fails_is_no_measurement() -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        weight._imported("poller", "1 / 0")


def test_what_a_function_makes_when_it_begins_is_seen() -> None:
    made = json.loads(weight._imported("collector", weight.SPY))
    assert "dynamodb" in {name for _, name in made}
    assert "sts" in {name for _, name in made}


def test_the_race_makes_the_same_calls_both_ways() -> None:
    race = work.Race(work.unasked(Size(1, 3)))
    kept = [
        item
        for (_, sk), item in race.history.memory.tables.tables["RunsTable"].items.items()
        if sk.startswith("instance#")
    ]
    assert len(kept) == 6
    answers = len(race.wires.answers)
    assert answers == len([one for one in race.wires.asked if one.service != "sts"])
    for way in (race.bare(), lambda: race.collect(race.spokes), race.collect):
        race.seconds(way)
        assert race.wires.place == answers


def test_a_race_on_other_calls_is_refused() -> None:
    race = work.Race(work.unasked(Size(1, 1)))
    race.asked.reverse()
    race.wires.answers[0] = ("ListCommands", race.wires.answers[0][1])
    with pytest.raises(RuntimeError, match="where ListCommands was asked before"):
        race.seconds(race.collect)
