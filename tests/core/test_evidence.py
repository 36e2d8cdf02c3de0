"""What may be believed about an instance."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from patchtide.core.causes import FIXES, explain_location
from patchtide.core.evidence import Ending, Expectation, Invocation, PatchState, judge
from patchtide.core.outcome import Cause, Instance, Outcome, Result

STARTED = datetime(2026, 12, 12, 22, tzinfo=UTC)
EXPECTED = Expectation("11111111-2222-5333-8444-555555555555", "Install", STARTED)
NODE = Instance("i-0123456789abcdef0", "web-7", "Amazon Linux 2023", "Online")
OK = Ending("Success")
STATE = PatchState(NODE.id, "Install", STARTED + timedelta(minutes=20), EXPECTED.snapshot or "", installed=12)
FAILED = Invocation(NODE.id, "Failed", "Failed", 155, "")


def of(
    state: PatchState | None = STATE,
    invocation: Invocation | None = None,
    ending: Ending = OK,
    node: Instance = NODE,
    expected: Expectation = EXPECTED,
) -> tuple[Outcome, Cause]:
    result = judge(node, state, invocation, ending, expected)
    return result.outcome, result.cause


def test_our_own_complete_patch_state_is_compliance() -> None:
    assert of() == (Outcome.COMPLIANT, Cause.NONE)


@pytest.mark.parametrize(
    ("change", "outcome", "cause"),
    [
        ({"failed": 1}, Outcome.FAILED, Cause.PATCH_FAILED),
        ({"pending_reboot": 2}, Outcome.PENDING_REBOOT, Cause.PENDING_REBOOT),
        ({"missing": 1}, Outcome.NON_COMPLIANT, Cause.MISSING),
        ({"rejected": 1}, Outcome.NON_COMPLIANT, Cause.MISSING),
        ({"security_non_compliant": 1}, Outcome.NON_COMPLIANT, Cause.MISSING),
        ({"snapshot": "99999999-2222-5333-8444-555555555555"}, Outcome.UNVERIFIED, Cause.OVERWRITTEN),
        ({"snapshot": ""}, Outcome.UNVERIFIED, Cause.OVERWRITTEN),
        ({"operation": "Scan"}, Outcome.UNVERIFIED, Cause.OVERWRITTEN),
        ({"operation_end_at": STARTED - timedelta(seconds=1)}, Outcome.UNVERIFIED, Cause.NO_EVIDENCE),
        ({"missing": -1}, Outcome.UNVERIFIED, Cause.SCAN_BROKEN),
        ({"operation_end_at": datetime(1970, 1, 1, tzinfo=UTC)}, Outcome.UNVERIFIED, Cause.SCAN_BROKEN),
    ],
)
def test_a_patch_state_is_read_for_what_it_is(change: dict[str, object], outcome: Outcome, cause: Cause) -> None:
    assert of(replace(STATE, **change)) == (outcome, cause)  # type: ignore[arg-type]


def test_no_patch_state_is_not_compliance_whatever_ssm_says() -> None:
    assert of(None, Invocation(NODE.id, "Success", "Success", 0)) == (Outcome.UNVERIFIED, Cause.NO_EVIDENCE)
    assert of(None) == (Outcome.UNVERIFIED, Cause.NO_EVIDENCE)


def test_a_false_failure_is_known_by_its_evidence() -> None:
    result = judge(NODE, STATE, Invocation(NODE.id, "Failed", "Failed", 1), OK, EXPECTED)
    assert (result.outcome, result.cause) == (Outcome.COMPLIANT, Cause.NONE)
    assert "SSM said Failed" in result.sentence


@pytest.mark.parametrize(
    ("invocation", "outcome", "cause"),
    [
        (replace(FAILED, output="tar: write error: No space left on device"), Outcome.FAILED, Cause.DISK_FULL),
        (FAILED, Outcome.FAILED, Cause.PAYLOAD),
        (replace(FAILED, exit_code=156), Outcome.FAILED, Cause.REPO),
        (
            replace(FAILED, exit_code=1, output="E: Could not get lock /var/lib/dpkg/lock"),
            Outcome.FAILED,
            Cause.PKG_LOCK,
        ),
        (replace(FAILED, exit_code=1, output="nothing provides libfoo"), Outcome.FAILED, Cause.PKG_CONFLICT),
        (replace(FAILED, exit_code=4294967295, output="HRESULT 0x8024402C"), Outcome.FAILED, Cause.REPO),
        (replace(FAILED, exit_code=1), Outcome.FAILED, Cause.OTHER),
        (replace(FAILED, status="TimedOut", details="Execution Timed Out"), Outcome.FAILED, Cause.TIMEOUT),
        (replace(FAILED, status="TimedOut", details="Delivery Timed Out"), Outcome.UNREACHABLE, Cause.AGENT_LOST),
        (replace(FAILED, details="Undeliverable"), Outcome.UNREACHABLE, Cause.AGENT_LOST),
        (replace(FAILED, status="Cancelled", details="Terminated"), Outcome.NOT_STARTED, Cause.NOT_REACHED),
        (Invocation(NODE.id, "Cancelled", "Cancelled"), Outcome.NOT_STARTED, Cause.WINDOW_CLOSED),
        (Invocation(NODE.id, "Cancelled", "Cancelled", begun=True), Outcome.UNVERIFIED, Cause.NO_EVIDENCE),
        (replace(FAILED, status="InProgress", details="InProgress"), Outcome.UNVERIFIED, Cause.AGENT_LOST),
    ],
)
def test_a_command_explains_what_evidence_does_not_show(invocation: Invocation, outcome: Outcome, cause: Cause) -> None:
    assert of(None, invocation) == (outcome, cause)


def test_what_a_person_took_back_says_who_and_why() -> None:
    stopped = replace(EXPECTED, withheld="stopped by boss: incident")
    result = judge(NODE, None, Invocation(NODE.id, "Cancelled", "Cancelled"), OK, stopped)
    assert (result.outcome, result.cause, result.sentence) == (
        Outcome.NOT_STARTED,
        Cause.WITHHELD,
        "stopped by boss: incident",
    )


def test_an_instance_that_another_run_has_is_excluded_whatever_is_known_of_it() -> None:
    result = judge(replace(NODE, held_by="other-run"), STATE, None, OK, EXPECTED)
    assert (result.outcome, result.cause, result.sentence) == (Outcome.EXCLUDED, Cause.HELD, "run other-run has it")


def test_an_instance_that_ssm_never_knew_is_unreachable() -> None:
    assert of(None, node=replace(NODE, ping="")) == (Outcome.UNREACHABLE, Cause.NOT_MANAGED)
    assert of(None, node=replace(NODE, ping="ConnectionLost")) == (Outcome.UNREACHABLE, Cause.AGENT_LOST)


def test_an_instance_that_was_sent_no_command_was_not_started() -> None:
    known = replace(EXPECTED, commands_known=True)
    assert of(None, ending=Ending("Cancelled"), expected=known) == (Outcome.NOT_STARTED, Cause.NOT_REACHED)
    assert of(None, ending=Ending("Cancelled")) == (Outcome.UNVERIFIED, Cause.NOT_REACHED)
    assert of(None, ending=OK, expected=known) == (Outcome.UNVERIFIED, Cause.NO_EVIDENCE)


@pytest.mark.parametrize("status", ["NotStarted", "NotAttempted", "Refused"])
def test_where_nothing_was_sent_nothing_was_started(status: str) -> None:
    assert of(None, ending=Ending(status, "why"))[0] is Outcome.NOT_STARTED


def test_evidence_counts_even_where_the_location_is_said_to_have_failed() -> None:
    assert of(ending=Ending("Failed", "one of 500")) == (Outcome.COMPLIANT, Cause.NONE)


def test_a_scan_that_reported_is_done_whatever_it_found() -> None:
    scan = replace(EXPECTED, operation="Scan")
    result: Result = judge(NODE, replace(STATE, operation="Scan", missing=9), None, OK, scan)
    assert (result.outcome, result.cause) == (Outcome.SCANNED, Cause.NONE)
    assert "9 missing" in result.sentence


def test_without_a_snapshot_of_ours_evidence_is_known_by_its_time() -> None:
    assert of(replace(STATE, snapshot="x"), expected=replace(EXPECTED, snapshot=None)) == (
        Outcome.COMPLIANT,
        Cause.NONE,
    )


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("AccessDenied", Cause.ROLE_DENIED),
        ("UnrecognizedClientException", Cause.REGION_DISABLED),
        ("ThrottlingException", Cause.THROTTLED),
        ("Whatever", Cause.UNREADABLE),
    ],
)
def test_a_location_out_of_reach_has_a_cause(code: str, cause: Cause) -> None:
    assert explain_location(code, "said AWS")[0] is cause


def test_a_role_that_cannot_be_assumed_is_named() -> None:
    said = (
        "User: arn:x is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::1:role/Patchtide-Collector"
    )
    cause, sentence = explain_location("AccessDenied", said)
    assert cause is Cause.ROLE_DENIED
    assert sentence.startswith("arn:aws:iam::1:role/Patchtide-Collector cannot be assumed")


def test_every_cause_has_a_fix() -> None:
    assert set(FIXES) == set(Cause) - {Cause.NONE}
