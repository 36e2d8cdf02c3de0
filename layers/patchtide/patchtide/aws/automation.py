"""SSM Automation in the hub. What is documented and what is not: shared facts, `docs/decisions/` where it decided something."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from patchtide.aws.faults import asking
from patchtide.core.campaign import Runbook
from patchtide.core.errors import Refused
from patchtide.core.location import Location
from patchtide.core.request import start_tag
from patchtide.core.run import RunbookFacts
from patchtide.core.view import LocationStep, View

if TYPE_CHECKING:
    from types_boto3_ssm import SSMClient

# The 19 words of AutomationExecutionStatus that end something; a word unknown to us does not.
OVER = frozenset(
    {
        "Success",
        "TimedOut",
        "Cancelled",
        "Failed",
        "Rejected",
        "ChangeCalendarOverrideRejected",
        "CompletedWithSuccess",
        "CompletedWithFailure",
        "Exited",
    }
)
SHARED_AT_ONCE = 20  # ModifyDocumentPermissionRequest.AccountIdsToAdd
_UUID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")


class Automation:
    """SSM Automation in the hub."""

    def __init__(self, client: SSMClient) -> None:
        self.client = client

    def runbook(self, runbook: Runbook) -> RunbookFacts:
        """What AWS knows of the runbook. Raises Refused when it is not there, or not an Automation runbook."""
        with asking(f"find the runbook {runbook.name}"):
            document = self.client.describe_document(Name=runbook.name, DocumentVersion=runbook.version)["Document"]
        if document.get("DocumentType") != "Automation":
            kind = document.get("DocumentType", "unknown")
            raise Refused(
                "find the runbook", "InvalidDocumentType", f"{runbook.name} is a {kind} document, not Automation"
            )
        names = tuple(parameter["Name"] for parameter in document.get("Parameters", []) if "Name" in parameter)
        version = document.get("DocumentVersion", runbook.version)
        return RunbookFacts(version, document.get("Hash", ""), names)

    def share(self, runbook: str, accounts: Iterable[str]) -> None:
        """Have these accounts see a runbook of the hub's, in its Region. Whoever sees it already still does. Raises Refused where
        AWS will not, as beyond a thousand accounts."""
        waiting = sorted(accounts)
        for first in range(0, len(waiting), SHARED_AT_ONCE):
            with asking(f"share {runbook}"):
                self.client.modify_document_permission(
                    Name=runbook, PermissionType="Share", AccountIdsToAdd=waiting[first : first + SHARED_AT_ONCE]
                )

    def start(self, request: str) -> str:
        """The id of the execution that the rendered request started, now or when it was sent before."""
        with asking("start the execution"):
            return self.client.start_automation_execution(**json.loads(request))["AutomationExecutionId"]

    def find(self, token: str) -> str | None:
        """The id of the execution that carries this start's tag, or None when there is none."""
        with asking("find the execution by its tag"):
            pages = self.client.get_paginator("describe_automation_executions").paginate(
                Filters=[{"Key": "TagKey", "Values": [start_tag(token)]}]
            )
            for page in pages:
                for found in page["AutomationExecutionMetadataList"]:
                    return found["AutomationExecutionId"]
        return None

    def look(self, execution: str) -> View:
        """One call, unless `steps` is asked and there are more than the answer holds."""
        with asking(f"look at {execution}"):
            answer = self.client.get_automation_execution(AutomationExecutionId=execution)
        seen: Mapping[str, Any] = answer["AutomationExecution"]
        status = seen.get("AutomationExecutionStatus", "Unknown")
        return View(
            status=status,
            over=status in OVER,
            mark=_mark(seen),
            reason=seen.get("FailureMessage", ""),
            steps=lambda: tuple(step for raw in self._steps(execution, seen) for step in _location_step(raw)),
        )

    def stop(self, execution: str) -> None:
        """Have it stop; it may take its time. One that is over already, or gone, is stopped enough."""
        with asking(f"stop {execution}"):
            try:
                self.client.stop_automation_execution(AutomationExecutionId=execution, Type="Cancel")
            except ClientError as error:
                code = error.response["Error"]["Code"]
                if code not in ("InvalidAutomationStatusUpdateException", "AutomationExecutionNotFoundException"):
                    raise

    def _steps(self, execution: str, seen: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        if not seen.get("StepExecutionsTruncated"):
            return list(seen.get("StepExecutions", []))
        with asking(f"list the steps of {execution}"):
            pages = self.client.get_paginator("describe_automation_step_executions").paginate(
                AutomationExecutionId=execution
            )
            return [step for page in pages for step in page["StepExecutions"]]


def _mark(seen: Mapping[str, Any]) -> str:
    """What changes whenever a location ends: the counters, or the steps themselves where AWS gives no counters."""
    counters = seen.get("ProgressCounters")
    if counters:
        shown = "/".join(
            str(counters.get(f"{name}Steps", 0)) for name in ("Success", "Failed", "Cancelled", "TimedOut")
        )
    else:
        shown = "/".join(step.get("StepStatus", "?") for step in seen.get("StepExecutions", []))
    return f"{seen.get('AutomationExecutionStatus')} {shown}"


def _location_step(step: Mapping[str, Any]) -> tuple[LocationStep, ...]:
    """The step as what it says of its location. A step that names no location (the runbook's own) says nothing.

    Outputs of a step that has not run hold a sentence where the id would be, so an id must look like one.
    """
    where = step.get("TargetLocation") or {}
    accounts, regions = where.get("Accounts") or [], where.get("Regions") or []
    if len(accounts) != 1 or len(regions) != 1:
        return ()
    status = step.get("StepStatus", "Unknown")
    ids = step.get("Outputs", {}).get("ExecutionId", [])
    child = next((found for found in ids if _UUID.match(found)), None)
    return (
        LocationStep(Location(accounts[0], regions[0]), status, status in OVER, child, step.get("FailureMessage", "")),
    )
