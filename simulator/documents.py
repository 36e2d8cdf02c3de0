"""SSM documents: who owns which, in which version, shared with whom, and what parameters they take."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from simulator.clock import Clock
from simulator.protocol import Params, ServiceError, page, present

MAX_BYTES = 64 * 1024
MAX_VERSIONS = 1000
MAX_SHARES = 1000
REFERENCE = re.compile(r"\{\{\s*([A-Za-z0-9_.:-]+)\s*\}\}")

_UNSET: Any = object()


# --- parameters ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parameter:
    """A parameter that a document declares."""

    name: str
    type: str
    default: Any = _UNSET
    description: str = ""
    allowed_values: tuple[str, ...] = ()
    allowed_pattern: str = ""

    @property
    def required(self) -> bool:
        """Whether whoever starts the document has to give it."""
        return self.default is _UNSET

    @property
    def listed(self) -> bool:
        """Whether it takes several values."""
        return self.type in ("StringList", "MapList") or self.type.startswith("List<")

    def value(self, given: list[str]) -> Any:
        """The value in its own type. Raises ValueError, saying what is wrong."""
        self._allow(given)
        if self.type == "MapList":
            return [_object(text) for text in given]
        if self.listed:
            return list(given)
        if len(given) != 1:
            raise ValueError(f"Parameter {self.name} takes one value, {len(given)} were given")
        return self._single(given[0])

    def _single(self, text: str) -> Any:
        if self.type == "Boolean":
            if text.lower() not in ("true", "false"):
                raise ValueError(f"Parameter {self.name} takes true or false, not {text!r}")
            return text.lower() == "true"
        if self.type == "Integer":
            return int(text)
        return _object(text) if self.type == "StringMap" else text

    def _allow(self, given: Iterable[str]) -> None:
        for text in given:
            if self.allowed_values and text not in self.allowed_values:
                raise ValueError(
                    f"Parameter {self.name} has value {text!r}, allowed are {', '.join(self.allowed_values)}"
                )
            if self.allowed_pattern and not re.fullmatch(self.allowed_pattern, text):
                raise ValueError(
                    f"Parameter {self.name} has value {text!r}, which does not match {self.allowed_pattern}"
                )


def _object(text: str) -> Any:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError(f"{text!r} is not a JSON object")  # noqa: TRY004 - it is the caller's value, not a fault of ours
    return found


def bind(
    declared: Mapping[str, Parameter], given: Mapping[str, list[str]], unasked: Collection[str] = ()
) -> dict[str, Any]:
    """Every parameter in its own type, defaults included. Raises ValueError with everything that is wrong.

    `unasked` names parameters that may be missing because somebody else fills them in (the target parameter).
    """
    wrong = [f"Parameter {name} is not defined in the document" for name in given if name not in declared]
    bound: dict[str, Any] = {}
    for name, parameter in declared.items():
        if name in given:
            try:
                bound[name] = parameter.value(list(given[name]))
            except ValueError as error:
                wrong.append(str(error))
        elif not parameter.required:
            bound[name] = parameter.default
        elif name not in unasked:
            wrong.append(f"Parameter {name} is required and was not given")
    if wrong:
        raise ValueError("; ".join(wrong))
    return bound


# --- documents ----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def parse(content: str) -> Mapping[str, Any]:
    """What a document says, whether in JSON or YAML."""
    try:
        found = json.loads(content)
    except ValueError:
        try:
            found = YAML(typ="safe", pure=True).load(content)
        except YAMLError as error:
            raise ServiceError("InvalidDocumentContent", f"Content is neither JSON nor YAML: {error}") from None
    if not isinstance(found, dict):
        raise ServiceError("InvalidDocumentContent", "Content is not a mapping")
    return found


def declared(content: Mapping[str, Any]) -> dict[str, Parameter]:
    """The parameters that a document's content declares."""
    return {
        name: Parameter(
            name,
            str(said["type"]),
            said.get("default", _UNSET),
            str(said.get("description", "")),
            tuple(
                str(value).lower() if isinstance(value, bool) else str(value) for value in said.get("allowedValues", ())
            ),
            str(said.get("allowedPattern", "")),
        )
        for name, said in (content.get("parameters") or {}).items()
    }


@lru_cache(maxsize=256)
def _declared_in(content: str) -> dict[str, Parameter]:
    return declared(parse(content))


@lru_cache(maxsize=256)
def _sha256(content: str) -> str:
    return sha256(content.encode()).hexdigest()


