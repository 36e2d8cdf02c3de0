"""From the item to the mail, through the real handlers."""

from datetime import UTC, datetime, timedelta

import pytest

from patchtide.core.states import RunState
from simulator.fleet import Behaviour
from simulator.world import Switches
from tests.journeys.small import BETA, NOW, REGION, Play, opened, organization


@pytest.fixture
def play() -> Play:  # type: ignore[misc]
    with opened() as found:
        yield found


def names(play: Play) -> dict[str, str]:
    return {node.name: node.id for node in play.world.organization.nodes.values()}


def outcomes(play: Play) -> dict[str, str]:
    rows = play.rows(play.runs()[0].run.id)
    return {name: rows[id_]["outcome"] for name, id_ in names(play).items() if id_ in rows}


def test_putting_an_item_without_a_schedule_is_all_it_takes(play: Play) -> None:
    play.put()
    play.run(hours=6)
    (dossier,) = play.runs()
    assert (dossier.run.state, dossier.run.trigger) == (RunState.SUCCEEDED, "adhoc")
    assert outcomes(play) == dict.fromkeys(["a-1", "a-2", "b-1", "b-2"], "compliant")
    assert [subject.split(":")[0] for subject in play.subjects()] == ["[patch] STARTED web", "[patch] OK web"]


def test_an_ad_hoc_campaign_runs_once_however_often_it_is_edited(play: Play) -> None:
    play.put()
    play.run(hours=6)
    play.put(description="edited")
    play.run(hours=6)
    assert len(play.runs()) == 1
    assert "runs once" in play.item()["statusMessage"]


def test_the_item_says_what_the_service_makes_of_it(play: Play) -> None:
    play.put(schedule="cron(0 22 * * ? *)", scheduleTimezone="Europe/London", maxConcurrency="50%")
    play.stack.drain()
    assert (play.item()["status"], play.item()["nextRunAt"]) == ("VALID", "2026-12-01T22:00:00Z")
    play.run(hours=17)
    assert play.item()["lastRunId"] == "web-20261201T2200Z"
    assert play.item()["lastRunStatus"] == "succeeded"
    assert play.item()["nextRunAt"] == "2026-12-02T22:00:00Z"


def test_an_invalid_edit_never_unseats_the_version_in_force(play: Play) -> None:
    play.put(schedule="cron(0 22 * * ? *)")
    play.stack.drain()
    play.put(schedule="cron(0 22 * * ? *)", duration=2, cutoff=3)
    play.run(hours=17)
    assert play.item()["status"] == "INVALID"
    assert play.item()["statusDetail"]["activeVersion"] == 1
    assert [dossier.run.spec for dossier in play.runs()] == [1]
    assert [s for s in play.subjects() if "INVALID" in s] == [
        "[patch] INVALID campaign web: cutoff is 3 h, duration is 2 h"
    ]


def test_nothing_reaches_an_instance_outside_the_window(play: Play) -> None:
    play.put(schedule="at(2026-12-01T20:00:00)")
    play.run(hours=17)
    start = datetime(2026, 12, 1, 20, tzinfo=UTC)
    assert play.world.effects
    assert all(start <= delivery.at < start + timedelta(hours=3) for delivery in play.world.effects)


def test_a_run_is_prepared_before_its_window_and_started_at_it(play: Play) -> None:
    play.put(schedule="at(2026-12-01T20:00:00)")
    play.run(hours=17)
    run = play.runs()[0].run
    assert run.opened_at < run.window.start
    assert run.started_at
    assert run.window.start <= run.started_at < run.window.start + timedelta(minutes=2)


def test_an_account_without_its_role_is_named_before_anything_is_patched() -> None:
    with opened(organization(onboarded=False)) as play:
        play.put()
        play.run(hours=6)
        (dossier,) = play.runs()
        assert dossier.run.state is RunState.FAILED
        assert outcomes(play) == {"a-1": "compliant", "a-2": "compliant"}
        started, failed = play.mails
        for mail in (started, failed):
            assert f"{BETA} {REGION}  ROLE_DENIED" in mail["Message"]


@pytest.mark.parametrize(
    ("behaviour", "outcome", "cause"),
    [
        (Behaviour.DISK_FULL, "failed", "DISK_FULL"),
        (Behaviour.REPO_DOWN, "failed", "REPO"),
        (Behaviour.PKG_LOCK, "failed", "PKG_LOCK"),
        (Behaviour.PATCH_FAILS, "failed", "PATCH_FAILED"),
        (Behaviour.AGENT_LOST_AFTER_REBOOT, "failed", "TIMEOUT"),
        (Behaviour.AGENT_OFFLINE, "unreachable", "AGENT_LOST"),
        (Behaviour.NOT_MANAGED, "unreachable", "NOT_MANAGED"),
        (Behaviour.FALSE_FAILURE, "compliant", ""),
        (Behaviour.PENDING_REBOOT, "pendingReboot", "PENDING_REBOOT"),
        (Behaviour.OVERWRITTEN, "unverified", "OVERWRITTEN"),
        (Behaviour.SENTINEL, "unverified", "SCAN_BROKEN"),
        (Behaviour.SLOW_EVIDENCE, "compliant", ""),
    ],
)
@pytest.mark.parametrize("runbook", ["Patchtide-PatchFleet", "Automation-RunPatchBaseline"])
def test_every_trouble_ends_as_what_it_is(behaviour: Behaviour, outcome: str, cause: str, runbook: str) -> None:
    with opened(organization({"a-1": behaviour})) as play:
        play.put(runbook=runbook)
        play.run(hours=12)
        run = play.runs()[0].run
        row = play.rows(run.id)[names(play)["a-1"]]
        assert (row["outcome"], row.get("cause", "")) == (outcome, cause)
        truth = play.world.ground_truth(run.id, names(play).values())
        assert truth == {id_: row["outcome"] for id_, row in play.rows(run.id).items()}
        if cause:
            assert cause in play.mails[-1]["Message"]


