"""What is built: the same bytes wherever it is built, for the processor and the Python that it goes to."""

from pathlib import Path

from simulator.template import ROOT, load
from tests.ship.conftest import digests

RESOURCES = load(ROOT / "template.yaml")["Resources"]
AARCH64 = 183  # in an ELF file's header


def test_every_function_and_layer_is_built(shipped: Path) -> None:
    kinds = ("AWS::Serverless::Function", "AWS::Serverless::LayerVersion")
    named = {name for name, body in RESOURCES.items() if body["Type"] in kinds}
    assert {path.name for path in shipped.iterdir() if path.is_dir()} == named


def test_who_builds_it_and_where_makes_no_difference(shipped: Path, elsewhere: dict[str, str]) -> None:
    here = digests(shipped)
    assert len(here) > 1000
    assert {name for name in here | elsewhere if here.get(name) != elsewhere.get(name)} == set()


def test_a_binary_is_one_that_lambda_can_load(shipped: Path) -> None:
    binaries = list(shipped.rglob("*.so*"))
    assert binaries
    for path in binaries:
        assert int.from_bytes(path.read_bytes()[18:20], "little") == AARCH64, path
        assert "cpython-313" in path.name or ".abi3." in path.name


def test_nothing_goes_along_that_nobody_runs(shipped: Path) -> None:
    names = {path.name for path in shipped.rglob("*")}
    assert not names & {"__pycache__", "bin", "Makefile", "requirements.txt", "requirements.in", ".lock"}


def test_everybody_may_read_what_is_built(shipped: Path) -> None:
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in shipped.rglob("*"))
