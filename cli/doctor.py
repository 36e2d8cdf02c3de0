"""`patchtide doctor`: what is wrong with the service itself, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from cli.console import Exit, now, write, write_table
from cli.hub import Hub, client, online, parameter, physical

if TYPE_CHECKING:
    from patchtide.aws.health import Finding


@online
def doctor(at: Hub) -> None:
    """Look at everything that must be right for patching to happen and to be heard of; each finding with its fix.

    Exits with 1 when anything is wrong.
    """
    from patchtide.aws import clients
    from patchtide.aws.health import Health, as_row

    health = Health(
        sts=clients.sts(),
        ssm=clients.ssm(),
        sns=clients.sns(),
        sqs=clients.sqs(),
        s3=clients.s3(),
        cloudwatch=clients.cloudwatch(),
        kms=client("kms"),
        quotas=client("service-quotas"),
        own_runbooks=lambda: filter(None, parameter(at.stack, "OwnRunbooks").split(",")),
        items=at.items,
        registry=at.registry,
        runs=at.runs,
        switch=at.switch,
        stack=at.stack,
        resource=lambda name: physical(at.stack, name),
        now=now,
    )
    found = list(health.findings())
    write([as_row(finding) for finding in found], lambda: _draw(found))
    if any(finding.state == "fail" for finding in found):
        raise typer.Exit(Exit.ERROR)


def _draw(found: list[Finding]) -> None:
    worst = {"fail": 0, "warn": 1, "unknown": 2, "ok": 3}
    ordered = sorted(found, key=lambda finding: worst[finding.state])
    write_table(("state", "what", "said", "fix"), [(one.state, one.what, one.said, one.fix) for one in ordered])
