"""The bill of materials: exactly what ships, in a form that others' tools can read."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from ship.layer import SOURCE, locked, shipped
from ship.licences import licence
from ship.sbom import bill

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
LOCKED = {one.name: one for one in locked((SOURCE / "requirements.txt").read_text(encoding="utf-8"))}


@pytest.fixture(scope="module")
def text(shipped_layer: Path) -> str:
    return bill(shipped_layer, NOON)


@pytest.fixture
def components(text: str) -> dict[str, Any]:
    return {one["name"]: one for one in json.loads(text)["components"]}


def test_the_bill_is_cyclonedx(text: str) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    said = json.loads(text)
    assert (said["bomFormat"], said["specVersion"]) == ("CycloneDX", "1.6")
    assert said["metadata"]["timestamp"].startswith("2026-12-01T12:00")


def test_the_bill_lists_exactly_what_is_locked_and_installed(components: dict[str, Any], shipped_layer: Path) -> None:
    installed = shipped(shipped_layer)
    assert components.keys() == LOCKED.keys() == installed.keys()
    for name, one in components.items():
        assert one["version"] == LOCKED[name].version == installed[name].version
        assert one["purl"] == f"pkg:pypi/{name}@{one['version']}"
        assert {entry["content"] for entry in one["hashes"]} == set(LOCKED[name].hashes)
        assert one["licenses"] == [{"license": {"id": licence(installed[name])}}]


def test_the_bill_tells_what_is_compiled_into_a_binary(components: dict[str, Any], shipped_layer: Path) -> None:
    inside = {(one["name"], one["version"]) for one in components["pydantic-core"]["components"]}
    assert inside == {(crate.name, crate.version) for crate in shipped(shipped_layer)["pydantic-core"].crates}
    assert len(inside) > 50


def test_the_bill_says_who_needs_whom(text: str) -> None:
    said = json.loads(text)["dependencies"]
    names = {one["ref"]: {need.split("/")[-1].split("@")[0] for need in one.get("dependsOn", ())} for one in said}
    assert names["patchtide"] >= {"boto3", "pydantic"}
    assert names[f"pkg:pypi/boto3@{LOCKED['boto3'].version}"] == {"botocore", "jmespath", "s3transfer"}
    reached: set[str] = set()
    waiting = ["patchtide"]
    while waiting:
        for need in names[waiting.pop()] - reached:
            reached.add(need)
            waiting.append(f"pkg:pypi/{need}@{LOCKED[need].version}")
    assert reached == LOCKED.keys()  # so nothing ships that nobody needs


def test_the_same_lock_gives_the_same_bill(text: str, shipped_layer: Path) -> None:
    assert bill(shipped_layer, NOON) == text
