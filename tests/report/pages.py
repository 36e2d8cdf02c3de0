"""Reports of made-up runs, of any size and with everything in them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from patchtide.core.campaign import Campaign, PatchException, Target, Wave
from patchtide.core.compliance import Compliance
from patchtide.core.history import Point
from patchtide.core.outcome import Cause, Outcome, Patch
from patchtide.core.report import page
from patchtide.core.report.figures import Figures, Row
from patchtide.core.run import Approval, Run, WaveRun
from patchtide.core.states import RunState, WaveState
from tests.values import a_run

START = datetime(2026, 12, 12, 22, 0, tzinfo=UTC)
NAMES = {f"{number:012d}": f"team-{number:03d}-production" for number in range(1, 301)}
BAD = (
    (Outcome.FAILED, Cause.DISK_FULL, "no space left on the disk (exit code 155)"),
    (Outcome.FAILED, Cause.REPO, "its package source or the patch payload could not be reached (exit code 156)"),
    (Outcome.UNREACHABLE, Cause.AGENT_LOST, "the command never reached it before delivery closed"),
    (
        Outcome.UNVERIFIED,
        Cause.OVERWRITTEN,
        "its patch state was written by something else: Scan of 22:31Z, snapshot 5eeda5ca",
    ),
    (Outcome.NON_COMPLIANT, Cause.MISSING, "3 patches count against its baseline"),
    (Outcome.PENDING_REBOOT, Cause.PENDING_REBOOT, "4 patches wait for a reboot"),
    (Outcome.NOT_STARTED, Cause.WINDOW_CLOSED, "the window closed before it was its turn"),
    (Outcome.GONE, Cause.GONE, "it was terminated during the run, and left no evidence"),
)
LEGACY = PatchException(
    "the vendor supports no newer kernel",
    "jane@example.com",
    date(2027, 3, 31),
    (Target("tag:Legacy", ("yes",)),),
    ticket="CHG0012345",
)
HOSTILE = "<script>alert(1)</script>{{ 7*7 }}"


def rows(count: int, bad: float = 0.3, accounts: int = 40) -> Iterator[Row]:
    """Rows of so many instances, of which a share did not come out right, every one in its own words."""
    names = list(NAMES)[:accounts]
    for number in range(count):
        row = {
            "kind": "instance",
            "wave": ("canary", "early", "broad")[min(2, number * 10 // count)],
            "account": names[number % accounts],
            "region": ("eu-west-1", "eu-west-2")[number % 2],
            "instance": f"i-{number:017x}",
            "name": f"web-{number:06d}" if number else HOSTILE,
            "platform": "Amazon Linux 2023" if number % 3 else "Microsoft Windows Server 2022 Datacenter 10.0.20348",
            "readAt": "2026-12-13T01:00:00Z",
        }
        if number % 100 < 100 * bad:
            outcome, cause, sentence = BAD[number % len(BAD)]
            row |= {"outcome": outcome.value, "cause": cause.value, "sentence": f"{sentence}, {number}", "failed": "2"}
        elif number % 50 == 49:
            row |= {"outcome": Outcome.EXCLUDED.value, "cause": Cause.EXCEPTED.value, "sentence": str(LEGACY)}
        else:
            row |= {"outcome": Outcome.COMPLIANT.value, "installed": "124"}
        yield row


def figures(count: int, bad: float = 0.3, accounts: int = 40) -> Figures:
    """The figures of a fleet of that size, with locations out of reach, patches and late joiners."""
    made = Figures()
    for number, account in enumerate(list(NAMES)[:accounts]):
        for region in ("eu-west-1", "eu-west-2"):
            where = {
                "kind": "location",
                "wave": "broad",
                "account": account,
                "accountName": NAMES[account],
                "region": region,
            }
            out = number % 10 == 9
            sentence = f"arn:aws:iam::{account}:role/Patchtide-Collector cannot be assumed" if out else ""
            made.add_location(where | {"cause": "ROLE_DENIED" if out else "", "sentence": sentence})
    for row in rows(count, bad, accounts):
        made.add(row)
        if row.get("cause") == Cause.MISSING:
            made.add_patches(Patch(f"package-{n}", f"p{n}", "Missing", "Critical", "Security") for n in range(60))
    made.add_joined({**next(rows(1)), "kind": "joined"})
    return made


def run() -> Run:
    """A run of three waves that came to an end."""
    approved = Approval("arn:aws:sts::999900001111:assumed-role/Operators/jane@example.com", START, "abc123")
    waves = tuple(
        WaveRun(name, state=WaveState.SETTLED, approved=approved if name == "broad" else None)
        for name in ("canary", "early", "broad")
    )
    made = a_run("prod-linux-monthly", START, START, waves)
    return replace(
        made,
        state=RunState.FAILED,
        started_at=START,
        ended_at=START + timedelta(hours=4),
        author="arn:aws:sts::999900001111:assumed-role/Platform/joe@example.com",
        seal="0" * 64,
        audited=12,
    )


def spec() -> Campaign:
    """Its campaign, with an exception."""
    waves = tuple(
        Wave(name, (Target("tag:PatchGroup", ("prod",)),), (), "10%", "5%") for name in ("canary", "early", "broad")
    )
    return Campaign(
        "prod-linux-monthly",
        ("ou-ab12-prodprod",),
        ("eu-west-1",),
        waves,
        timedelta(hours=5),
        description="Monthly OS patching, production",
        owner="platform-team@example.com",
        exceptions=(LEGACY,),
    )


def trend() -> list[Point]:
    """A year of monthly runs, one of which had nothing to patch."""
    points = []
    for month in range(1, 13):
        at = datetime(2026, month, 10, 22, tzinfo=UTC)
        known = Compliance(200, 2, 150 + 4 * month) if month != 6 else Compliance()
        points.append(
            Point(
                f"prod-{at:%Y%m%d}",
                "prod-linux-monthly",
                at,
                "failed",
                "Install",
                known,
                {"compliant": 190, "failed": 10},
            )
        )
    return points


def written(count: int, bad: float = 0.3, accounts: int = 40) -> str:
    """The page about such a run."""
    into = io.StringIO()
    made = figures(count, bad, accounts)
    page.write(into, page.of_run(run(), spec(), made, trend(), ["The rows do not add up: an example."], START))
    return into.getvalue()
