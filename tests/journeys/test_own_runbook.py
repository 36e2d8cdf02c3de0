"""A runbook of one's own, deployed as docs/deploy.md says: examples/runbook/template.yaml in every account, and in the hub."""

from __future__ import annotations

import pytest

from patchtide.core.run import Run
from patchtide.core.states import RunState
from simulator import sample
from simulator.fleet import EXECUTION_ROLE
from simulator.template import Template, load
from tests.journeys.small import ALPHA, BETA, OWN_RUNBOOK, REGION, Play, opened

OWN = {"OwnRunbooks": "Acme-Patch"}


def deploy(play: Play, account: str, *, lent: bool = True) -> None:
    """The stack of the example in an account: its document, and what it lends the account's execution role."""
    sample.deploy(play.world, OWN_RUNBOOK, account, REGION)
    made = Template(load(OWN_RUNBOOK), account, REGION, {"HomeRegion": REGION, "ExecutionRoleName": EXECUTION_ROLE})
    (policy,) = made.of_type("AWS::IAM::RolePolicy").values()
    if lent:
        play.powers.lend(account, policy["RoleName"], policy["PolicyDocument"])


def patched(play: Play) -> Run:
    sample.deploy(play.world, OWN_RUNBOOK, sample.HUB, REGION)
    play.put(runbook="Acme-Patch", targetParameterName="InstanceId")
    play.run(hours=8)
    return play.runs()[0].run


def test_it_patches_under_the_policies_of_the_spoke_and_its_own() -> None:
    with opened(parameters=OWN) as play:
        for account in (ALPHA, BETA):
            deploy(play, account)
        run = patched(play)
        assert run.state is RunState.SUCCEEDED
        assert set(play.outcomes(run.id).values()) == {"compliant"}
        assert not play.powers.refused
        play.prove()


def test_without_the_document_an_account_says_that_its_role_cannot_be_assumed() -> None:
    """AWS's own words, of a role that is as it should be: docs/deploy.md tells people to look for the document."""
    with opened(parameters=OWN) as play:
        deploy(play, ALPHA)
        run = patched(play)
        assert run.state is RunState.FAILED
        assert play.patched() == ["a-1", "a-2"]
        assert untouched(play, run, "unable to be assumed")
        assert not play.powers.refused


def test_without_what_the_role_needs_an_account_says_so() -> None:
    with opened(parameters=OWN) as play:
        deploy(play, ALPHA)
        deploy(play, BETA, lent=False)
        run = patched(play)
        assert play.patched() == ["a-1", "a-2"]
        assert untouched(play, run, "not authorized to perform: ssm:StartAutomationExecution")


def untouched(play: Play, run: Run, words: str) -> bool:
    """Whether nothing was sent to the second account's instances, and their rows have these words."""
    rows = [row for row in play.rows(run.id).values() if row["account"] == BETA]
    return len(rows) == 2 and all(row["outcome"] == "notStarted" and words in row["sentence"] for row in rows)


def test_the_hub_shares_its_own_with_the_accounts_of_a_run_if_people_want_that() -> None:
    with opened(parameters=OWN | {"ShareOwnRunbooks": "yes"}) as play:
        for account in (ALPHA, BETA):
            play.lend_the_hubs_runbook(account)
        run = patched(play)
        assert run.state is RunState.SUCCEEDED
        assert set(play.outcomes(run.id).values()) == {"compliant"}
        assert set(play.world.documents.owned(sample.HUB, REGION, "Acme-Patch").shared) == {ALPHA, BETA}
        assert not play.powers.refused
        play.prove()


def test_where_sharing_is_refused_those_that_see_it_already_are_patched(monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(parameters=OWN | {"ShareOwnRunbooks": "yes"}) as play:
        play.lend_the_hubs_runbook(ALPHA)
        sample.deploy(play.world, OWN_RUNBOOK, sample.HUB, REGION)
        play.world.documents.owned(sample.HUB, REGION, "Acme-Patch").shared[ALPHA] = "$DEFAULT"
        monkeypatch.setattr("simulator.documents.MAX_SHARES", 1)
        play.put(runbook="Acme-Patch", targetParameterName="InstanceId")
        play.run(hours=8)
        run = play.runs()[0].run
        assert play.patched() == ["a-1", "a-2"]
        assert untouched(play, run, "unable to be assumed")
