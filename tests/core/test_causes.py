"""From what AWS and package managers say to a cause: each line is what an instance or an API was seen to say."""

import pytest

from patchtide.core.causes import FIXES, explain, explain_ending, explain_location, explain_patch_state
from patchtide.core.outcome import Cause

SAID = [
    (155, "tar: Cannot write: No space left on device", Cause.DISK_FULL),
    (
        1,
        "Error: Transaction test error:\n  installing package needs 512MB more space on the / filesystem",
        Cause.DISK_FULL,
    ),
    (1, "E: You don't have enough free space in /var/cache/apt/archives/.", Cause.DISK_FULL),
    (1, "Error 0x80070070: There is not enough space on the disk.", Cause.DISK_FULL),
    (1, "Existing lock /var/run/yum.pid: another copy is running as pid 2112.", Cause.PKG_LOCK),
    (1, "Another app is currently holding the yum lock; waiting for it to exit...", Cause.PKG_LOCK),
    (1, "E: Could not get lock /var/lib/dpkg/lock-frontend", Cause.PKG_LOCK),
    (1, "System management is locked by the application with pid 3321 (zypper). zypp lock", Cause.PKG_LOCK),
    (1, "Installation failed, HRESULT 0x80240016", Cause.PKG_LOCK),
    (156, "Unable to download payload: https://s3.example/aws-ssm-eu-west-1/patchbaselineoperations", Cause.REPO),
    (256, "failure: repodata/repomd.xml from base: [Errno 256] No more mirrors to try.", Cause.REPO),
    (1, "Cannot find a valid baseurl for repo: base/7/x86_64", Cause.REPO),
    (100, "E: Failed to fetch http://archive.ubuntu.com/ubuntu/pool/main/o/openssl.deb 404 Not Found", Cause.REPO),
    (1, "Public key for kernel.rpm is not installed. GPG check FAILED", Cause.REPO),
    (4294967295, "Exception from HRESULT: 0x8024402C", Cause.REPO),
    (4294967295, "Exception from HRESULT: 0x80072EE2", Cause.REPO),
    (4294967295, "Exception from HRESULT: 0x80248007", Cause.WINDOWS_UPDATE),
    (4294967295, "", Cause.WINDOWS_UPDATE),
    (1, "The service cannot be started, HRESULT: 0x80070422", Cause.WINDOWS_UPDATE),
    (1, "Error: package httpd-core conflicts with mod_http2 < 2.0.26", Cause.PKG_CONFLICT),
    (1, "nothing provides libssl.so.3 needed by curl", Cause.PKG_CONFLICT),
    (100, "E: dpkg was interrupted, you must manually run 'sudo dpkg --configure -a'", Cause.PKG_CONFLICT),
    (126, "sh: /var/lib/amazon/ssm/i-0/document/orchestration/_script.sh: Permission denied", Cause.NOEXEC),
    (126, "", Cause.NOEXEC),
    (1, "An unsupported package manager and python version combination was found.", Cause.PYTHON),
    (127, "/usr/bin/env: python3: command not found", Cause.PYTHON),
    (137, "_script.sh: line 187: 21345 Killed", Cause.OUT_OF_MEMORY),
    (1, "fork: Cannot allocate memory", Cause.OUT_OF_MEMORY),
    (
        1,
        "An error occurred (AccessDeniedException): User is not authorized to perform: ssm:PutInventory",
        Cause.PROFILE_DENIED,
    ),
    (1, "An error occurred (ThrottlingException): Rate exceeded", Cause.THROTTLED),
    (155, "Unable to extract tar file /var/log/amazon/ssm/patch-baseline-operations-1.161.tar.gz", Cause.PAYLOAD),
    (152, "", Cause.PAYLOAD),
    (194, "", Cause.REBOOT_TIMEOUT),
    (3010, "", Cause.REBOOT_TIMEOUT),
    (1, "failed to run commands: exit status 1", Cause.OTHER),
]


@pytest.mark.parametrize(("code", "output", "cause"), SAID)
def test_what_an_instance_says_has_one_cause_with_a_sentence_and_a_fix(code: int, output: str, cause: Cause) -> None:
    found, sentence = explain("Failed", code, output)
    assert found == cause
    assert str(code) in sentence
    assert FIXES[found]


@pytest.mark.parametrize(
    ("details", "cause"),
    [
        ("Undeliverable", Cause.AGENT_LOST),
        ("Delivery Timed Out", Cause.AGENT_LOST),
        ("DeliveryTimedOut", Cause.AGENT_LOST),
        ("Execution Timed Out", Cause.TIMEOUT),
        ("Terminated", Cause.NOT_REACHED),
        ("Access Denied", Cause.ROLE_DENIED),
        ("Invalid Platform", Cause.OTHER),
        ("In Progress", Cause.AGENT_LOST),
    ],
)
def test_status_details_that_say_enough_need_no_output(details: str, cause: Cause) -> None:
    assert explain(details, None, "No space left on device")[0] == cause


def test_a_hook_that_failed_is_told_by_the_step_and_not_by_its_output() -> None:
    cause, sentence = explain("Failed", 1, "curl: command not found", "PreInstallHook")
    assert cause == Cause.HOOK_FAILED
    assert "PreInstallHook" in sentence


def test_failed_patches_are_counted_in_words() -> None:
    assert explain_patch_state(1, "")[1].startswith("1 patch failed")
    assert explain_patch_state(3, "No space left on device") == (
        Cause.DISK_FULL,
        "3 patches failed: no space left on the disk",
    )


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("The execution role arn:aws:iam::1:role/x in the target location is unable to be assumed.", Cause.ROLE_DENIED),
        ("Document Patchtide-PatchFleet does not exist in this account", Cause.NOT_SHARED),
        ("The resource group web does not exist.", Cause.GROUP_MISSING),
        ("AutomationExecutionLimitExceededException: too many", Cause.QUOTA),
        ("Rate exceeded", Cause.THROTTLED),
        ("Step patch failed", None),
        ("", None),
    ],
)
def test_why_a_location_was_never_begun_is_told_by_automations_sentence(reason: str, cause: Cause | None) -> None:
    assert explain_ending(reason) == cause


@pytest.mark.parametrize(
    ("code", "message", "cause"),
    [
        (
            "AccessDenied",
            "not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::1:role/R",
            Cause.ROLE_DENIED,
        ),
        ("InvalidClientTokenId", "The security token included in the request is invalid", Cause.REGION_DISABLED),
        ("OptInRequired", "You are not subscribed to this service", Cause.REGION_DISABLED),
        ("NotFoundException", "Cannot find group: web", Cause.GROUP_MISSING),
        ("Throttling", "Rate exceeded", Cause.THROTTLED),
        ("Weird", "what is this", Cause.UNREADABLE),
    ],
)
def test_why_a_location_cannot_be_asked_is_told_by_the_error(code: str, message: str, cause: Cause) -> None:
    found, sentence = explain_location(code, message)
    assert found == cause
    assert sentence


def test_every_cause_has_a_fix_that_fits_into_a_mail() -> None:
    assert set(FIXES) == set(Cause) - {Cause.NONE}
    assert not {cause: fix for cause, fix in FIXES.items() if not 0 < len(fix) <= 48}