@dataclass(frozen=True)
class Version:
    """One version of a document. Versions never change."""

    number: int
    content: str
    format: str
    created_at: datetime
    name: str | None = None

    @property
    def said(self) -> Mapping[str, Any]:
        """The content, parsed."""
        return parse(self.content)

    @property
    def parameters(self) -> dict[str, Parameter]:
        """The parameters it declares."""
        return _declared_in(self.content)

    @property
    def hash(self) -> str:
        """The Sha256 of its content."""
        return _sha256(self.content)


@dataclass
class Document:
    """A document of one account in one Region."""

    name: str
    account: str
    region: str
    type: str
    target_type: str | None = None
    tags: list[dict[str, str]] = field(default_factory=list)
    versions: dict[int, Version] = field(default_factory=dict)
    default: int = 1
    shared: dict[str, str] = field(default_factory=dict)

    @property
    def latest(self) -> int:
        """The number of the newest version."""
        return max(self.versions)

    @property
    def arn(self) -> str:
        """Its ARN."""
        return f"arn:aws:ssm:{self.region}:{self.account}:document/{self.name}"

    def version(self, asked: str | None) -> Version:
        """The version that a request asks for."""
        number = {None: self.default, "$DEFAULT": self.default, "$LATEST": self.latest}.get(asked)
        number = int(asked or 0) if number is None else number
        if number not in self.versions:
            raise ServiceError("InvalidDocumentVersion", f"Document {self.name} has no version {asked}.")
        return self.versions[number]

    def readable_by(self, account: str) -> bool:
        """Whether the account may use it."""
        return account == self.account or account in self.shared or "all" in self.shared


class Library:
    """The documents of every account in every Region, and AWS's own, which exist everywhere."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._documents: dict[tuple[str, str, str], Document] = {}

    # --- finding --------------------------------------------------------------------------------------------------

    def find(self, account: str, region: str, name: str) -> Document:
        """The document of this name or ARN as the account sees it in the Region. One that is shared needs its ARN."""
        if name in AWS_OWNED:
            return AWS_OWNED[name]
        owner = account
        if name.startswith("arn:"):
            _, _, _, its_region, owner, rest = name.split(":", 5)
            name = rest.removeprefix("document/")
            region = region if its_region == region else ""
        found = self._documents.get((owner or account, region, name)) or AWS_OWNED.get(name)
        if found is None or not found.readable_by(account):
            raise ServiceError("InvalidDocument", f"Document with name {name} does not exist.")
        return found

    def owned(self, account: str, region: str, name: str) -> Document:
        """The account's own document: nobody else's may be changed."""
        found = self._documents.get((account, region, name))
        if found is None:
            raise ServiceError("InvalidDocument", f"Document with name {name} does not exist.")
        return found

    def for_child(
        self, hub: str, account: str, region: str, name: str, version: str | None
    ) -> tuple[Document, Version]:
        """What a child execution runs there: the hub's document if it is shared with the account, else its own copy."""
        bare = name.rpartition("/")[2] if name.startswith("arn:") else name
        if bare in AWS_OWNED:
            return AWS_OWNED[bare], AWS_OWNED[bare].version(version)
        shared = self._documents.get((hub, region, bare))
        found = shared if shared is not None and shared.readable_by(account) else self.find(account, region, bare)
        return found, found.version(version)

    # --- changing -------------------------------------------------------------------------------------------------

    def create(self, account: str, region: str, params: Params) -> Document:
        """A new document, as CreateDocument asks for it."""
        key = (account, region, params["Name"])
        if key in self._documents or params["Name"] in AWS_OWNED:
            raise ServiceError("DocumentAlreadyExists", f"Document with name {params['Name']} already exists.")
        kind = params.get("DocumentType", "Command")
        document = Document(params["Name"], account, region, kind, params.get("TargetType"), params.get("Tags", []))
        document.versions[1] = self._version(1, kind, params)
        self._documents[key] = document
        return document

    def update(self, account: str, region: str, params: Params) -> tuple[Document, Version]:
        """A new version of a document. It does not become the default one by itself."""
        document = self.owned(account, region, params["Name"])
        if params.get("DocumentVersion", "$LATEST") not in ("$LATEST", str(document.latest)):
            raise ServiceError("InvalidDocumentVersion", "Only the latest version of a document can be updated.")
        version = self._version(document.latest + 1, document.type, params)
        if version.content == document.versions[document.latest].content:
            raise ServiceError(
                "DuplicateDocumentContent", "The content of the document is the same as its latest version's."
            )
        if version.number > MAX_VERSIONS:
            raise ServiceError("DocumentVersionLimitExceeded", f"A document has at most {MAX_VERSIONS} versions.")
        document.versions[version.number] = version
        document.target_type = params.get("TargetType", document.target_type)
        return document, version

    def _version(self, number: int, kind: str, params: Params) -> Version:
        content = params["Content"]
        if len(content.encode()) > MAX_BYTES:
            raise ServiceError("MaxDocumentSizeExceeded", "The size limit of a document is 64 KB.")
        if kind == "Automation":
            check_runbook(content)
        format_ = params.get("DocumentFormat", "JSON")
        return Version(number, content, format_, self._clock.now, params.get("VersionName"))

    def delete(self, account: str, region: str, name: str) -> None:
        """No more document of this name. One that is shared has to be unshared first."""
        document = self.owned(account, region, name)
        if document.shared:
            raise ServiceError("InvalidDocumentOperation", f"Document {name} is shared; unshare it before deleting it.")
        del self._documents[account, region, name]

    def set_default(self, account: str, region: str, name: str, number: int) -> Document:
        """The document, with that version as its default one."""
        document = self.owned(account, region, name)
        document.default = document.version(str(number)).number
        return document

    def share(self, account: str, region: str, params: Params) -> None:
        """Share a document with accounts, or no longer."""
        document = self.owned(account, region, params["Name"])
        after = dict(document.shared)
        for other in params.get("AccountIdsToRemove", ()):
            after.pop(other, None)
        after |= dict.fromkeys(params.get("AccountIdsToAdd", ()), params.get("SharedDocumentVersion", "$DEFAULT"))
        if len(after) > MAX_SHARES:
            raise ServiceError("DocumentPermissionLimit", f"A document is shared with at most {MAX_SHARES} accounts.")
        document.shared = after

    def shares(self, account: str, region: str, params: Params) -> Params:
        """Whom a document is shared with, page by page."""
        document = self.owned(account, region, params["Name"])
        found, token = page(sorted(document.shared), params.get("NextToken"), min(params.get("MaxResults", 20), 20))
        infos = [{"AccountId": other, "SharedDocumentVersion": document.shared[other]} for other in found]
        return present(AccountIds=found, AccountSharingInfoList=infos, NextToken=token)


