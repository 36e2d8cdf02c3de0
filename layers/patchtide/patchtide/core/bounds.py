"""What a stack lets a campaign ask for.

Whoever writes a campaign decides what runs as root on every server that it names: by its runbook, by the role that Automation
plays, by a list of packages. These three are for whoever runs the stack to say. What is theirs is known to the stack alone,
so a document that is read anywhere else is held against no bounds.
"""

from __future__ import annotations

from collections.abc import Iterator

from patchtide.core.campaign import BLOG_RUNBOOK, FLEET_RUNBOOK, INSTANCE_RUNBOOK, Campaign
from patchtide.core.frozen import frozen
from patchtide.core.override import named
from patchtide.core.problem import Problem, shown

OURS = frozenset({FLEET_RUNBOOK, INSTANCE_RUNBOOK, BLOG_RUNBOOK})
NOT_ALLOWED = "not-allowed"


@frozen
class Bounds:
    """What may be asked for. None sets no bound.

    `runbooks` are people's own, by name or, of a document that another account shares with the hub, by ARN. One with `@` and a
    SHA-256 behind it may have that content and no other.
    """

    runbooks: frozenset[str] | None = None
    execution_role: str | None = None
    bucket: str | None = None

    def allows(self, runbook: str) -> bool:
        """Whether a campaign may name the runbook."""
        own = self.runbooks
        return own is None or runbook in OURS or any(entry.partition("@")[0] == runbook for entry in own)

    def another(self, runbook: str, content: str) -> str:
        """Why a runbook with that content, by its SHA-256, may not be used; empty where it may."""
        pins = {digest for name, _, digest in self._entries if digest and name == runbook}
        if not pins or content.lower() in pins:
            return ""
        return f"the content of {runbook} has the hash {shown(content)}, OwnRunbooks allows {' or '.join(sorted(pins))}"

    @property
    def _entries(self) -> Iterator[tuple[str, str, str]]:
        return (entry.partition("@") for entry in self.runbooks or ())


def beyond(campaign: Campaign, bounds: Bounds) -> tuple[Problem, ...]:
    """Everything that the campaign asks for and the stack does not allow."""
    return tuple(_beyond(campaign, bounds))


def _beyond(campaign: Campaign, bounds: Bounds) -> Iterator[Problem]:
    name = campaign.runbook.name
    if not bounds.allows(name):
        message = f"{shown(name)} is neither one of Patchtide's runbooks nor in the stack's OwnRunbooks"
        yield Problem("runbook", NOT_ALLOWED, message, "Ask whoever runs the stack to add it to OwnRunbooks", name)
    role = campaign.execution_role
    if bounds.execution_role is not None and role != bounds.execution_role:
        message = f"{shown(role)} is not the stack's ExecutionRoleName, {bounds.execution_role}"
        hint = f"Write {bounds.execution_role}: another role is for whoever runs the stack and its spokes to say"
        yield Problem("executionRoleName", NOT_ALLOWED, message, hint, role)
    url = campaign.install_override_list
    if url is not None and bounds.bucket is not None and not _in_bucket(url, bounds.bucket):
        message = f"{shown(url)} is not s3://{bounds.bucket}/overrides/ and the SHA-256 of its content"
        hint = "Upload it by `patchtide override put FILE`, and write the URL that it prints"
        yield Problem("installOverrideList", NOT_ALLOWED, message, hint, url)


def _in_bucket(url: str, bucket: str) -> bool:
    override = named(url)
    return override is not None and override.bucket == bucket
