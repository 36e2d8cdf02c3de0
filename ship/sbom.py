"""The bill of materials of what ships: CycloneDX 1.6, from the lock and from what the built layer says of itself.

Run it by `make sbom`. The same lock gives the same bill, but for its time.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from ship.layer import BUILT, ROOT, SOURCE, Crate, Locked, Shipped, direct, locked, shipped
from ship.licences import licence

PATH = ROOT / "out/sbom.json"


def bill(layer: Path, at: datetime) -> str:
    """The bill of a built layer, as JSON."""
    lock, found = (SOURCE / "requirements.txt").read_text(encoding="utf-8"), shipped(layer)
    components = {one.name: _distribution(one, found[one.name]) for one in locked(lock)}
    ours = _ours()
    bom = Bom(
        components=components.values(),
        metadata=BomMetaData(component=ours, timestamp=at),
        serial_number=uuid5(NAMESPACE_URL, lock),
    )
    asked = direct((SOURCE / "requirements.in").read_text(encoding="utf-8"))
    bom.register_dependency(ours, [components[name] for name in sorted(asked)])
    for name, component in components.items():
        bom.register_dependency(component, [components[need] for need in sorted(found[name].needs)])
    return str(JsonV1Dot6(bom).output_as_string(indent=2)) + "\n"


def _ours() -> Component:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return Component(
        type=ComponentType.APPLICATION,
        name=project["name"],
        version=project["version"],
        description=project["description"],
        bom_ref=project["name"],
        licenses=_licences(project["license"]),
    )


def _distribution(lock: Locked, own: Shipped) -> Component:
    purl = PackageURL("pypi", name=lock.name, version=lock.version)
    return Component(
        name=lock.name,
        version=lock.version,
        purl=purl,
        bom_ref=str(purl),
        scope=ComponentScope.REQUIRED,
        hashes=_hashes(lock.hashes),
        licenses=_licences(licence(own)),
        components=[_crate(crate) for crate in own.crates],
    )


def _crate(crate: Crate) -> Component:
    purl = PackageURL.from_string(crate.purl)
    return Component(
        name=crate.name,
        version=crate.version,
        purl=purl,
        bom_ref=str(purl),
        hashes=_hashes(crate.hashes),
        licenses=_licences(crate.licence),
    )


def _hashes(hashes: Iterable[str]) -> list[HashType]:
    return [HashType(alg=HashAlgorithm.SHA_256, content=one) for one in hashes]


def _licences(expression: str) -> list[LicenseExpression | DisjunctiveLicense]:
    simple = " " not in expression
    return [DisjunctiveLicense(id=expression) if simple else LicenseExpression(expression)]


if __name__ == "__main__":
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_text(bill(BUILT, datetime.now(UTC)), encoding="utf-8")