# --- what AWS says of a document ----------------------------------------------------------------------------------------


def description(document: Document, version: Version) -> Params:
    """A DocumentDescription."""
    said = version.said
    return present(
        Name=document.name,
        Owner="Amazon" if document.name in AWS_OWNED else document.account,
        Hash=version.hash,
        HashType="Sha256",
        CreatedDate=version.created_at,
        Status="Active",
        DocumentVersion=str(version.number),
        VersionName=version.name,
        Description=said.get("description"),
        Parameters=[_parameter(one) for one in version.parameters.values()],
        PlatformTypes=["Windows", "Linux", "MacOS"],
        DocumentType=document.type,
        SchemaVersion=str(said.get("schemaVersion", "0.0")),
        LatestVersion=str(document.latest),
        DefaultVersion=str(document.default),
        DocumentFormat=version.format,
        TargetType=document.target_type,
        Tags=document.tags,
    )


def _parameter(parameter: Parameter) -> Params:
    """A DocumentParameter. The model knows two types only, whatever the runbook calls its own."""
    default = None if parameter.required else parameter.default
    if default is not None and not isinstance(default, str):
        default = json.dumps(default)
    return present(
        Name=parameter.name,
        Type="StringList" if parameter.listed else "String",
        Description=parameter.description,
        DefaultValue=default,
    )


def content_as(version: Version, format_: str | None) -> tuple[str, str]:
    """The content in the format asked for, and that format. JSON unless YAML is asked for."""
    if version.format == "JSON" or format_ == version.format:
        return version.content, version.format
    return json.dumps(version.said, indent=2), "JSON"


# --- runbooks -----------------------------------------------------------------------------------------------------------

_KNOWN_OUTPUTS = {
    "aws:runCommand": {"CommandId", "Status", "ResponseCode", "Output", "OutputPayload"},
    "aws:createImage": {"ImageId", "ImageState"},
    "aws:executeScript": {"Payload"},
    "aws:changeInstanceState": {"InstanceStates"},
}
_AUTOMATION_REFERENCES = {
    "automation:EXECUTION_ID",
    "global:ACCOUNT_ID",
    "global:DATE",
    "global:DATE_TIME",
    "global:REGION",
    "global:AWS_PARTITION",
}


def check_runbook(content: str) -> None:
    """Refuse a runbook that Automation would refuse when it is created."""
    if wrong := _faults(content):
        raise ServiceError("InvalidDocumentContent", "; ".join(wrong))


@lru_cache(maxsize=256)
def _faults(content: str) -> tuple[str, ...]:
    return tuple(_runbook_faults(parse(content)))


