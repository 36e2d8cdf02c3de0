"""What can be wrong with the service itself, seen from where its operator stands: each finding with what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal

from patchtide.aws.faults import asking
from patchtide.aws.items import Items
from patchtide.aws.runs import Registry, Runs
from patchtide.aws.service import Switch
from patchtide.core.causes import FIXES
from patchtide.core.errors import CloudError
from patchtide.core.frozen import frozen
from patchtide.core.outcome import Cause

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from types_boto3_cloudwatch import CloudWatchClient
    from types_boto3_kms import KMSClient
    from types_boto3_s3 import S3Client
    from types_boto3_service_quotas import ServiceQuotasClient
    from types_boto3_sns import SNSClient
    from types_boto3_sqs import SQSClient
    from types_boto3_ssm import SSMClient
    from types_boto3_sts import STSClient

SKEW = timedelta(seconds=60)
RUNBOOKS = ("Patchtide-PatchFleet", "Patchtide-PatchInstance", "Automation-RunPatchBaseline")
CONCURRENT_AUTOMATIONS = "L-09101E66"  # the quota's code: concurrently executing automations of an account and Region
SEEN_AT_ONCE = 20  # accounts that one answer names of those a document is shared with
TOPICS = ("AlertsTopic", "AlarmsTopic")
DEAD_LETTERS = ("CollectorDeadLetters", "ReporterDeadLetters", "IntakeDeadLetters", "TickDeadLetters")
State = Literal["ok", "warn", "fail", "unknown"]


@frozen
class Finding:
    """What was looked at, how it stands, what was seen, and what to do where it does not stand well."""

    what: str
    state: State
    said: str
    fix: str = ""


@frozen
class Health:
    """What is looked at. `resource` finds the physical id of one of the stack's resources."""

    sts: STSClient
    ssm: SSMClient
    sns: SNSClient
    sqs: SQSClient
    s3: S3Client
    cloudwatch: CloudWatchClient
    kms: KMSClient
    quotas: ServiceQuotasClient
    own_runbooks: Callable[[], Iterable[str]]
    items: Items
    registry: Registry
    runs: Runs
    switch: Switch
    stack: str
    resource: Callable[[str], str]
    now: Callable[[], datetime]

    def findings(self) -> Iterator[Finding]:
        """Every finding, one thing after the other: what cannot be looked at is told, and stops nothing."""
        for what, look in self._looks():
            try:
                yield from look()
            except CloudError as error:
                yield Finding(what, "unknown", str(error), f"let whoever runs this see it ({error.code})")

    def _looks(self) -> tuple[tuple[str, Callable[[], Iterator[Finding]]], ...]:
        return (
            ("credentials", self._identity),
            ("switch", self._switch),
            ("heartbeat and alarms", self._alarms),
            ("dead letters", self._letters),
            ("subscriptions", self._subscriptions),
            ("runbooks", self._runbooks),
            ("own runbooks", self._own_runbooks),
            ("bucket", self._bucket),
            ("key", self._key),
            ("quota", self._quota),
            ("campaigns", self._campaigns),
            ("accounts and instances", self._last_runs),
        )

    def _identity(self) -> Iterator[Finding]:
        with asking("ask who you are"):
            said = self.sts.get_caller_identity()
        yield Finding("credentials", "ok", said["Arn"])
        told = said["ResponseMetadata"]["HTTPHeaders"].get("date", "")
        if not told:
            return
        skew = abs(self.now() - parsedate_to_datetime(told).astimezone(UTC))
        fine = skew <= SKEW
        fix = "" if fine else "set this machine's clock: schedules and windows are read by it"
        yield Finding("clock", "ok" if fine else "fail", f"{skew.total_seconds():.0f} s from AWS's", fix)

    def _switch(self) -> Iterator[Finding]:
        pause = self.switch.read()
        yield (
            Finding("switch", "warn", str(pause), "patchtide resume-all")
            if pause.on
            else Finding("switch", "ok", "nothing is paused")
        )

    def _alarms(self) -> Iterator[Finding]:
        with asking("read the alarms"):
            pages = self.cloudwatch.get_paginator("describe_alarms").paginate(AlarmNamePrefix=f"{self.stack}-")
            alarms = [alarm for page in pages for alarm in page["MetricAlarms"]]
        if not alarms:
            yield Finding("alarms", "fail", f"none begins with {self.stack}-", "deploy the stack anew")
        for alarm in alarms:
            if alarm["StateValue"] == "ALARM":
                yield Finding(alarm["AlarmName"], "fail", alarm.get("AlarmDescription", ""), "see its function's log")
        quiet = sum(alarm["StateValue"] != "ALARM" for alarm in alarms)
        if quiet:
            yield Finding("alarms", "ok", f"{quiet} of {len(alarms)} are quiet")

    def _letters(self) -> Iterator[Finding]:
        for name in DEAD_LETTERS:
            with asking(f"look at {name}"):
                told = self.sqs.get_queue_attributes(
                    QueueUrl=self.resource(name), AttributeNames=["ApproximateNumberOfMessages"]
                )
            count = int(told["Attributes"]["ApproximateNumberOfMessages"])
            fix = "look at that function's log, then redrive the queue" if count else ""
            yield Finding(name, "fail" if count else "ok", f"{count} messages", fix)

    def _subscriptions(self) -> Iterator[Finding]:
        for topic in TOPICS:
            with asking(f"list the subscriptions of {topic}"):
                pages = self.sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=self.resource(topic))
                found = [one for page in pages for one in page["Subscriptions"]]
            waiting = [one for one in found if one["SubscriptionArn"] in ("PendingConfirmation", "Deleted")]
            heard = len(found) - len(waiting)
            for one in waiting:
                fix = "answer the mail that asks to confirm, or subscribe anew"
                yield Finding(topic, "warn", f"{one['Endpoint']} is {one['SubscriptionArn']}", fix)
            fix = "" if heard else f"subscribe whoever is on call to {topic}, and confirm it"
            yield Finding(topic, "ok" if heard else "fail", f"{heard} confirmed", fix)

    def _runbooks(self) -> Iterator[Finding]:
        for name in RUNBOOKS:
            with asking(f"look at {name}"):
                told = self.ssm.describe_document(Name=name)["Document"]
            fine = told.get("Status") == "Active"
            yield Finding(name, "ok" if fine else "fail", f"version {told.get('DefaultVersion')}, {told.get('Status')}")

    def _own_runbooks(self) -> Iterator[Finding]:
        """People's own, as the stack's OwnRunbooks has them: whether each is there, as it must be, and who else sees it."""
        for entry in self.own_runbooks():
            name, _, pin = entry.partition("@")
            with asking(f"look at {name}"):
                told = self.ssm.describe_document(Name=name)["Document"]
            if pin and told.get("Hash", "").lower() != pin:
                fix = "put its content back, or the new hash into OwnRunbooks: no run may use it as it is"
                yield Finding(name, "fail", f"its hash is {told.get('Hash')}, OwnRunbooks allows {pin}", fix)
            elif told.get("Status") != "Active":
                yield Finding(name, "fail", f"it is {told.get('Status')}", "see AWS Systems Manager, Documents")
            else:
                yield Finding(name, "ok", f"version {told.get('DefaultVersion')}, {self._who_sees(name)}")

    def _who_sees(self, name: str) -> str:
        if name.startswith("arn:"):
            return "shared with the hub"
        with asking(f"look with whom {name} is shared"):
            shared = self.ssm.describe_document_permission(Name=name, PermissionType="Share")["AccountIds"]
        more = " or more" if len(shared) == SEEN_AT_ONCE else ""
        return (
            f"shared with {len(shared)}{more} accounts"
            if shared
            else "not shared: each account and Region needs its own"
        )

    def _key(self) -> Iterator[Finding]:
        key = self.resource("AlertsKey")
        with asking(f"look at {key}"):
            state = self.kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"]
        fine = state == "Enabled"
        fix = "" if fine else "enable the key, or cancel its deletion: no alert can be published without it"
        yield Finding("key", "ok" if fine else "fail", f"{key} is {state}", fix)

    def _quota(self) -> Iterator[Finding]:
        """How much of what AWS lets run at once in the hub does run."""
        with asking("count the automations under way"):
            pages = self.ssm.get_paginator("describe_automation_executions").paginate(
                Filters=[{"Key": "ExecutionStatus", "Values": ["InProgress"]}]
            )
            going = sum(len(page["AutomationExecutionMetadataList"]) for page in pages)
        with asking("read the quota of concurrent automations"):
            quota = self.quotas.get_service_quota(ServiceCode="ssm", QuotaCode=CONCURRENT_AUTOMATIONS)["Quota"]["Value"]
        scarce = going > quota * 0.8
        fix = (
            "ask for more of the quota, or turn on adaptive concurrency: what exceeds it waits in AWS's queue"
            if scarce
            else ""
        )
        yield Finding(
            "quota", "warn" if scarce else "ok", f"{going} of {quota:.0f} automations are under way here", fix
        )

    def _bucket(self) -> Iterator[Finding]:
        bucket = self.resource("ReportsBucket")
        with asking(f"look at {bucket}"):
            self.s3.head_bucket(Bucket=bucket)
        yield Finding("bucket", "ok", bucket)

    def _campaigns(self) -> Iterator[Finding]:
        states: Counter[str] = Counter()
        for item in self.items.every():
            states[str(item.get("status", "WAITING"))] += 1
            if item.get("status") == "INVALID":
                said = f"{item['campaign']}: {item.get('statusMessage', '')}"
                yield Finding("campaign", "fail", said[:300], f"patchtide campaign show {item['campaign']}")
        yield Finding("campaigns", "ok", ", ".join(f"{count} {state}" for state, count in states.items()) or "none yet")

    def _last_runs(self) -> Iterator[Finding]:
        """What the last run of each campaign could not reach: roles, Regions, agents."""
        places: dict[tuple[str, str], Mapping[str, str]] = {}
        causes: Counter[str] = Counter()
        for item in self.items.every():
            for run in self.registry.runs_of(str(item["campaign"]), 1):
                places |= {(row["account"], row["region"]): row for row in self.runs.problems(run, "location#")}
                for tally in self.runs.load(run).latest:
                    causes.update(tally.causes)
        for (account, region), row in sorted(places.items()):
            cause = Cause(row["cause"])
            yield Finding(f"{account} {region}", "fail", f"{cause}: {row['sentence']}", FIXES.get(cause, ""))
        for cause in (Cause.NOT_MANAGED, Cause.AGENT_LOST, Cause.STOPPED_INSTANCE, Cause.PROFILE_DENIED):
            if causes[cause]:
                yield Finding("instances", "warn", f"{causes[cause]}x {cause} in the last runs", FIXES[cause])
        if not places:
            yield Finding("accounts", "ok", "every location was reached by the last run of each campaign")


def as_row(finding: Finding) -> dict[str, Any]:
    """A finding as JSON answers write it."""
    return {"what": finding.what, "state": finding.state, "said": finding.said, "fix": finding.fix}
