"""What a stack does not allow does not run, and a list is installed only while it is what its name says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest

from patchtide.core.run import Run
from patchtide.core.states import RunState
from simulator import sample
from tests.journeys.small import ALPHA, BETA, LIST_KEY, NOW, REGION, Play, opened, organization

OWN = "Acme-Patch"
TONIGHT = "at(2026-12-01T20:00:00)"
EVENING = NOW.replace(hour=20)


def own_runbook(play: Play) -> str:
    """A runbook of people's own in the hub and in both accounts; its hash."""
    documents, hub = play.world.documents, play.world.organization.hub
    content = documents.owned(hub, REGION, "Patchtide-PatchFleet").version(None).content
    params = {"Name": OWN, "Content": content, "DocumentType": "Automation", "DocumentFormat": "JSON"}
    made = [documents.create(account, REGION, params) for account in (hub, ALPHA, BETA)]
    return made[0].version(None).hash


def only(play: Play) -> Run:
    (dossier,) = play.runs()
    return dossier.run


def reasons(play: Play) -> str:
    return " ".join(f"{wave.reason} {wave.hold}" for wave in only(play).waves)


def refused(play: Play) -> list[str]:
    """What the hub's own functions were refused."""
    return [one for one in play.powers.refused if not one.startswith("AWS-SystemsManager")]


# --- runbooks ---------------------------------------------------------------------------------------------------------


def test_a_runbook_that_nobody_allowed_is_refused_on_the_item_though_it_is_there() -> None:
    with opened(speed=20) as play:
        own_runbook(play)
        play.put(runbook=OWN)
        play.run(hours=8)
        assert play.item()["status"] == "INVALID"
        assert "OwnRunbooks" in play.item()["statusMessage"]
        assert play.runs() == []


def test_a_runbook_that_was_allowed_is_looked_at_and_started() -> None:
    with opened(speed=20, parameters={"OwnRunbooks": f"Other,{OWN}"}) as play:
        own_runbook(play)
        play.put(runbook=OWN)
        play.run(hours=8)
        assert play.item()["status"].startswith("VALID")
        assert play.world.executions_started == 1
        assert refused(play) == []


@pytest.mark.parametrize("right", [True, False])
def test_a_pinned_runbook_starts_with_its_own_content_alone(right: bool) -> None:
    with opened() as play:
        pin = own_runbook(play) if right else "ab" * 32
    with opened(speed=20, parameters={"OwnRunbooks": f"{OWN}@{pin}"}) as play:
        own_runbook(play)
        play.put(runbook=OWN, schedule=TONIGHT)
        play.run_to(EVENING - timedelta(minutes=5))
        assert bool(pin in reasons(play)) is not right  # a person hears of it before the window
        play.run(hours=8)
        assert play.world.executions_started == (1 if right else 0)
        assert right or only(play).state is RunState.FAILED


def test_the_dispatcher_may_not_start_what_the_stack_does_not_name() -> None:
    with opened(speed=20) as play:
        own_runbook(play)
        intake = play.stack.template.resources["IntakeFunction"]["Properties"]["Environment"]["Variables"]
        dispatcher = play.stack.template.resources["DispatcherFunction"]["Properties"]["Environment"]["Variables"]
        intake["OWN_RUNBOOKS"] = dispatcher["OWN_RUNBOOKS"] = OWN  # as if both functions were deceived
        play.put(runbook=OWN)
        play.bumpy = True
        play.run(hours=8)
        assert play.item()["status"].startswith("VALID")
        assert play.world.executions_started == 0
        assert any("DispatcherRole may not ssm:DescribeDocument" in one for one in refused(play))


# --- override lists ---------------------------------------------------------------------------------------------------


def installs(play: Play) -> set[str]:
    (start,) = play.world.automation.at(play.world.organization.hub, REGION)[:1]
    return set(start.given["InstallOverrideList"])


