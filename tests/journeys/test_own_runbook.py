"""A runbook of one's own, deployed as docs/deploy.md says: examples/runbook/template.yaml in every account, and in the hub."""

from __future__ import annotations

from patchtide.core.run import Run
from patchtide.core.states import RunState
from simulator import sample
from simulator.fleet import EXECUTION_ROLE
from simulator.template import ROOT, Template, load
from tests.journeys.small import ALPHA, BETA, REGION, Play, opened

TEMPLATE = ROOT / "examples/runbook/template.yaml"


def deploy(play: Play, account: str, *, lent: bool = True) -> None:
    """The stack of the example in an account: its document, and what it lends the account's execution role."""
    sample.deploy(play.world, TEMPLATE, account, REGION)
    made = Template(load(TEMPLATE), account, REGION, {"HomeRegion": REGION, "ExecutionRoleName": EXECUTION_ROLE})
    (policy,) = made.of_type("AWS::IAM::RolePolicy").values()
    if lent:
        play.powers.lend(account, policy["RoleName"], policy["PolicyDocument"])


def patched(play: Play) -> Run:
    sample.deploy(play.world, TEMPLATE, sample.HUB, REGION)
    play.put(runbook="Acme-Patch", targetParameterName="InstanceId")
    play.run(hours=8)
    return play.runs()[0].run


def test_it_patches_under_the_policies_of_the_spoke_and_its_own() -> None:
    with opened(parameters={"OwnRunbooks": "Acme-Patch"}) as play:
        for account in (ALPHA, BETA):
            deploy(play, account)
        run = patched(play)
        assert run.state is RunState.SUCCEEDED
        assert set(play.outcomes(run.id).values()) == {"compliant"}
        assert not play.powers.refused
        play.prove()


def test_without_the_document_an_account_says_that_its_role_cannot_be_assumed() -> None:
    """AWS's own words, of a role that is as it should be: docs/deploy.md tells people to look for the document."""
    with opened(parameters={"OwnRunbooks": "Acme-Patch"}) as play:
        deploy(play, ALPHA)
        run = patched(play)
        assert run.state is RunState.FAILED
        assert play.patched() == ["a-1", "a-2"]
        assert untouched(play, run, "unable to be assumed")
        assert not play.powers.refused


def test_without_what_the_role_needs_an_account_says_so() -> None:
    with opened(parameters={"OwnRunbooks": "Acme-Patch"}) as play:
        deploy(play, ALPHA)
        deploy(play, BETA, lent=False)
        run = patched(play)
        assert play.patched() == ["a-1", "a-2"]
        assert untouched(play, run, "not authorized to perform: ssm:StartAutomationExecution")


def untouched(play: Play, run: Run, words: str) -> bool:
    """Whether nothing was sent to the second account's instances, and their rows have these words."""
    rows = [row for row in play.rows(run.id).values() if row["account"] == BETA]
    return len(rows) == 2 and all(row["outcome"] == "notStarted" and words in row["sentence"] for row in rows)
