"""How much goes to Lambda: what runs there, and hardly anything else."""

import ast
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from ship.layer import SOURCE, shipped
from simulator.template import ROOT
from tests.ship.runtime import MISSING, PYTHON

AWS = ROOT / "layers/patchtide/patchtide/aws"
SDK = {"boto3", "botocore", "jmespath", "python-dateutil", "s3transfer", "six", "urllib3"}
MIB = 1 << 20
MOST = 10.5 * MIB  # 6.0 of it is pydantic with its compiled core
MOST_OF_SDK = 7 * MIB


def lines(name: str) -> list[str]:
    text = (SOURCE / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def size(*paths: Path) -> int:
    files = (path for root in paths for path in ([root] if root.is_file() else root.rglob("*")))
    return sum(path.stat().st_size for path in files if path.is_file())


def parts(layer: Path, names: set[str]) -> list[Path]:
    """The folders and modules of some distributions."""
    of = [one for name, one in shipped(layer).items() if name in names]
    own = {path for one in of for path in (layer / "python").iterdir() if path.name.partition(".")[0] in one.modules}
    return [*own, *(one.folder for one in of)]


def called() -> set[str]:
    """The services that our code makes clients of."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in AWS.rglob("*.py")]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args]
    first = [call.args[0] for call in calls if getattr(call.func, "attr", "") == "client"]
    return {one.value for one in first if isinstance(one, ast.Constant) and isinstance(one.value, str)}


def imports(path: Path) -> Iterator[str]:
    """The modules that are asked for as a module is loaded; what stands in a function or for a type checker is not."""
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (node.module, *(f"{node.module}.{one.name}" for one in node.names))
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting.extend(node.orelse)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting.extend(ast.iter_child_nodes(node))


def test_what_ships_beside_the_sdk_is_small(shipped: Path, shipped_layer: Path) -> None:
    everything = size(*(path for path in shipped.iterdir() if path.is_dir()))
    sdk = size(*parts(shipped_layer, SDK))
    assert sdk <= MOST_OF_SDK
    assert everything - sdk <= MOST


def test_what_nobody_runs_stays_behind(shipped_layer: Path) -> None:
    here = [path.relative_to(shipped_layer / "python").as_posix() for path in shipped_layer.glob("python/**/*")]
    assert here
    assert not [path for path in here for unused in lines("unused") if fnmatch(path, unused)]


def test_a_record_tells_what_is_there(shipped_layer: Path) -> None:
    told = {path for one in shipped(shipped_layer).values() for path in one.files}
    here = {
        path.relative_to(shipped_layer / "python").as_posix()
        for path in (shipped_layer / "python").rglob("*")
        if path.is_file()
    }
    assert told == here


def test_nothing_that_stays_loads_what_was_left_behind(shipped_layer: Path) -> None:
    gone = tuple(line.removesuffix(".py").replace("/", ".") for line in lines("unused") if "*" not in line)
    asked = {
        f"{path.relative_to(shipped_layer)} imports {name}"
        for path in shipped_layer.rglob("*.py")
        for name in imports(path)
        if name.startswith(gone)
    }
    assert not asked


def test_the_services_that_the_sdk_knows_are_those_that_we_call(shipped_layer: Path) -> None:
    data = shipped_layer / "python/botocore/data"
    assert {path.name for path in data.iterdir() if path.is_dir()} == set(lines("services")) == called()


@pytest.mark.skipif(MISSING, reason="needs `make setup` on Linux: the runtime")
def test_every_client_that_we_make_can_be_made_from_the_layer(native: Path) -> None:
    code = f"import boto3\nfor name in {sorted(called())}: boto3.client(name, region_name='eu-west-1')"
    environment = {"PYTHONPATH": str(native / "python")}
    assert run(code, environment) == ""
    assert "Unknown service: 'sqs2'" in run(code.replace("'sqs'", "'sqs2'"), environment)


def run(code: str, environment: dict[str, str]) -> str:
    """What it complains about."""
    done = subprocess.run(  # noqa: S603 - our own interpreter, our own words
        [PYTHON, "-B", "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    return done.stderr
