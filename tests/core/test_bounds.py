"""What a stack does not allow is refused by its own code, and with whom to ask."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from patchtide.core.bounds import OURS, Bounds, beyond
from patchtide.core.campaign import Campaign
from patchtide.core.document import read
from patchtide.core.override import Override, named
from simulator import sample
from simulator.clock import PacedClock
from simulator.fleet import Organization
from simulator.memory import Memory
from simulator.world import World

NOW = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
DIGEST = "5e" * 32
SHARED = "arn:aws:ssm:eu-west-1:444455556666:document/Shared-Patch"
ROLE = "AWS-SystemsManager-AutomationExecutionRole"
BOUNDS = Bounds(frozenset({"Acme-Patch", f"Acme-Pinned@{DIGEST}", f"{SHARED}@{DIGEST}"}), ROLE, "reports")
ITEM: Mapping[str, Any] = {
    "campaign": "dev-weekly",
    "schedule": "cron(0 22 ? * SAT *)",
    "duration": 4,
    "accounts": ["111122223333"],
    "regions": ["eu-west-1"],
    "targets": "tag:PatchGroup=dev",
}


def campaign(**changes: Any) -> Campaign:
    return read({**ITEM, **changes}, now=NOW).valid()


@pytest.mark.parametrize("runbook", [*sorted(OURS), "Acme-Patch", "Acme-Pinned", SHARED])
def test_ours_and_the_stacks_own_runbooks_are_allowed(runbook: str) -> None:
    assert beyond(campaign(runbook=runbook), BOUNDS) == ()


def test_what_is_allowed_has_its_own_role_and_its_own_bucket() -> None:
    url = f"s3://reports/overrides/{DIGEST}.yaml"
    assert beyond(campaign(executionRoleName=ROLE, installOverrideList=url), BOUNDS) == ()


def test_without_bounds_everything_is_allowed() -> None:
    free = campaign(
        runbook="AWS-RunShellScript", executionRoleName="Admin", installOverrideList="https://evil.example/x"
    )
    assert beyond(free, Bounds()) == ()


@pytest.mark.parametrize(
    "runbook",
    [
        "AWS-RunShellScript",
        "Acme-Patch2",
        "acme-patch",
        "Patchtide-PatchFleet2",
        "patchtide-patchfleet",
        DIGEST,
        "arn:aws:ssm:eu-west-1:444455556666:document/Acme-Patch",
        "arn:aws:ssm:eu-west-1:444455556666:document/Patchtide-PatchFleet",
        SHARED.replace("4444", "9999"),
        SHARED.replace("eu-west-1", "us-east-1"),
    ],
)
def test_any_other_runbook_is_refused_by_name(runbook: str) -> None:
    (problem,) = beyond(campaign(runbook=runbook), BOUNDS)
    assert (problem.path, problem.code, problem.value) == ("runbook", "not-allowed", runbook)
    assert problem.hint == "Ask whoever runs the stack to add it to OwnRunbooks"
    assert runbook[:30] in problem.message


@pytest.mark.parametrize("role", ["Admin", "OrganizationAccountAccessRole", f"team/{ROLE}", ROLE.lower(), f"{ROLE}2"])
def test_any_other_role_is_refused(role: str) -> None:
    (problem,) = beyond(campaign(executionRoleName=role), BOUNDS)
    assert (problem.path, problem.code, problem.value) == ("executionRoleName", "not-allowed", role)
    assert ROLE in problem.hint


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/list.yaml",
        f"https://reports.s3.amazonaws.com/overrides/{DIGEST}.yaml",
        f"s3://others/overrides/{DIGEST}.yaml",
        f"s3://reports2/overrides/{DIGEST}.yaml",
        f"s3://reports/{DIGEST}.yaml",
        f"s3://reports/overrides/{DIGEST[:-1]}.yaml",
        f"s3://reports/overrides/{DIGEST}0.yaml",
        f"s3://reports/overrides/{DIGEST.upper()}.yaml",
        f"s3://reports/overrides/{DIGEST}.yaml.json",
        f"s3://reports/overrides/{DIGEST}.yaml?versionId=1",
        f"s3://reports/overrides/../overrides/{DIGEST}.yaml",
        f"s3://reports//overrides/{DIGEST}.yaml",
        f"s3://reports/overrides%2F{DIGEST}.yaml",
        f"s3://reports@evil/overrides/{DIGEST}.yaml",
        "s3://reports/runs/latest.yaml",
    ],
)
def test_any_other_list_is_refused(url: str) -> None:
    (problem,) = beyond(campaign(installOverrideList=url), BOUNDS)
    assert (problem.path, problem.code, problem.value) == ("installOverrideList", "not-allowed", url)
    assert "override put" in problem.hint


def test_all_of_it_is_told_at_once() -> None:
    asks = campaign(runbook="X-1", executionRoleName="Admin", installOverrideList="s3://x/y")
    assert [problem.path for problem in beyond(asks, BOUNDS)] == ["runbook", "executionRoleName", "installOverrideList"]


def test_a_pinned_runbook_has_one_content_and_any_other_has_what_it_has() -> None:
    for name in ("Acme-Pinned", SHARED):
        assert BOUNDS.another(name, DIGEST) == BOUNDS.another(name, DIGEST.upper()) == ""
        assert DIGEST in BOUNDS.another(name, "aa" * 32)
        assert BOUNDS.another(name, "")
    for name in ("Acme-Patch", *OURS):
        assert BOUNDS.another(name, "aa" * 32) == ""


def test_two_pins_allow_two_contents_as_while_one_takes_the_place_of_the_other() -> None:
    two = Bounds(frozenset({f"Acme@{DIGEST}", f"Acme@{'aa' * 32}"}))
    assert two.another("Acme", DIGEST) == two.another("Acme", "aa" * 32) == ""
    assert two.another("Acme", "bb" * 32)


def test_a_list_is_named_by_what_is_in_it() -> None:
    override = Override("reports", DIGEST)
    assert named(override.url) == override
    assert override.key == f"overrides/{DIGEST}.yaml"
    assert named(None) is named("s3://reports/list.yaml") is None


# --- where an item is read --------------------------------------------------------------------------------------------


@pytest.fixture
def memory() -> Memory:
    world = World(PacedClock(NOW, 1), Organization(sample.HUB, ["eu-west-1"], 1), 1)
    return Memory(world, bounds=BOUNDS)


def taken(memory: Memory, **changes: Any) -> Mapping[str, Any]:
    memory.put({**ITEM, "duration": 4, **changes})
    name = str(changes.get("campaign", ITEM["campaign"]))
    memory.take(name)
    return memory.item(name)


def test_intake_says_it_on_the_item_and_the_version_in_force_goes_on(memory: Memory) -> None:
    good = taken(memory)
    bad = taken(memory, runbook="AWS-RunShellScript")
    assert bad["status"] == "INVALID"
    (error,) = bad["statusDetail"]["errors"]
    assert (error["path"], error["code"]) == ("runbook", "not-allowed")
    assert "Version 1 stays in force." in bad["statusMessage"]
    assert bad["nextRunAt"] == good["nextRunAt"]
    registry = memory.intake().registry
    held = registry.get("dev-weekly")
    assert held
    assert registry.spec("dev-weekly", held.version).runbook.name in OURS
    assert memory.mails[-1].subject.startswith("[patch] INVALID")


def test_one_bad_item_stops_no_other(memory: Memory) -> None:
    memory.put({**ITEM, "campaign": "bad", "executionRoleName": "Admin"})
    memory.put({**ITEM, "campaign": "good"})
    memory.sweep()
    assert (memory.item("bad")["status"], memory.item("good")["status"]) == ("INVALID", "VALID")


def test_a_first_item_beyond_the_bounds_has_no_version_at_all(memory: Memory) -> None:
    assert taken(memory, installOverrideList="https://evil.example/x")["status"] == "INVALID"
    assert memory.intake().registry.get("dev-weekly") is None


def test_a_version_from_before_the_bounds_is_refused_when_its_run_is_prepared(memory: Memory) -> None:
    narrow, memory.bounds = memory.bounds, Bounds()
    assert taken(memory, schedule="at(2026-12-01T09:30:00)", runbook="Acme-Other")["status"] == "VALID"
    memory.bounds = narrow
    memory.kill()
    for _ in range(40):
        memory.world.clock.advance_to(memory.now() + timedelta(minutes=1))
        memory.dispatch()
    (run,) = memory.intake().registry.runs_of("dev-weekly", 5)
    dossier = memory.intake().runs.load(run)
    assert dossier.run.executions == ()
    assert "OwnRunbooks" in str(dossier.run.waves[0].reason)