@pytest.mark.parametrize("targets", ["tag:PatchGroup=wbe", "InstanceIds=i-0123456789abcdef0"])
def test_zero_targets_is_an_error_people_hear_of(play: Play, targets: str) -> None:
    play.put(targets=targets)
    play.run(hours=6)
    assert play.runs()[0].run.state is RunState.NO_TARGETS
    assert play.subjects() == ["[patch] NO TARGETS web: 0 instances matched, nothing was patched"]
    assert play.world.effects == []


def test_a_resource_group_that_exists_in_one_account_alone_names_the_other(play: Play) -> None:
    del play.world.organization.groups[BETA, REGION, "web-servers"]
    play.put(targets="ResourceGroup=web-servers")
    play.run(hours=6)
    assert outcomes(play) == {"a-1": "compliant", "a-2": "compliant"}
    assert f"{BETA} {REGION}  GROUP_MISSING" in play.mails[-1]["Message"]


def test_units_stand_for_the_accounts_in_them(play: Play) -> None:
    (unit,) = play.world.organization.units_in(play.world.organization.root.id)
    play.put(accounts=[unit.id], excludeAccounts=[BETA])
    play.run(hours=6)
    assert sorted(outcomes(play)) == ["a-1", "a-2"]


def test_a_run_that_comes_too_late_is_missed_and_told(play: Play) -> None:
    play.put(schedule="at(2026-12-01T20:00:00)")
    play.stack.drain()
    play.stack.wire.move_to(NOW + timedelta(hours=14, minutes=30))  # nobody woke the service until after its cutoff
    play.run(hours=1)
    assert play.runs()[0].run.state is RunState.MISSED
    assert play.subjects()[0].startswith("[patch] MISSED web: due Tue 01 Dec 20:00")
    assert play.world.effects == []


def test_a_runbook_that_does_not_exist_fails_the_run_with_the_reason() -> None:
    with opened(parameters={"OwnRunbooks": "My-Runbook"}) as play:
        play.put(runbook="My-Runbook", targetParameterName="InstanceId")
        play.run(hours=6)
        assert play.runs()[0].run.state is RunState.FAILED
        assert "My-Runbook" in play.mails[-1]["Message"]


def test_one_poison_item_does_not_stop_another(play: Play) -> None:
    play.put(campaign="poison", duration="{{x}}", accounts={1, 2})
    play.put()
    play.run(hours=6)
    assert play.item("poison")["status"] == "INVALID"
    assert play.runs()[0].run.state is RunState.SUCCEEDED


SWITCHES = [
    Switches(unstarted_pairs_listed=True),
    Switches(forgiven_failures_fail=False),
    Switches(zero_targets="Failed"),
    Switches(incomplete_command="Success"),
    Switches(stop_reaches_children=True),
    Switches(steps_in_answer=1),
    Switches(token_retention=timedelta(0)),
    Switches(child_names_parent=False),
    Switches(evidence_delay=timedelta(minutes=5)),
    Switches(entries_in_order=True),
    Switches(locations_ramp=True),
    Switches(read_gap=timedelta(minutes=3)),
    Switches(empty_pages=False),
    Switches(concurrent_executions=1),
]


@pytest.mark.parametrize("switches", SWITCHES, ids=str)
def test_whichever_way_aws_behaves_where_it_is_not_documented(switches: Switches) -> None:
    with opened(organization({"a-1": Behaviour.DISK_FULL}), switches) as play:
        play.put(accounts=[play.world.organization.root.id], excludeAccounts=["999900001111"])
        play.run(hours=8)
        assert outcomes(play) == {"a-1": "failed", "a-2": "compliant", "b-1": "compliant", "b-2": "compliant"}
        assert play.world.executions_started == 1


def test_a_tick_with_nothing_new_costs_one_question_per_execution(play: Play) -> None:
    play.put()
    while not play.world.effects:
        play.run(hours=1 / 60)
    play.run(hours=3 / 60)  # the start is told by then
    play.stack.wire.calls.clear()
    play.stack.invoke("PollerFunction", {})
    asked = {name: count for name, count in play.stack.wire.calls.items() if not name.startswith("dynamodb")}
    assert asked == {"ssm:GetAutomationExecution": 1}