def _runbook_faults(said: Mapping[str, Any]) -> Iterator[str]:
    if str(said.get("schemaVersion")) != "0.3":
        yield "an Automation runbook has schemaVersion '0.3'"
        return
    steps = said.get("mainSteps")
    if not isinstance(steps, list) or not steps:
        yield "an Automation runbook has mainSteps"
        return
    names = [step.get("name", "") for step in steps]
    yield from (f"step name {name!r} is not a name, or not the only one" for name in names if _bad_name(name, names))
    known = _references(said, steps)
    for step in steps:
        yield from (f"step {step['name']} has no {word}" for word in ("action", "inputs") if word not in step)
        yield from (
            f"step {step['name']} refers to {found}, which is not defined"
            for found in references(step)
            if found not in known
        )
        yield from (
            f"step {step['name']} leads to {found}, which does not exist"
            for found in _leads_to(step)
            if found not in names
        )
    yield from (f"output {name} is not defined" for name in said.get("outputs", ()) if name not in known)


def _bad_name(name: str, names: list[str]) -> bool:
    return not re.fullmatch(r"[a-zA-Z0-9_]+", name) or names.count(name) > 1


def _references(said: Mapping[str, Any], steps: Iterable[Mapping[str, Any]]) -> set[str]:
    known = set(said.get("parameters") or ()) | _AUTOMATION_REFERENCES
    for step in steps:
        outputs = _KNOWN_OUTPUTS.get(step.get("action", ""), set()) | {one["Name"] for one in step.get("outputs", ())}
        known |= {f"{step.get('name')}.{output}" for output in outputs}
    return known


def references(value: Any) -> set[str]:
    """Every `{{ reference }}` in a value; what is in a script is Python, and its braces are its own."""
    match value:
        case str():
            return set(REFERENCE.findall(value))
        case dict():
            return set().union(*(references(inner) for name, inner in value.items() if name != "Script"))
        case list():
            return set().union(*(references(inner) for inner in value))
    return set()


def _leads_to(step: Mapping[str, Any]) -> Iterator[str]:
    if "nextStep" in step:
        yield step["nextStep"]
    for word in ("onFailure", "onCancel"):
        if str(step.get(word, "")).startswith("step:"):
            yield step[word].removeprefix("step:")
    if step.get("action") == "aws:branch":
        yield from (choice["NextStep"] for choice in step["inputs"].get("Choices", ()))
        if "Default" in step["inputs"]:
            yield step["inputs"]["Default"]


# --- AWS's own ----------------------------------------------------------------------------------------------------------

_GUID = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"


def _aws_owned(name: str, description: str, parameters: Mapping[str, Any], timeout: int | None = None) -> Document:
    content = {"schemaVersion": "2.2", "description": description, "parameters": parameters, "mainSteps": []}
    document = Document(name, "", "", "Command")
    epoch = datetime.fromisoformat("2017-01-01T00:00:00+00:00")
    document.versions[1] = Version(
        1, json.dumps(content | ({"timeoutSeconds": timeout} if timeout else {})), "JSON", epoch
    )
    document.shared["all"] = "$ALL"
    return document


_SCRIPT = {
    "commands": {"type": "StringList", "description": "(Required) The commands to run."},
    "workingDirectory": {"type": "String", "default": ""},
    "executionTimeout": {"type": "String", "default": "3600", "allowedPattern": r"([1-9][0-9]{0,5})|(1[0-6][0-9]{4})"},
}

AWS_OWNED: Mapping[str, Document] = {
    document.name: document
    for document in (
        _aws_owned(
            "AWS-RunPatchBaseline",
            "Scans for or installs patches from a patch baseline to a Linux or Windows operating system.",
            {
                "Operation": {"type": "String", "allowedValues": ["Scan", "Install"]},
                "AssociationId": {"type": "String", "default": "", "allowedPattern": f"(^$)|^{_GUID}$"},
                "SnapshotId": {"type": "String", "default": "", "allowedPattern": f"(^$)|^{_GUID}$"},
                "InstallOverrideList": {
                    "type": "String",
                    "default": "",
                    "allowedPattern": r"(^$)|^https://.+$|^s3://([^/]+)/(.*?([^/]+))$",
                },
                "BaselineOverride": {
                    "type": "String",
                    "default": "",
                    "allowedPattern": r"(^$)|^https://.+$|^s3://([^/]+)/(.*?([^/]+))$",
                },
                "RebootOption": {
                    "type": "String",
                    "default": "RebootIfNeeded",
                    "allowedValues": ["RebootIfNeeded", "NoReboot"],
                },
            },
            timeout=7200,
        ),
        _aws_owned("AWS-RunShellScript", "Run a shell script or specify the commands to run.", _SCRIPT),
        _aws_owned(
            "AWS-RunPowerShellScript", "Run a PowerShell script or specify the paths to scripts to run.", _SCRIPT
        ),
    )
}
