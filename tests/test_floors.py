"""The floors of the house: who may stand on whom."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = ROOT / "layers/patchtide/patchtide"

# Each floor, and the floors it may import. `patchtide.` stands for the package's own root.
MAY_IMPORT = {
    OURS / "core": {"patchtide.core"},
    OURS / "flow": {"patchtide.core", "patchtide.flow"},
    OURS / "aws": {"patchtide.core", "patchtide.aws"},
    ROOT / "functions": {"patchtide.core", "patchtide.flow", "patchtide.aws"},
    ROOT / "cli": {"patchtide", "patchtide.core", "patchtide.flow", "patchtide.aws", "cli", "simulator"},
    ROOT / "simulator": {"patchtide.core", "patchtide.flow", "patchtide.aws", "simulator"},
}
OUR_PACKAGES = ("patchtide", "cli", "simulator", "functions", "bench", "tests")
CLOUD = {"boto3", "botocore"}
# Time, chance and the environment come in through doors; only aws reads the environment, and draws a stamp for its saves.
IMPURE = {"datetime.now", "datetime.utcnow", "time.time", "uuid.uuid4", "uuid4", "os.environ", "random"}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("floor", MAY_IMPORT, ids=lambda floor: floor.name)
def test_a_floor_stands_only_on_the_floors_below_it(floor: Path) -> None:
    strays = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in floor.rglob("*.py")
        for name in imports(path)
        if name.split(".")[0] in OUR_PACKAGES and ".".join(name.split(".")[:2]) not in MAY_IMPORT[floor]
        if name.split(".")[0] not in MAY_IMPORT[floor] - {"patchtide"}
    }
    assert not strays


@pytest.mark.parametrize("floor", [OURS / "core", OURS / "flow"], ids=lambda floor: floor.name)
def test_only_aws_imports_boto3(floor: Path) -> None:
    assert not {path.name for path in floor.rglob("*.py") if CLOUD & {name.split(".")[0] for name in imports(path)}}


def test_every_client_is_made_by_the_one_session() -> None:
    """A session of its own reads AWS's models anew, a tenth of a second each; a resource adds a tenth to a cold start."""
    used = {
        f"{path.relative_to(ROOT)}:{node.lineno} {ast.unparse(node)}"
        for path in OURS.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node).startswith("boto3.")
    }
    assert {one.split()[1] for one in used} == {"boto3.client"}, used


@pytest.mark.parametrize("floor", [OURS / "core", OURS / "flow", OURS / "aws"], ids=lambda floor: floor.name)
def test_values_are_defined_without_compiling_their_methods(floor: Path) -> None:
    """Half a millisecond of every cold start for each that is not."""
    compiled = {
        path.relative_to(ROOT).as_posix()
        for path in floor.rglob("*.py")
        if "@dataclass(frozen=True" in path.read_text(encoding="utf-8").partition('"""')[2].partition('"""')[2]
    }
    assert compiled <= {"layers/patchtide/patchtide/core/frozen.py"}


@pytest.mark.parametrize("floor", [OURS / "core", OURS / "flow"], ids=lambda floor: floor.name)
def test_rules_and_stories_read_no_clock_no_chance_and_no_environment(floor: Path) -> None:
    found = {
        f"{path.relative_to(ROOT)}:{node.lineno} {ast.unparse(node)}"
        for path in floor.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.Attribute, ast.Name)) and ast.unparse(node) in IMPURE
    }
    assert not found


@pytest.mark.parametrize("name", ["dispatcher", "poller", "collector"])
def test_what_runs_every_minute_does_not_import_the_validator(name: str) -> None:
    """pydantic costs a third of a cold start, and what runs every minute reads versions that were validated before."""
    seen: set[str] = set()
    waiting = [ROOT / "functions" / name / "app.py"]
    while waiting:
        for module in imports(waiting.pop()):
            path = ROOT / "layers/patchtide" / (module.replace(".", "/") + ".py")
            if module not in seen and path.exists():
                waiting.append(path)
            seen.add(module)
    assert not {module for module in seen if module.startswith("pydantic")}


def test_the_oracle_judges_by_no_rule_of_the_service() -> None:
    oracle = ROOT / "simulator/proof/oracle.py"
    assert not {name for name in imports(oracle) if name.split(".")[0] == "patchtide"}
    # Nor by a scenario's own machinery: of that it knows the shape of what was meant, for the type checker alone.
    assert {name for name in imports(oracle) if name.startswith("simulator.")} <= {
        "simulator.automation",
        "simulator.fleet",
        "simulator.proof.history",
        "simulator.proof.scenarios",
        "simulator.runcommand",
    }