def test_a_list_that_is_what_its_name_says_is_installed() -> None:
    with opened(speed=20) as play:
        url = play.write_list()
        play.put(installOverrideList=url)
        play.run(hours=8)
        assert only(play).state is RunState.SUCCEEDED
        assert installs(play) == {url}
        assert play.powers.refused == []


def test_a_list_by_any_other_url_is_refused_on_the_item() -> None:
    with opened(speed=20) as play:
        url = play.write_list()
        for number, other in enumerate((url.replace("s3://", "https://"), url.replace("s3://", "s3://x"), "s3://a/b")):
            play.put(campaign=f"web-{number}", installOverrideList=other)
            play.stack.drain()
            assert play.item(f"web-{number}")["status"] == "INVALID"


@pytest.mark.parametrize("there", [b"patches: [{id: backdoor}]", None])
def test_a_list_that_is_another_or_is_not_there_fails_the_run_before_its_window(there: bytes | None) -> None:
    with opened(speed=20) as play:
        url = play.write_list(there or b"")
        if there is None:
            with play.stack.wire.quiet():
                play.stack._client("s3").delete_object(Bucket=url.split("/")[2], Key=LIST_KEY)
        play.put(installOverrideList=url, schedule=TONIGHT)
        play.run_to(EVENING - timedelta(minutes=5))
        assert only(play).state is RunState.FAILED
        assert LIST_KEY in reasons(play)
        assert any(subject.startswith("[patch] FAILED") for subject in play.subjects())
        play.run(hours=8)
        assert play.world.executions_started == 0


def test_a_list_that_was_swapped_after_it_was_looked_at_starts_nothing_until_it_is_put_back() -> None:
    with opened(speed=20) as play:
        url = play.write_list()
        play.put(installOverrideList=url, schedule=TONIGHT)
        play.run_to(EVENING - timedelta(minutes=5))
        assert only(play).open
        play.write_list(b"patches: [{id: backdoor}]")
        play.run_to(EVENING + timedelta(minutes=30))
        assert play.world.executions_started == 0
        assert "is not the list that its name says" in reasons(play)
        late = [mail for mail in play.mails if "LATE" in mail["Subject"]]
        assert late
        assert "is not the list that its name says" in late[0]["Message"]
        play.write_list()
        play.run(hours=6)
        assert only(play).state is RunState.SUCCEEDED


def test_a_list_that_is_swapped_between_two_rings_stops_at_the_second() -> None:
    with opened(speed=20) as play:
        waves = [
            {"name": "one", "targets": "tag:Ring=0", "gate": {"soak": "60m"}},
            {"name": "two", "targets": "tag:Ring=1"},
        ]
        play.put(installOverrideList=play.write_list(), schedule=TONIGHT, waves=waves)
        play.run_to(EVENING + timedelta(minutes=30))
        assert play.world.executions_started == 1
        play.write_list(b"patches: [{id: backdoor}]")
        play.run(hours=8)
        assert play.world.executions_started == 1
        assert play.patched() == ["a-1"]


# --- one organization -------------------------------------------------------------------------------------------------

ORGANIZATION: Mapping[str, str] = {"OrganizationId": "o-simulated0"}


def test_everything_goes_well_within_the_organization(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = organization()
    with opened(fleet, speed=20, parameters={"OrganizationId": fleet.id}, spoke={"OrganizationId": fleet.id}) as play:
        play.put()
        play.run(hours=8)
        assert only(play).state is RunState.SUCCEEDED
        assert play.powers.refused == []


def test_the_hub_reaches_no_account_of_another_organization() -> None:
    with opened(speed=20, parameters={"OrganizationId": "o-somebodyelse"}) as play:
        play.put()
        play.run(hours=8)
        assert play.patched() == []
        assert {one.split(" on ")[1] for one in play.powers.refused} == {
            f"arn:aws:iam::{account}:role/{sample.READ_ROLE}" for account in (ALPHA, BETA)
        }
