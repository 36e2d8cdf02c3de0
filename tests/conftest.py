"""What every test stands on: no credentials of anybody's, no Region by accident, and the time zones that are deployed."""

import zoneinfo

import pytest

zoneinfo.reset_tzpath(to=())  # the locked tzdata, as in the functions, and not whatever this machine has


@pytest.fixture(autouse=True)
def nobodys_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "999900001111")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCOUNT_ID_ENDPOINT_MODE", "disabled")
    monkeypatch.setenv("POWERTOOLS_LOG_LEVEL", "CRITICAL")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say aloud that the tests which open a browser were skipped."""
    skipped = (report.longrepr for report in terminalreporter.stats.get("skipped", ()))
    reasons = {place[2].removeprefix("Skipped: ") for place in skipped if isinstance(place, tuple)}
    for reason in sorted(reason for reason in reasons if reason.startswith("chromium is not installed")):
        terminalreporter.write_line(reason, yellow=True)
